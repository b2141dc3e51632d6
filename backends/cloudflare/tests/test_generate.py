"""``durable-primitives generate cloudflare``: what it writes is what `wrangler deploy` takes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from durable_primitives.cli.command import command
from durable_primitives_cloudflare.generate.command import cloudflare

from . import node

WRANGLER = "4.80.0"
"""The newest that runs on Node 20."""

APP = """
from durable_primitives import Queue, create_durable_primitives

@Queue.make("mails", event_schema=str)
async def mails(ctx): ...

primitives = create_durable_primitives(mails)
"""


def generate(*arguments: str) -> str:
    done = CliRunner().invoke(cloudflare, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def dry_run(project: Path) -> str:
    """What wrangler would deploy."""
    wrangler = node.node_modules(wrangler=WRANGLER) / "wrangler" / "bin" / "wrangler.js"
    done = subprocess.run(
        [*node.node_command(), str(wrangler), "deploy", "--dry-run", "--outdir", "out"],
        cwd=project,
        env={**os.environ, "WRANGLER_SEND_METRICS": "false", "CI": "true", "HOME": str(project)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(400)
def test_object_project_is_deployable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    generate("--mode", "object", "--app", "shop:primitives", "--out", "worker", "--name", "shop-worker")
    worker = tmp_path / "worker"
    shown = dry_run(worker)

    assert "from shop import primitives as primitives" in (worker / "src" / "entry.py").read_text()
    assert "DurablePrimitivesEngine" in shown
    sent = {path.relative_to(worker / "out").as_posix() for path in (worker / "out").rglob("*") if path.is_file()}
    for wanted in (
        "shop.py",
        "python_modules/durable_primitives/__init__.py",
        "python_modules/durable_primitives_cloudflare/object/sql/create_schema.sql",
        "python_modules/msgspec/__init__.py",
    ):
        assert wanted in sent, f"{wanted} is not among {len(sent)} files"
    assert not [path for path in sent if path.endswith(".so") and "durable_primitives" in path]


@pytest.mark.timeout(400)
def test_remote_project_is_deployable(tmp_path: Path):
    generate("--mode", "remote", "--out", str(tmp_path), "--name", "shop-store")

    assert "DurablePrimitivesStore" in dry_run(tmp_path)
    assert '"name": "shop-store"' in (tmp_path / "wrangler.jsonc").read_text()
    assert 'ENGINE_KEYS=""' in (tmp_path / ".dev.vars.example").read_text()


def test_what_belongs_to_the_user_is_left_alone(tmp_path: Path):
    arguments = ("--mode", "remote", "--out", str(tmp_path))
    generate(*arguments)
    (tmp_path / "wrangler.jsonc").write_text("mine")
    (tmp_path / "host.js").write_text("mine too")
    stale = CliRunner().invoke(cloudflare, [*arguments, "--check"])
    generate(*arguments)

    assert stale.exit_code == 1
    assert "host.js" in stale.output
    assert (tmp_path / "wrangler.jsonc").read_text() == "mine"
    assert "DurablePrimitivesStore" in (tmp_path / "host.js").read_text()
    generate(*arguments, "--check")


def test_object_needs_the_application():
    done = CliRunner().invoke(cloudflare, ["--mode", "object", "--out", "nowhere"])

    assert done.exit_code == 2
    assert "--app MODULE:NAME" in done.output


def test_it_is_a_subcommand_of_generate():
    done = CliRunner().invoke(command, ["generate", "--help"])

    assert done.exit_code == 0
    assert "cloudflare" in done.output
