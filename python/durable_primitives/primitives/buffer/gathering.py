"""How events become the state that `execute` sees: as a list in order, or by a reducer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Never, Protocol, TypeVar

from durable_primitives.durations import to_datetime
from durable_primitives.errors import DefinitionError, ReducerError, SerializationError
from durable_primitives.kernel.ids import split_instance
from durable_primitives.kernel.transition import NewItem
from durable_primitives.primitives.buffer.context import BufferEventContext
from durable_primitives.primitives.buffer.stored import Batch, Folded
from durable_primitives.schema import Codec
from durable_primitives.signals import Signal

E = TypeVar("E")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

Reducer = Callable[[BufferEventContext[E, S]], S]
"""Pure: it may be called again for the same event, and must not do I/O."""


class Append:
    """The events in order, as a list.  Made by `Reduce.append`."""


class Latest:
    """The last event.  Made by `Reduce.latest`."""


class Reduce:
    """Ready-made reducers, for ``on_event=``."""

    @staticmethod
    def append() -> Append:
        """The state is the list of events in order.  This is what a buffer does without `on_event`."""
        return Append()

    @staticmethod
    def latest() -> Latest:
        """The state is the last event; the ones before it only count."""
        return Latest()

    @staticmethod
    def count() -> Never:
        """Not available in this release."""
        raise _not_yet("Reduce.count()")

    @staticmethod
    def merge() -> Never:
        """Not available in this release."""
        raise _not_yet("Reduce.merge()")

    @staticmethod
    def distinct(key: Callable[[Any], Any]) -> Never:
        """Not available in this release."""
        raise _not_yet("Reduce.distinct(key)")


def _not_yet(what: str) -> DefinitionError:
    return DefinitionError(f"{what} is not available in this release", help="write on_event as a function for now")


class Gathering(Protocol[S_co]):
    """One of the two ways."""

    @property
    def folds(self) -> bool:
        """Whether each event is folded into a state as it comes."""
        ...

    def read(self, instance: str, batch: Batch) -> S_co:
        """The state of a batch, decoded anew.

        Raises:
            SerializationError: It no longer decodes.
        """
        ...


class InOrder(Generic[E]):
    """The list of events.  An event is stored as it comes, and decoded when the batch is flushed."""

    folds = False

    def __init__(self, event: Codec[E]) -> None:
        self._event = event

    def read(self, instance: str, batch: Batch) -> list[E]:
        """The events, in the order of their acceptance."""
        if batch.state is not None:
            raise SerializationError(
                self._event.name,
                expected="a list of events",
                found="the state that an on_event made of them",
                code="wrong_schema",
                help="bring on_event back; the bytes are left untouched",
            )
        return self._event.decode_many(batch.events)


class ByReducer(Generic[E, S]):
    """What a reducer makes of the events.  Each is folded as it comes, and only the state is stored."""

    folds = True

    def __init__(self, event: Codec[E], state: Codec[S], reducer: Reducer[E, S]) -> None:
        self._event = event
        self.state = state
        self.reducer = reducer

    def fold(self, instance: str, folded: Folded | None, item: NewItem, now: int) -> Folded:
        """The open batch with one more event.

        Raises:
            ReducerError: The reducer raised, or returned what is not a valid state.
            SerializationError: The state so far does not decode.
        """
        return self._fold(instance, folded, item.id, item.payload, now)

    def read(self, instance: str, batch: Batch) -> S:
        """The state.  Events that were stored before there was a reducer are folded now."""
        folded: Folded | None = None
        if batch.state is not None:
            folded = Folded(state=batch.state, count=batch.count, first_at=batch.first_at, last_at=batch.last_at)
        for payload in batch.events:
            folded = self._fold(instance, folded, None, payload, batch.first_at)
        assert folded is not None
        return self.state.decode(folded.state)

    def _fold(self, instance: str, folded: Folded | None, event_id: str | None, payload: bytes, now: int) -> Folded:
        first_at = now if folded is None else folded.first_at
        count = 1 if folded is None else folded.count + 1
        context = BufferEventContext(
            id=split_instance(instance)[2],
            event=self._event.decode(payload),
            event_id=event_id,
            state=None if folded is None else self.state.decode(folded.state),
            event_count=count,
            first_event_at=to_datetime(first_at),
        )
        try:
            state = self.state.encode(self.reducer(context))
        except (Exception, Signal) as error:
            raise ReducerError(instance, event_id, cause=error) from error
        return Folded(state=state, count=count, first_at=first_at, last_at=now)
