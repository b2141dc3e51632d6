"""The command and its subcommands."""

from __future__ import annotations

import click

from durable_primitives.cli.generate import generate


@click.group(name="durable-primitives")
@click.version_option(package_name="durable-primitives")
def command() -> None:
    """Durable background primitives per entity."""


command.add_command(generate)
