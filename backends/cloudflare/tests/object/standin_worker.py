"""Writes and runs a workerd that holds a Python Worker: `standin/host.js` says what is real about it."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from durable_primitives_cloudflare.object.client import OPERATIONS

from .. import node
from ..workerd import Workerd
from . import pyodide_wheels

HERE = Path(__file__).parent / "standin"
APP = HERE / "app.py"
RUNTIME = ("pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")

CONFIG = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "do-disk", disk = (writable = true))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [
    %s
  ],
  compatibilityDate = "2026-07-01",  # later ones have Node's `process`, and Pyodide from npm takes that for Node
  durableObjectNamespaces = [(className = "DurablePrimitivesEngine", uniqueKey = "engine", enableSql = true)],
  durableObjectStorage = (localDisk = "do-disk"),
  bindings = [
    (name = "PRIMITIVES", durableObjectNamespace = "DurablePrimitivesEngine"),
    (name = "UNSAFE", unsafeEval = void),
  ],
);
"""


class PythonWorker:
    """A Python Worker in workerd.

    Args:
        folder: Where everything is written.
        app: The main module.
        pins: Further wheels that it needs.
        sources: Further modules, by path.
        methods: Further methods of the object.
    """

    def __init__(
        self,
        folder: Path,
        app: Path,
        *,
        pins: tuple[str, ...] = (),
        sources: dict[str, str] | None = None,
        methods: tuple[str, ...] = (),
    ) -> None:
        wheels = [*pyodide_wheels.downloaded(*pyodide_wheels.PINS, *pins), *pyodide_wheels.ours(folder / "wheels")]
        worker = folder / "worker"
        worker.mkdir(parents=True)
        modules = [("host.js", "esModule"), ("generated.js", "esModule")]
        shutil.copy(HERE / "host.js", worker)
        for name in RUNTIME:
            shutil.copy(node.node_modules(**pyodide_wheels.PYODIDE) / "pyodide" / name, worker)
            modules.append((name, _KINDS[Path(name).suffix]))
        for number, wheel in enumerate(wheels):
            shutil.copy(wheel, worker / f"{number}.whl")
            modules.append((f"{number}.whl", "data"))
        everything = [(app.name, app.read_text()), *(sources or {}).items()]
        (worker / "generated.js").write_text(
            "".join(f'import wheel{n} from "./{n}.whl";\n' for n in range(len(wheels)))
            + f"export const wheels = [{', '.join(f'wheel{n}' for n in range(len(wheels)))}];\n"
            + f"export const sources = {json.dumps(everything)};\n"
            + f"export const main = {json.dumps(app.stem)};\n"
            + f"export const methods = {json.dumps([*OPERATIONS, *methods])};\n"
        )
        listed = ",\n    ".join(f'(name = "{name}", {kind} = embed "{name}")' for name, kind in modules)
        (worker / "config.capnp").write_text(CONFIG % listed)
        self.workerd = Workerd(worker / "config.capnp", folder / "disk", arguments=["--experimental"])

    def __call__(self, command: str, **arguments: object) -> Any:
        """Ask the entry point for something."""
        data = json.dumps(arguments).encode()
        url = f"http://127.0.0.1:{self.workerd.port}/{command}"
        request = urllib.request.Request(url, data, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=100) as reply:
                return json.loads(reply.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{command}: {error.read().decode()[-3000:]}\n{self.workerd.log[-3000:]}") from None


_KINDS = {".mjs": "esModule", ".wasm": "wasm", ".zip": "data", ".json": "text"}
