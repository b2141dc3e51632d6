"""Descriptors: a primitive is data plus a pure machine.

Engine, clients, tools and docs read a `Primitive`; none of them names one.  A new primitive is one new folder that
exports one descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from durable_primitives.errors import DefinitionError, PrimitiveNotFoundError
from durable_primitives.kernel.ids import check_name
from durable_primitives.kernel.record import Record

Mode = Literal["blind", "decide", "query"]


class Call(Struct, frozen=True, gc=False):
    """One request to one instance."""

    kind: str
    name: str
    id: str
    operation: str
    request: Any


class Operation(Struct, frozen=True, kw_only=True):
    """One thing that a client can ask of a primitive.

    `blind`: the handler ``(instance, request, now) -> Decision`` never reads; its transition carries its own guards.
    `decide`: ``(instance, snapshot, request, now) -> Decision`` decides on a snapshot and is asked again on a conflict.
    `query`: ``async (reader, instance, request, now) -> reply`` only reads.
    """

    name: str
    mode: Mode
    handler: str
    """The orchestrator's method."""
    summary: str
    request: Any
    """The type of its request, and below of its reply: what a call that leaves the process is encoded as."""
    reply: Any
    receipts: Callable[[Any], Sequence[str]] = lambda _: ()
    """Event ids whose receipts the decision must see."""
    letters: Callable[[Any], Sequence[str]] = lambda _: ()
    """Dead letters that the decision must see."""


class Definition(Protocol):
    """What `make` returns: a primitive with a name and its user's code."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> Sequence[str]: ...


class Orchestrator(Protocol):
    """The pure state machine of one definition.  No I/O, no clock: time and draws are arguments."""

    def revive(self, record: Record) -> str:
        """The status that a parked instance takes up again."""
        ...


class Primitive(Struct, frozen=True, kw_only=True):
    """The descriptor of one primitive."""

    kind: str
    operations: Mapping[str, Operation]
    orchestrator: Callable[[Any, str], Any]
    """Makes the orchestrator of a definition in a namespace (which its tracking events name)."""
    executor: Callable[[Any, Any, Any], Any]
    """Makes the executor of a definition from it, its orchestrator and the `Environment`."""
    client: Callable[..., Any]
    """Makes the typed client of a definition."""


class Registry:
    """The definitions of one application, by kind and name, and the primitives that they are definitions of."""

    def __init__(self, definitions: Sequence[Definition], primitives: Sequence[Primitive]) -> None:
        self._primitives = {primitive.kind: primitive for primitive in primitives}
        self._known: dict[tuple[str, str], Definition] = {}
        for definition in definitions:
            for name in (definition.name, *definition.aliases):
                self._add(check_name(name, f"the name of a {definition.kind}"), definition)

    def _add(self, name: str, definition: Definition) -> None:
        if (definition.kind, name) in self._known:
            raise DefinitionError(
                f"two {definition.kind} definitions are called {name!r}",
                help="give each definition of a kind its own name, and an old name to one definition only",
            )
        self._known[definition.kind, name] = definition

    def find(self, kind: str, name: str) -> Definition | None:
        """The definition that runs instances of this kind and name."""
        return self._known.get((kind, name))

    def get(self, kind: str, name: str) -> Definition:
        """`find`, or a `PrimitiveNotFoundError` with the nearest name."""
        found = self._known.get((kind, name))
        if found is None:
            raise PrimitiveNotFoundError(kind, name, [known for known_kind, known in self._known if known_kind == kind])
        return found

    def primitive(self, kind: str) -> Primitive:
        """The descriptor of a kind."""
        return self._primitives[kind]
