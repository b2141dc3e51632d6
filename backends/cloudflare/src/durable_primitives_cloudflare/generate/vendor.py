"""What a Python Worker needs beside its own code: pure Python, or wheels for its platform, in ``python_modules``."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from durable_primitives.errors import DefinitionError

OURS = ("durable_primitives", "durable_primitives_cloudflare")

REQUIREMENTS = ("msgspec>=0.22,<0.23", "structlog>=24", "typing-extensions>=4.13", "workers-runtime-sdk>=1.9.5,<2")

PLATFORM = (
    "--platform", "pyemscripten_2026_0_wasm32", "--implementation", "cp", "--python-version", "3.14",
    "--abi", "cp314", "--abi", "none", "--only-binary=:all:",
)  # fmt: skip
"""Python Workers of the compatibility dates from 2026-09-08 on.  pip brings wheels of PEP 783 for them."""

_NOT_PURE = shutil.ignore_patterns("_native*", "*.so", "*.pyd", "__pycache__", "testing", "cli", "generate", "sqlite")


def vendor(folder: Path, further: tuple[str, ...] = ()) -> None:
    """Fill ``python_modules`` anew: our own pure Python as it is installed here, the rest by pip.

    Raises:
        DefinitionError: pip found no wheel that runs there; its own words are in the message.
    """
    target = folder / "python_modules"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    done = subprocess.run(
        [*command, "--target", str(target), *PLATFORM, *REQUIREMENTS, *further],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DefinitionError(
            f"pip cannot bring the packages of a Python Worker: {done.stderr.strip()}",
            help="a package needs a wheel for pyemscripten_2026_0_wasm32, or a pure one",
        )
    for name in OURS:
        shutil.copytree(_folder_of(name), target / name, ignore=_NOT_PURE)


def copy_application(folder: Path, module: str) -> None:
    """Copy the package or module that the application lives in beside the entry point."""
    top = module.partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None or (found.origin is None and not found.submodule_search_locations):
        raise DefinitionError(f"there is no module {top!r}", help="run this where Python finds your application")
    target = folder / "src"
    target.mkdir(parents=True, exist_ok=True)
    if found.submodule_search_locations:
        source = Path(next(iter(found.submodule_search_locations)))
        shutil.rmtree(target / top, ignore_errors=True)
        shutil.copytree(source, target / top, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        assert found.origin is not None
        shutil.copy(found.origin, target)


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    return Path(next(iter(found.submodule_search_locations)))
