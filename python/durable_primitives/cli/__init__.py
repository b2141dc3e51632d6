"""The command ``durable-primitives``, with the extra ``[cli]``.

What it generates comes from whoever is installed: an entry point of the group ``durable_primitives.generators`` names
a click command.
"""

from __future__ import annotations

from typing import NoReturn

try:
    import click
except ImportError as error:  # the extra is not installed

    def main() -> NoReturn:
        """Say what is missing."""
        raise SystemExit("the command needs click: pip install 'durable-primitives[cli]'") from error

else:
    from durable_primitives.cli.generate import generate

    @click.group()
    @click.version_option(package_name="durable-primitives")
    def main() -> None:
        """Durable background primitives per entity."""

    main.add_command(generate)
