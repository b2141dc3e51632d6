"""``durable-primitives generate``: its subcommands come from whoever is installed.

An entry point of the group ``durable_primitives.generators`` names a click command.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import click

GROUP = "durable_primitives.generators"


class Generators(click.Group):
    """The commands of the entry-point group, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(point.name for point in entry_points(group=GROUP))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for point in entry_points(group=GROUP, name=cmd_name):
            command: click.Command = point.load()
            return command
        return None


@click.command(cls=Generators)
def generate() -> None:
    """Write files from an application."""
