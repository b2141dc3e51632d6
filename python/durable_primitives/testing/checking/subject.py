"""What is checked: a definition whose pure parts are called twice, with all that its handlers can reach."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import is_dataclass
from typing import Any

from msgspec import structs

from durable_primitives.errors import ValidationError
from durable_primitives.primitives.buffer.gathering import ByReducer
from durable_primitives.services.schedule import Custom
from durable_primitives.testing.checking.effects import Effects
from durable_primitives.testing.checking.elsewhere import Elsewhere, may_differ
from durable_primitives.testing.checking.memory import Memory, reachable
from durable_primitives.testing.checking.pure import PureReducer, Twice
from durable_primitives.testing.checking.same import same
from durable_primitives.testing.checking.sources import named

Invariant = Callable[[Any], object]
"""A function of a state: what it returns is false, or it raises, if the state must not be."""

_HANDLERS = ("execute", "on_dead_letter", "on_error", "partition_key")


class Subject:
    """Definitions under check.

    Args:
        definitions: The one that is checked first; what its handlers send to may follow.
        effects: What the handlers do outside.
        invariants: What must hold of its state.
    """

    def __init__(self, *definitions: Any, effects: Effects | None = None, invariants: Iterable[Invariant] = ()) -> None:
        self.definition = definitions[0]
        self.definitions = definitions
        self.effects = effects
        self.invariants = tuple(invariants)
        self.tell: Callable[[str, str], None] = lambda law, why: None
        """Where those go that a pure function or a codec finds: to the history that runs."""
        self.laws: Collection[str] = ()
        """Those that the history holds."""
        self.functions = [function for one in definitions for function in user_functions(one)]
        self.memory = Memory(self.functions)
        self.twins = tuple(self._twin(one) for one in definitions)

    def _tell(self, law: str, why: str) -> None:
        self.tell(law, why)

    def _twin(self, definition: Any) -> Any:
        twin = copy.copy(definition)
        changes: dict[str, Any] = {}
        if definition.kind == "continuous":
            changes["codec"] = CheckedCodec(definition.codec, self)
            schedule = definition.lifecycle.plan.schedule
            if isinstance(schedule, Custom):
                pure = Custom(Twice(schedule.function, "schedule_is_pure", self._tell))
                plan = structs.replace(definition.lifecycle.plan, schedule=pure)
                changes["lifecycle"] = structs.replace(definition.lifecycle, plan=plan)
        elif definition.kind == "queue" and definition.partition_key is not None:
            changes["partition_key"] = Twice(definition.partition_key, "partition_key_is_pure", self._tell)
        elif definition.kind == "buffer" and definition.gathering.folds:
            changes["gathering"] = self._gathering(definition)
        for name, value in changes.items():
            (object.__setattr__ if is_dataclass(twin) else setattr)(twin, name, value)
        return twin

    def _gathering(self, definition: Any) -> ByReducer[Any, Any]:
        gathering: Any = definition.gathering
        invariants = self.invariants if definition is self.definition else ()
        state: Any = CheckedCodec(gathering.state, self, invariants)
        schemas = (definition.event.schema, gathering.state.schema)
        elsewhere = elsewhere_for(definition, gathering.reducer, schemas)
        reducer = PureReducer(gathering.reducer, definition.event, gathering.state, self._tell, elsewhere)
        return ByReducer(definition.event, state, reducer)


class CheckedCodec:
    """A codec of states that looks whether what is encoded comes back."""

    def __init__(self, codec: Any, subject: Subject, invariants: Sequence[Invariant] = ()) -> None:
        self.plain = codec
        """The codec itself."""
        self._subject = subject
        self._invariants = invariants

    def encode(self, value: Any) -> bytes:
        try:
            data: bytes = self.plain.encode(value)
        except ValidationError as error:
            self._subject.tell("state_fits_schema", f"it set a state that cannot be stored: {error}")
            raise
        decoded = self.plain.decode(data)
        if "state_round_trips" in self._subject.laws and not same(value, decoded):
            self._subject.tell("state_round_trips", f"it set {value!r}, and what is stored reads as {decoded!r}")
        for invariant in self._invariants:
            why = broken(invariant, decoded)
            if why is not None:
                self._subject.tell("invariant", why)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


def elsewhere_for(definition: Any, function: Any, schemas: Iterable[object]) -> Elsewhere | None:
    """Another interpreter to ask about this function; None if it can make no difference, or cannot be found there."""
    if not may_differ(reachable([function]), schemas):
        return None
    found = named(definition, getattr(function, "__module__", ""))
    return None if found is None else Elsewhere(definition, found[0])


def broken(invariant: Invariant, state: Any) -> str | None:
    """Why an invariant does not hold; None if it does."""
    name = getattr(invariant, "__name__", "the invariant")
    name = "an invariant" if name == "<lambda>" else name
    try:
        held = invariant(state)
    except Exception as error:
        return f"{name} raised {type(error).__name__}{f': {error}' if str(error) else ''} for {state!r}"
    return f"{name} does not hold for {state!r}" if held is not None and not held else None


def user_functions(definition: Any) -> list[object]:
    """The functions that a definition was made of."""
    found: list[object] = []
    for name in _HANDLERS:
        handler = getattr(definition, name, None)
        if handler is not None:
            handler = getattr(handler, "call", handler)
            found.append(getattr(handler, "__wrapped__", handler))
    gathering = getattr(definition, "gathering", None)
    if gathering is not None and gathering.folds:
        found.append(gathering.reducer)
    schedule = definition.lifecycle.plan.schedule if definition.kind == "continuous" else None
    if isinstance(schedule, Custom):
        found.append(schedule.function)
    return found


def related(definition: Any) -> tuple[Any, ...]:
    """The definition, and those that its functions refer to: what it sends to must be known."""
    found, waiting = [definition], [definition]
    while waiting:
        for function in reachable(user_functions(waiting.pop())):
            named = [function.__globals__.get(name) for name in function.__code__.co_names]
            named += [cell.cell_contents for cell in function.__closure__ or () if _has_content(cell)]
            for one in named:
                if _is_definition(one) and all(one is not other for other in found):
                    found.append(one)
                    waiting.append(one)
    return tuple(found)


def _has_content(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _is_definition(value: Any) -> bool:
    kinds = ("continuous", "buffer", "queue")
    return isinstance(getattr(type(value), "kind", None), str) and value.kind in kinds and hasattr(value, "execute")
