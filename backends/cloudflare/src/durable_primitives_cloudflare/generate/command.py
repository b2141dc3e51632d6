"""The command line of the generator."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from durable_primitives.errors import DurablePrimitivesError
from durable_primitives_cloudflare.generate.project import Project
from durable_primitives_cloudflare.generate.vendor import copy_application, vendor


@click.command()
@click.option("--mode", type=click.Choice(["object", "remote"]), required=True, help="Where the engine runs.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The project's folder.")
@click.option("--name", default="durable-primitives", show_default=True, help="The name of the Worker.")
@click.option("--app", metavar="MODULE:NAME", help="What create_durable_primitives returned (mode object).")
@click.option("--with", "further", multiple=True, metavar="REQUIREMENT", help="A package that handlers need.")
@click.option("--check", is_flag=True, help="Write nothing; fail if something is not as it would be written.")
def cloudflare(mode: str, out: Path, name: str, app: str | None, further: tuple[str, ...], check: bool) -> None:
    """A project for Cloudflare Durable Objects, ready for wrangler deploy."""
    module, _, attribute = (app or "").partition(":")
    if mode == "object" and not (module and attribute):
        raise click.UsageError("--mode object needs --app MODULE:NAME, for example --app shop.background:primitives")
    project = Project(mode="object" if mode == "object" else "remote", name=name, module=module, attribute=attribute)
    if check:
        outdated = project.outdated(out)
        for path in outdated:
            click.echo(f"not as it would be written: {path}")
        raise SystemExit(1 if outdated else 0)
    sys.path.insert(0, os.getcwd())
    try:
        written = project.write(out)
        if mode == "object":
            copy_application(out, module)
            vendor(out, further)
    except DurablePrimitivesError as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"next: {out / 'README.md'}")
