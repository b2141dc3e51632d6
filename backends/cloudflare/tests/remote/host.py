"""The packaged host in a real workerd."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

import durable_primitives_cloudflare.remote
from durable_primitives_cloudflare.remote import RemoteBackend
from durable_primitives_cloudflare.remote.receiver import CALLBACK_PATH

from ..workerd import Workerd

SOURCES = Path(durable_primitives_cloudflare.remote.__file__).parent / "host"
CONFIG = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .host),
    (name = "internet", network = (allow = ["public", "private"])),
    (name = "do-disk", disk = (writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const host :Workerd.Worker = (
  modules = [%s],
  compatibilityDate = "2026-07-01",
  durableObjectNamespaces = [(className = "DurablePrimitivesStore", uniqueKey = "store", enableSql = true)],
  durableObjectStorage = (localDisk = "do-disk"),
  bindings = [
    (name = "STORE", durableObjectNamespace = "DurablePrimitivesStore"),
    (name = "ENGINE_KEYS", fromEnvironment = "ENGINE_KEYS"),
    (name = "HOST_KEYS", fromEnvironment = "HOST_KEYS"),
    (name = "CALLBACK_URL", fromEnvironment = "CALLBACK_URL"),
  ],
);
"""


class Host:
    """One host, with keys of its own, that calls an engine on a port of its own.

    Args:
        folder: For its code and what it stores.
        changes: Texts of ``host.js`` to replace: a quicker pace, or what happens without a rule.
        env: Of its configuration.
    """

    def __init__(
        self, folder: Path, changes: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        names = ["host.js", *sorted(path.name for path in SOURCES.glob("*.js") if path.name != "host.js")]
        for name in names:
            shutil.copy(SOURCES / name, folder)
        code = folder / "host.js"
        for old, new in (changes or {}).items():
            assert old in code.read_text(), f"no longer in host.js: {old}"
            code.write_text(code.read_text().replace(old, new))
        modules = ", ".join(f'(name = "{name}", esModule = embed "{name}")' for name in names)
        (folder / "config.capnp").write_text(CONFIG % modules)
        self.engine_keys, self.host_keys = secrets.token_hex(32), secrets.token_hex(32)
        self.callback_port = free_port()
        self._env = {
            "ENGINE_KEYS": self.engine_keys,
            "HOST_KEYS": self.host_keys,
            "CALLBACK_URL": f"http://127.0.0.1:{self.callback_port}{CALLBACK_PATH}",
            **(env or {}),
        }
        # In memory where there is such a folder: a kill of the process loses nothing there either, and syncs are quick.
        memory = Path("/dev/shm")
        where = memory if os.access(memory, os.W_OK) else None
        self._disk = tempfile.TemporaryDirectory(prefix="durable-primitives-", dir=where)
        self.workerd = Workerd(folder / "config.capnp", Path(self._disk.name) / "disk", env=self._env)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.workerd.port}"

    def store_url(self, prefix: str, **options: object) -> str:
        """The URL of a store."""
        options = {"prefix": prefix, "listen": f"127.0.0.1:{self.callback_port}", **options}
        given = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
        return f"cloudflare+{self.url}?{given}"

    def backend(self, prefix: str, **options: object) -> RemoteBackend:
        """A store, not opened yet."""
        return RemoteBackend(self.store_url(prefix, **options), engine_keys=self.engine_keys, host_keys=self.host_keys)

    def objects(self) -> set[str]:
        """The objects that were ever made."""
        return {path.name for path in self.workerd.disk.rglob("*.sqlite") if len(path.stem) == 64}

    def start(self) -> None:
        self.workerd.start()

    def stop(self) -> None:
        self.workerd.stop()

    def close(self) -> None:
        """The end of it, and of what it stored."""
        self.stop()
        self._disk.cleanup()

    def restart(self) -> None:
        """Killed, and started again on what it stored."""
        self.workerd.restart()


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
