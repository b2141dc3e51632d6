"""Events and inputs to try: drawn from a strategy, the simplest first."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from durable_primitives.errors import DefinitionError, DurablePrimitivesError
from durable_primitives.testing.checking.same import is_a, record_fields
from durable_primitives.testing.checking.subject import Invariant, broken

COUNT = 40
"""How many values a check works with."""

_LARGE = 2**40


def values_for(definition: Any, given: Any, invariants: Iterable[Invariant], seed: int) -> list[Any]:
    """The values for one definition.

    Raises:
        DefinitionError: There are none: nothing was given and hypothesis is not installed, or all were refused.
    """
    codec = definition.event if definition.kind == "buffer" else definition.codec
    drawn = _draw(codec.schema, given, seed, codec.name)
    wanted = tuple(invariants) if definition.kind == "continuous" else ()
    found: dict[bytes, Any] = {}
    for value in drawn:
        try:
            data = codec.encode(value)
        except DurablePrimitivesError:
            if given is not None:
                raise
            continue
        if not any(broken(invariant, codec.decode(data)) for invariant in wanted):
            found.setdefault(data, value)
    if not found:
        raise DefinitionError(
            f"there is no value of {codec.name} to try", help="give examples: inputs=[...] or events=[...]"
        )
    return sorted(found.values(), key=lambda value: (len(repr(value)), repr(value)))[:COUNT]


def _draw(schema: Any, given: Any, seed: int, name: str) -> Sequence[Any]:
    if given is not None and not hasattr(given, "example"):
        return list(given)
    try:
        import hypothesis
    except ImportError as error:
        raise DefinitionError(
            f"check cannot invent values of {name} without hypothesis",
            help="install durable-primitives[testing], or give examples: inputs=[...] or events=[...]",
        ) from error
    from durable_primitives.testing.strategies import from_schema

    strategy = from_schema(schema) if given is None else given
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=3 * COUNT,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list[Any](hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    tame = [value for value in found if given is not None or _is_tame(value)]
    return tame or found


def _is_tame(value: Any) -> bool:
    """Whether its numbers are such as occur: overflows are no concern of most code."""
    if is_a(value, bool):
        return True
    if is_a(value, (int, float)):
        return math.isfinite(value) and abs(value) < _LARGE
    names = record_fields(value)
    if names is not None:
        return all(_is_tame(getattr(value, name, None)) for name in names)
    if is_a(value, Mapping):
        return all(map(_is_tame, value.values()))
    if is_a(value, (list, tuple, set, frozenset)):
        return all(map(_is_tame, value))
    return True
