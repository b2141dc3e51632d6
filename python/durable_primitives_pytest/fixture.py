"""What the fixture `durable_primitives` gives: imported when a test asks for it."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from durable_primitives.kernel.primitive import Definition
from durable_primitives.testing import TestPrimitives, create_test_primitives
from durable_primitives.testing.simulation.store import finish

T = TypeVar("T")


class OpenTestPrimitives:
    """Opens applications under test, and closes them with the test."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        """Of all that are opened, unless they are given another one: 0, or that of the marker ``durable_seeds``."""
        self._opened: list[tuple[TestPrimitives, AbstractAsyncContextManager[TestPrimitives]]] = []

    def __call__(self, *definitions: Definition, **options: Any) -> TestPrimitives:
        """An open application of these definitions; the options are those of `create_test_primitives`.

        Raises:
            DefinitionError: As `create_test_primitives`.
        """
        options.setdefault("seed", self.seed)
        manager = create_test_primitives(*definitions, **options)
        opened = finish(_enter(manager))
        self._opened.append((opened, manager))
        return opened

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a method of an application or of its client, for a test that is not ``async``.

        Example:
            >>> from durable_primitives import Queue
            >>> hooks = Queue.make("hooks", event_schema=str, execute=lambda ctx: print(ctx.event))
            >>> def test_hooks(durable_primitives):
            ...     t, wait = durable_primitives(hooks), durable_primitives.wait
            ...     wait(t.client.queue(hooks).enqueue("push"))
            ...     wait(t.run_until_idle())
            >>> test_hooks(OpenTestPrimitives(0))
            push
        """
        return finish(work)

    def timelines(self) -> list[tuple[str, list[str]]]:
        """What happened, a title and lines for each application."""
        return [
            (
                f"durable primitives: {', '.join(one.name for one in t.simulation.definitions)}, "
                f"seed {t.simulation.seed}, now {t.now:%Y-%m-%d %H:%M:%S}",
                [str(entry) for entry in t.trace],
            )
            for t, _ in self._opened
        ]

    def close(self, *, abandon: bool) -> None:
        """Shut all down in good order; or, after a failure that must stay the only one, as a power cut would."""
        for t, manager in reversed(self._opened):
            if abandon:
                t.simulation.close()
            else:
                finish(manager.__aexit__(None, None, None))
        self._opened.clear()


async def _enter(manager: AbstractAsyncContextManager[TestPrimitives]) -> TestPrimitives:
    return await manager.__aenter__()
