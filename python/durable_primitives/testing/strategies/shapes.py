"""What both libraries' shapes have in common: records, which may hold themselves, and values that are refused."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from durable_primitives.errors import DefinitionError, ValidationError, unknown_option

Strategy = SearchStrategy[Any]

DEEPEST: Final = 2
"""How many times a record may be inside of itself."""

FEW: Final = 3
"""How many elements a collection inside of such a record has, where that is not declared."""

_ENOUGH = 40
_REFUSED = object()


class Attempt:
    """Makes a record of its fields, or whatever user code has a say in.  Counts what it refuses.

    Args:
        name: Of the schema.
        build: Raises for a value that is refused.
    """

    def __init__(self, name: str, build: Callable[[Any], Any]) -> None:
        self._name = name
        self._build = build
        self._accepted = 0
        self._refused = 0
        self._failure: tuple[str, str] | None = None

    @classmethod
    def each(cls, name: str, values: Strategy, build: Callable[[Any], Any]) -> Strategy:
        """``build(value)`` for each value; one for which it raises is left out.

        Drawing from it raises:
            DefinitionError: Nine of ten are left out.  Hypothesis would give up without a reason.
        """
        return values.map(cls(name, build)).filter(_is_accepted)

    def __repr__(self) -> str:
        return self._name

    def __call__(self, value: Any) -> Any:
        try:
            made = self._build(value)
        except Exception as error:
            self._refused += 1
            if self._refused >= _ENOUGH and self._refused > 9 * self._accepted:
                self._failure = self._failure or self._too_many(error)
                message, help = self._failure
                raise DefinitionError(message, help=help) from error
            return _REFUSED
        self._accepted += 1
        return made

    def _too_many(self, error: Exception) -> tuple[str, str]:
        return (
            f"{self._name} refuses {self._refused} of {self._refused + self._accepted} values that fit the types of "
            f"its fields, the last because {_reason(error)}",
            f"give the field a strategy (from_schema({self._name}, field=...)), register_strategy(its type, ...), "
            "or pass events= to check",
        )


def _is_accepted(made: object) -> bool:
    return made is not _REFUSED


class Shapes:
    """Derives the strategy of one schema.

    Args:
        root: The schema, if it is a record; its fields may be `given`.
        given: The strategies of some of its fields.
    """

    def __init__(self, name: str, root: Hashable, given: Mapping[str, Strategy]) -> None:
        self._name = name
        self._root = root
        self._given = given
        self._depth = 0
        self._open: frozenset[Hashable] = frozenset()
        self._made: dict[tuple[Hashable, int], Strategy] = {}

    def record(self, key: Hashable, make: Callable[[], Strategy]) -> Strategy:
        """The strategy of a record, made once per depth: so many times it is inside of itself, and no more."""
        before = self._depth, self._open
        if key in self._open:
            self._depth, self._open = self._depth + 1, frozenset()
        try:
            if self._depth > DEEPEST:
                return st.nothing()
            at = (key, self._depth)
            if at not in self._made:
                self._open |= {key}
                self._made[at] = make()
            return self._made[at]
        finally:
            self._depth, self._open = before

    def fields(
        self, key: Hashable, declared: Mapping[str, tuple[bool, Callable[[], Strategy]]]
    ) -> SearchStrategy[dict[str, Any]]:
        """Its fields: by name, whether one may be left out, and how to derive it."""
        given: Mapping[str, Strategy] = self._given if key == self._root else {}
        for name in given:
            if name not in declared:
                raise unknown_option(name, declared, f"from_schema({self._name})")
        required: dict[str, Strategy] = {}
        optional: dict[str, Strategy] = {}
        for name, (may_be_absent, derive) in declared.items():
            if name in given:
                required[name] = given[name]
            else:
                (optional if may_be_absent else required)[name] = derive()
        return st.fixed_dictionaries(required, optional=optional)

    def sizes(self, least: int | None, most: int | None) -> dict[str, int | None]:
        """How many elements a collection has."""
        if most is None and self._depth:
            most = max(FEW, least or 0)
        return {"min_size": least or 0, "max_size": most}

    def many(self, items: Strategy, least: int | None, most: int | None, *, unique: bool = False) -> Strategy:
        """Lists; only the empty one, where its elements would be too deep."""
        if items.is_empty:
            return st.nothing() if least else st.builds(list[Any])
        return st.lists(items, unique=unique, **self.sizes(least, most))  # type: ignore[arg-type]

    def pairs(self, keys: Strategy, values: Strategy, least: int | None, most: int | None) -> Strategy:
        """Dicts; only the empty one, where its values would be too deep."""
        if keys.is_empty or values.is_empty:
            return st.nothing() if least else st.builds(dict[Any, Any])
        return st.dictionaries(keys, values, **self.sizes(least, most))  # type: ignore[arg-type]


SIMPLE_FACTORIES: Final = (list, dict, set, frozenset, tuple, bytearray)
"""Default factories that give the same value every time.  Any other may ask the clock, so it is never called."""


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.issues[0]
        return f"{first.path} is {first.message}" + (f": {first.detail}" if first.detail else "")
    return f"of {type(error).__name__}: {' '.join(str(error).split())}"
