"""What is packaged is what Cloudflare's own tool would deploy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..node import node_command, node_modules
from .host import SOURCES

WRANGLER = "4.80.0"
"""The newest that runs on Node 20."""


@pytest.mark.timeout(600)  # the first time, wrangler is installed
def test_wrangler_accepts_the_folder_as_it_is(tmp_path: Path):
    project = shutil.copytree(SOURCES, tmp_path / "host")
    wrangler = node_modules(wrangler=WRANGLER) / "wrangler" / "bin" / "wrangler.js"
    environment = {**os.environ, "CI": "true", "WRANGLER_SEND_METRICS": "false", "HOME": str(tmp_path)}

    done = subprocess.run(
        [*node_command(), str(wrangler), "deploy", "--dry-run", "--outdir", str(tmp_path / "out")],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "env.STORE (DurablePrimitivesStore)" in done.stdout
    assert "DurablePrimitivesStore" in (tmp_path / "out" / "host.js").read_text()
