"""The tables of docs/reference say what the code says: they are written from it, and compared with it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import durable_primitives
from durable_primitives import errors
from durable_primitives.errors import DurablePrimitivesError, StorageError
from durable_primitives.events import EVENT_TYPES, PrimitiveEvent
from durable_primitives.testing.checking.hints import HINTS
from durable_primitives.testing.checking.trial import ALL_LAWS
from durable_primitives.testing.laws import LAWS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCE = ROOT / "python" / "durable_primitives"

SILENT_EVENTS = {"instance.purged"}
SILENT_ERRORS = {"RetryExhaustedError", "SchedulerError"}
"""Names that are reserved and that this release never uses."""

EVENTS_PAGE = """# Tracking events

What a tracker is told ([how to listen](../how-to/track-events.md)). Every event says `type`, `at_ms`, `namespace`,
`kind`, `name` and `instance_id`; the tables list what it says besides. A field with its default value is left out of
the JSON. Times are milliseconds since the epoch, UTC. No event holds a payload or a state.

The level is how loud an event is in a log: `debug` is steady traffic, `warning` will be tried again, `error` needs
somebody.
"""

ERRORS_PAGE = """# Errors

All errors derive from `DurablePrimitivesError` and are imported from `durable_primitives`. Each has a `code`, which is
stable between releases, a `message` (what was given and what was expected) and a `help` (what to do); `str(error)` is
the two together. No text holds a payload.

A `StorageError` has `backend` and `outcome`: `applied` or `not_applied` where that is known, otherwise `unknown`.
Repeating a call with the same id is safe in all three cases.
"""


def test_page_of_events_is_current(assert_snapshot: Callable[[Path, str], None]):
    assert_snapshot(REFERENCE / "events.md", "\n".join([EVENTS_PAGE, *event_tables()]))


def test_page_of_errors_is_current(assert_snapshot: Callable[[Path, str], None]):
    assert_snapshot(REFERENCE / "errors.md", "\n".join([ERRORS_PAGE, *error_tables()]))


def test_page_of_laws_is_current():
    page = (REFERENCE / "laws.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M))
    advice = {name: row.partition(" | ")[2] for name, row in rows.items() if name not in LAWS}

    assert set(rows) == ALL_LAWS
    assert advice == HINTS
    assert {name: rows[name] for name in LAWS} == {
        name: (law.__doc__ or "").replace("``", "`") for name, law in LAWS.items()
    }


def test_every_event_is_sent_by_somebody_or_said_to_be_silent():
    used = names_used_outside("events")

    assert {name for name, event in EVENT_TYPES.items() if event.__name__ not in used} == SILENT_EVENTS


def test_every_error_is_raised_by_somebody_or_said_not_to_be():
    used = names_used_outside("errors.py")

    assert {error.__name__ for error in error_classes()} - used == SILENT_ERRORS


def test_every_error_can_be_imported_from_the_package():
    assert set(error_classes()) <= {getattr(durable_primitives, name) for name in durable_primitives.__all__}


def event_tables() -> Iterator[str]:
    for family, members in groupby(EVENT_TYPES.items(), key=lambda entry: entry[0].partition(".")[0]):
        yield f"## {family}\n"
        yield from table(("type", "level", "when", "fields"), [event_row(name, event) for name, event in members])


def event_row(name: str, event: type[PrimitiveEvent]) -> tuple[str, ...]:
    own = [field for field in event.__struct_fields__ if field not in PrimitiveEvent.__struct_fields__]
    when = summary(event) + (" Not sent by this release." if name in SILENT_EVENTS else "")
    return f"`{name}`", event.severity, when, names(own)


def error_tables() -> Iterator[str]:
    classes = error_classes()
    storage = [error for error in classes if issubclass(error, StorageError)]
    for title, members in (
        ("Definitions, calls and user code", [error for error in classes if error not in storage]),
        ("Storage", storage),
    ):
        yield f"## {title}\n"
        yield from table(("error", "code", "when", "what to do", "fields"), [error_row(error) for error in members])


def error_row(error: type[DurablePrimitivesError]) -> tuple[str, ...]:
    generic = error.help == DurablePrimitivesError.help
    parameters = inspect.signature(error).parameters
    hidden = {"message", "help", "cause", "known", "code", "backend", "outcome"}
    when = summary(error) + (" Not raised by this release." if error.__name__ in SILENT_ERRORS else "")
    return (
        f"`{error.__name__}`",
        f"`{error.code}`",
        when,
        "what its `help` says" if generic else error.help,
        names([name for name in parameters if name not in hidden]),
    )


def error_classes() -> list[type[DurablePrimitivesError]]:
    """In the order in which they are defined, without the root."""
    own = [value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__]
    return [value for value in own if issubclass(value, DurablePrimitivesError) and value is not DurablePrimitivesError]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def names(listed: Sequence[str]) -> str:
    return " ".join(f"`{name}`" for name in listed)


def summary(documented: type) -> str:
    """The first paragraph of a docstring, in Markdown."""
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split()).replace("``", "`")


def names_used_outside(module: str) -> set[str]:
    """Every name that the code of the other modules mentions, imports aside."""
    trees = [ast.parse(path.read_text()) for path in SOURCE.rglob("*.py") if module not in path.parts]
    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
