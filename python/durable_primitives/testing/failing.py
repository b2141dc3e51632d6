"""`fail`: the next calls that fit go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from durable_primitives.errors import DefinitionError
from durable_primitives.kernel.primitive import Definition
from durable_primitives.services.options import whole_number
from durable_primitives.testing.simulation import Point
from durable_primitives.testing.simulation.world import World

FailingSite = Literal["commit", "claim", "read", "renewal", "handler"]
When = Literal["before", "during", "after"]

FAILURES: Mapping[tuple[FailingSite, When], str] = {
    ("commit", "before"): "refuse",
    ("commit", "during"): "lose",
    ("commit", "after"): "lose the reply of",
    ("claim", "before"): "refuse",
    ("claim", "during"): "lose",
    ("claim", "after"): "lose the reply of",
    ("read", "before"): "refuse",
    ("renewal", "before"): "refuse",
    ("renewal", "after"): "lose the reply of",
    ("handler", "before"): "fail",
    ("handler", "after"): "fail the end of",
}
"""The fault that each of them stands for."""


class _ArmedFault:
    """The next few points that fit fail."""

    def __init__(
        self, world: World, site: str, fault: str, times: int, of: str, error: BaseException | None, spares: str
    ) -> None:
        self._world = world
        self._site = site
        self._fault = fault
        self._left = times
        self._of = of
        self._error = error
        self._spares = spares

    def fits(self, point: Point) -> str | None:
        if not self._left or point.site != self._site or point.actor == self._spares:
            return None
        if not f"{point.subject}:".startswith(self._of):
            return None
        self._left -= 1
        if self._error is not None:
            self._world.errors[point] = self._error
        return self._fault


def arm(
    world: World,
    site: FailingSite,
    *,
    times: int,
    when: When,
    of: Definition | str | None = None,
    error: BaseException | None = None,
    spares: str = "",
) -> None:
    """See `TestPrimitives.fail`; `spares` is the process to which it does not happen."""
    fault = FAILURES.get((site, when))
    if fault is None:
        known = ", ".join(f"({site!r}, when={when!r})" for site, when in FAILURES)
        raise DefinitionError(f"fail({site!r}, when={when!r}) is no failure", help=f"there are {known}")
    if error is not None and site != "handler":
        raise DefinitionError("error= says what a handler raises", help="a store raises StorageError")
    whom = "" if of is None else f"{of}:" if isinstance(of, str) else f"{of.kind}:{of.name}:"
    world.choices.armed.append(_ArmedFault(world, site, fault, whole_number(times, "times"), whom, error, spares))
