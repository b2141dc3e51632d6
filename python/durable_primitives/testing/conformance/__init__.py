"""What every backend promises, as cases that anybody can run: one file per property, one case per promise.

One line, for a backend whose store ends with it:

>>> from durable_primitives.backends.memory import MemoryBackend
>>> from durable_primitives.testing import conformance
>>> report = conformance.run(MemoryBackend, only="guards")
>>> report.passed[0]
'guards.guards_on_an_absent_instance'

For a store that outlives its backend, say how it is opened again:

>>> conformance.run(
...     lambda: MyBackend(tempfile.mktemp()), reopen=lambda backend: MyBackend(backend.path)
... )  # doctest: +SKIP

Under pytest, every promise is a test of its own:

>>> CASES = dict(conformance.cases())
>>> @pytest.mark.parametrize("name", CASES)  # doctest: +SKIP
... async def test_my_backend(name):
...     await CASES[name](conformance.FactoryHarness(MyBackend))

The suite takes its time from the transitions, so it never sleeps, and reads capabilities, never a backend's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from unittest import SkipTest

from msgspec import Struct

from durable_primitives.spi.backend import Backend
from durable_primitives.testing.conformance import (
    atomicity,
    dues,
    generations,
    guards,
    idempotency,
    leases,
    letters,
    lifetimes,
    model,
    namespaces,
    ordering,
    recovery,
    scan,
    sweep,
    wakeups,
)
from durable_primitives.testing.conformance._case import Case, FactoryHarness
from durable_primitives.testing.conformance._store import Harness

__all__ = ["PROPERTIES", "Case", "FactoryHarness", "Harness", "Report", "cases", "run"]

_MODULES = (
    atomicity,
    guards,
    ordering,
    idempotency,
    dues,
    leases,
    generations,
    lifetimes,
    letters,
    scan,
    sweep,
    recovery,
    wakeups,
    namespaces,
    model,
)

PROPERTIES = tuple(module.__name__.rpartition(".")[2] for module in _MODULES)
"""What the suite checks, in the order in which it does."""


class Report(Struct, frozen=True):
    """What a run found: the names of the cases that passed, and of those that were skipped with the reason."""

    passed: tuple[str, ...]
    skipped: dict[str, str]


def cases(only: str | None = None) -> Iterator[tuple[str, Case]]:
    """Every promise as ``(name, case)``; ``await case(harness)`` tries it on a fresh store.

    Args:
        only: A property (``"leases"``) or the full name of a case; None is all of them.

    Raises:
        ValueError: Nothing is called like `only`.
    """
    every = [value for module in _MODULES for value in vars(module).values() if isinstance(value, Case)]
    chosen = [case for case in every if only is None or only in {case.name, case.name.partition(".")[0]}]
    if not chosen:
        raise ValueError(f"no case is called {only!r}; give the name of a case, or of one of {', '.join(PROPERTIES)}")
    return ((case.name, case) for case in chosen)


def run(
    backend_factory: Callable[[], Backend],
    *,
    reopen: Callable[[Backend], Backend] | None = None,
    only: str | None = None,
) -> Report:
    """Try every promise on backends that `backend_factory` makes: each call of it gives one on a fresh, empty store.

    Promises that need a capability are skipped where the backend does not claim it.

    Args:
        backend_factory: Makes a backend that is not open yet.
        reopen: Makes another one on the store of the given backend; for those that are `durable` or `multi_process`.
        only: A property or a case, as in `cases`.

    Raises:
        ExceptionGroup: One error per case that failed, each with the case's name and promise as a note.
    """
    harness = FactoryHarness(backend_factory, reopen)
    passed: list[str] = []
    skipped: dict[str, str] = {}
    failures: list[Exception] = []
    for name, case in cases(only):
        try:
            asyncio.run(case(harness))
        except SkipTest as reason:
            skipped[name] = str(reason)
        except Exception as error:
            error.add_note(f"{name}: {case.promise}")
            failures.append(error)
        else:
            passed.append(name)
    if failures:
        total = len(failures) + len(passed)
        raise ExceptionGroup(f"{len(failures)} of {total} promises of a backend are not kept", failures)
    return Report(tuple(passed), skipped)
