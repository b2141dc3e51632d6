"""The command ``durable-primitives``, with the extra ``[cli]``."""

from __future__ import annotations


def main() -> None:
    """Run the command, or say what it needs."""
    try:
        from durable_primitives.cli.command import command
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        raise SystemExit("the command needs click: pip install 'durable-primitives[cli]'") from error
    command()
