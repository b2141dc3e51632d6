"""A case is one promise of the contract: an async function over an open store, named after what it promises."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Literal, final
from unittest import SkipTest

from durable_primitives.spi.backend import Backend
from durable_primitives.testing.conformance._store import Harness, Store

Capability = Literal["durable", "multi_process"]
Body = Callable[[Store], Awaitable[None]]


@final
class Case:
    """One promise, ready to be tried: ``await case(harness)``.

    It fails with an `AssertionError` that says what was expected and what was there, and raises `unittest.SkipTest`
    (which pytest knows too) where the backend does not claim the capability that the promise is about.

    Attributes:
        name: The property and the promise, for example ``leases.a_lost_lease_commits_nothing``.
        promise: Its docstring, with the number of the law.
        needs: The capabilities without which the promise does not apply.
    """

    def __init__(self, body: Body, *needs: Capability) -> None:
        name = getattr(body, "__name__", "case")
        self.name = f"{body.__module__.rpartition('.')[2]}.{name}"
        self.promise = body.__doc__ or ""
        self.needs = needs
        self.__name__ = name
        self._body = body

    async def __call__(self, harness: Harness) -> None:
        """Try it on a fresh store of its own."""
        async with AsyncExitStack() as opened:
            store = await Store.open(harness, harness.make(), opened)
            missing = [name for name in self.needs if not getattr(store.backend.capabilities, name)]
            if missing:
                raise SkipTest(f"the backend does not claim to be {' and '.join(missing)}")
            await self._body(store)

    def __repr__(self) -> str:
        return f"<case {self.name}>"


def case(body: Body) -> Case:
    """Makes a promise that holds for every backend."""
    return Case(body)


def case_for(*needs: Capability) -> Callable[[Body], Case]:
    """Makes a promise of those backends only that claim these capabilities."""
    return lambda body: Case(body, *needs)


@final
class FactoryHarness:
    """The harness that two functions make."""

    def __init__(self, make: Callable[[], Backend], reopen: Callable[[Backend], Backend] | None = None) -> None:
        self._make, self._reopen = make, reopen

    def make(self) -> Backend:
        """A backend on a fresh store."""
        return self._make()

    def reopen(self, backend: Backend) -> Backend:
        """Another backend on the same store."""
        if self._reopen is None:
            raise TypeError(
                f"the store at {backend.url} outlives its backend, so this promise needs to open it again; give the "
                "suite `reopen=`, a function from a backend to another, unopened one on the same store"
            )
        return self._reopen(backend)
