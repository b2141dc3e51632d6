"""Wheels for Pyodide: pinned, downloaded once by pip into a folder that is kept between runs; and our own pure ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from .. import node

ROOT = Path(__file__).parents[4]

PYODIDE = {"pyodide": "314.0.7", "workerd": node.PINS["workerd"]}
"""What npm brings."""

PLATFORM = (
    "--platform", "pyemscripten_2026_0_wasm32", "--implementation", "cp", "--python-version", "3.14",
    "--abi", "cp314", "--abi", "none", "--only-binary=:all:",
)  # fmt: skip
"""What Python Workers of the compatibility dates from 2026-09-08 on can load."""

PINS = ("msgspec==0.22.0", "structlog==26.1.0", "typing-extensions==4.16.0", "workers-runtime-sdk==1.9.5")
"""What the engine needs in a Worker."""


def downloaded(*pins: str) -> list[Path]:
    """Wheels of exactly these versions."""
    cache = Path(os.environ.get("DURABLE_PRIMITIVES_TEST_WHEELS") or ROOT / ".nox" / "cloudflare-wheels")
    cache.mkdir(parents=True, exist_ok=True)
    missing = [pin for pin in pins if not _found(cache, pin)]
    if missing:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache), *PLATFORM]
        done = subprocess.run([*command, *missing], capture_output=True, text=True, check=False)
        if done.returncode:
            node.missing(f"wheels for Pyodide: {done.stderr.strip()}")
    return [_found(cache, pin)[0] for pin in pins]


def _found(cache: Path, pin: str) -> list[Path]:
    name, version = pin.split("==")
    return list(cache.glob(f"{re.sub(r'[-_.]+', '_', name)}-{version}-*.whl"))


def ours(folder: Path) -> list[Path]:
    """The pure wheels of the SDK and of this distribution: those that nox built, or else from the sources."""
    built = os.environ.get("DURABLE_PRIMITIVES_TEST_PURE_WHEELS")
    if built:
        return sorted(path for one in built.split(os.pathsep) for path in Path(one).glob("*-none-any.whl"))
    return [
        _zipped(folder, "python", "durable_primitives", "durable_primitives_pytest"),
        _zipped(folder, "backends/cloudflare/src", "durable_primitives_cloudflare"),
    ]


def _zipped(folder: Path, source: str, package: str, *further: str) -> Path:
    """The sources in the shape of a wheel, named after the first package in it."""
    staging = folder / package / "wheel"
    known = distribution(package)
    for name in ("METADATA", "entry_points.txt"):
        (staging / f"{package}-0.dist-info").mkdir(parents=True, exist_ok=True)
        (staging / f"{package}-0.dist-info" / name).write_text(known.read_text(name) or "")
    ignore = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    for one in (package, *further):
        shutil.copytree(ROOT / source / one, staging / one, ignore=ignore)
    archive = shutil.make_archive(str(folder / package / "wheel"), "zip", staging)
    return Path(archive).rename(folder / f"{package}-0-py3-none-any.whl")
