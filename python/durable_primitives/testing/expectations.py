"""What a test can say about events and schedules, and what it is told instead if that is not so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar, overload

from durable_primitives.durations import Duration, format_ms, parse
from durable_primitives.errors import unknown_option
from durable_primitives.kernel.ids import split_instance
from durable_primitives.primitives.buffer import BufferDefinition
from durable_primitives.primitives.continuous import ContinuousDefinition
from durable_primitives.primitives.queue import QueueDefinition
from durable_primitives.testing.simulation import Simulation
from durable_primitives.testing.simulation.accepted import Accepted

E = TypeVar("E")

_SHOWN = 5
_WIDTH = 80


class _Any:
    def __repr__(self) -> str:
        return "ANY"


ANY: Any = _Any()
"""Whatever the event is."""


class Expectations:
    """Assertions about what a simulation was sent, since it began."""

    simulation: Simulation

    # Queues.

    @overload
    def assert_enqueued(
        self,
        queue: QueueDefinition[E],
        event: E = ...,
        *,
        where: Callable[[E], bool] | None = ...,
        id: str | None = ...,
        partition_key: str | None = ...,
        count: int | None = ...,
    ) -> list[E]: ...
    @overload
    def assert_enqueued(
        self,
        queue: str,
        event: Any = ...,
        *,
        where: Callable[[Any], bool] | None = ...,
        id: str | None = ...,
        partition_key: str | None = ...,
        count: int | None = ...,
    ) -> list[Any]: ...
    def assert_enqueued(
        self,
        queue: QueueDefinition[Any] | str,
        event: Any = ANY,
        *,
        where: Callable[[Any], bool] | None = None,
        id: str | None = None,
        partition_key: str | None = None,
        count: int | None = None,
    ) -> list[Any]:
        """An event was accepted by a queue, by a call of the test or of a handler, whatever became of it since.

        Args:
            queue: The definition or its name.
            event: What it equals.
            where: What is true of it.
            id: Its event id.
            partition_key: Its key.
            count: How many such events there are; at least one, if it is not given.

        Returns:
            The events, in the order of their acceptance.
        """
        wanted = _Wanted(event, where, {"id": id, "lane": partition_key})
        return self._sent("queue", _name(queue), None, "enqueued to").expect(wanted, count)

    def refute_enqueued(
        self,
        queue: QueueDefinition[Any] | str,
        event: Any = ANY,
        *,
        where: Callable[[Any], bool] | None = None,
        id: str | None = None,
        partition_key: str | None = None,
    ) -> None:
        """No such event was accepted by a queue."""
        wanted = _Wanted(event, where, {"id": id, "lane": partition_key})
        self._sent("queue", _name(queue), None, "enqueued to").expect(wanted, 0)

    # Buffers.

    @overload
    def assert_buffered(
        self,
        buffer: BufferDefinition[E, Any],
        id: str,
        event: E = ...,
        *,
        where: Callable[[E], bool] | None = ...,
        event_id: str | None = ...,
        count: int | None = ...,
    ) -> list[E]: ...
    @overload
    def assert_buffered(
        self,
        buffer: str,
        id: str,
        event: Any = ...,
        *,
        where: Callable[[Any], bool] | None = ...,
        event_id: str | None = ...,
        count: int | None = ...,
    ) -> list[Any]: ...
    def assert_buffered(
        self,
        buffer: BufferDefinition[Any, Any] | str,
        id: str,
        event: Any = ANY,
        *,
        where: Callable[[Any], bool] | None = None,
        event_id: str | None = None,
        count: int | None = None,
    ) -> list[Any]:
        """An event was accepted by the buffer of an id, whether it has been flushed since or not.

        Arguments and result are those of `assert_enqueued`.
        """
        wanted = _Wanted(event, where, {"id": event_id})
        return self._sent("buffer", _name(buffer), id, "added to").expect(wanted, count)

    def refute_buffered(
        self,
        buffer: BufferDefinition[Any, Any] | str,
        id: str,
        event: Any = ANY,
        *,
        where: Callable[[Any], bool] | None = None,
        event_id: str | None = None,
    ) -> None:
        """No such event was accepted by the buffer of an id."""
        wanted = _Wanted(event, where, {"id": event_id})
        self._sent("buffer", _name(buffer), id, "added to").expect(wanted, 0)

    def _sent(self, kind: str, name: str, id: str | None, how: str) -> _Sent:
        return _Sent(self.simulation, kind, name, id, how)

    # Continuous.

    def assert_scheduled(
        self,
        continuous: ContinuousDefinition[Any] | str,
        id: str,
        *,
        at: datetime | None = None,
        within: Duration | None = None,
    ) -> datetime:
        """A Continuous has a next run.

        Args:
            continuous: The definition or its name.
            id: The id that it was started with.
            at: When exactly it is.
            within: How soon it is, at the latest.

        Returns:
            When it is.
        """
        name = _name(continuous)
        who = f"{name!r} {id!r}"
        due, why = self._next_run(name, id)
        if due is None:
            raise AssertionError(f"no run of {who} is scheduled: {why}; {self._scheduled(name)}")
        if at is not None and due != at:
            raise AssertionError(f"the next run of {who} is scheduled for {due}, not for {at}")
        if within is not None and due - self.simulation.now > parse(within, what="within"):
            left = format_ms(round((due - self.simulation.now).total_seconds() * 1000))
            raise AssertionError(f"the next run of {who} is scheduled for {due}, in {left}, not within {within}")
        return due

    def refute_scheduled(self, continuous: ContinuousDefinition[Any] | str, id: str) -> None:
        """A Continuous has no next run: it was stopped, is paused, or does not exist."""
        name = _name(continuous)
        due, _ = self._next_run(name, id)
        if due is not None:
            raise AssertionError(f"a run of {name!r} {id!r} is scheduled for {due}")

    def _next_run(self, name: str, id: str) -> tuple[datetime | None, str]:
        world = self.simulation
        status = world.run_call(world.client_process.client.continuous(name).status(id))
        return status.next_run_at, "there is none" if status.status == "not_found" else f"it is {status.status}"

    def _scheduled(self, name: str) -> str:
        ids = [split_instance(one.instance) for one in self.simulation.store.records() if one.alarm is not None]
        others = [id for kind, other, id in ids if kind == "continuous" and other == name]
        return f"scheduled are {_listed(others)}" if others else f"nothing of {name!r} is scheduled"


class _Wanted:
    """Which events count."""

    def __init__(self, event: Any, where: Callable[[Any], bool] | None, fields: dict[str, str | None]) -> None:
        self._event = event
        self._where = where
        self._fields = {name: value for name, value in fields.items() if value is not None}

    def fits(self, sent: Accepted, event: Any) -> bool:
        return (
            (self._event is ANY or event == self._event)
            and (self._where is None or self._where(event))
            and all(getattr(sent.item, name) == value for name, value in self._fields.items())
        )

    def __str__(self) -> str:
        parts = [] if self._event is ANY else [_short(self._event)]
        parts += [f"{'partition_key' if name == 'lane' else name}={value!r}" for name, value in self._fields.items()]
        parts += [] if self._where is None else ["where=..."]
        return " with ".join(parts)


class _Sent:
    """What one definition, or one id of it, was sent."""

    def __init__(self, world: Simulation, kind: str, name: str, id: str | None, how: str) -> None:
        known = [one.name for one in world.definitions if one.kind == kind]
        if name not in known:
            raise unknown_option(name, known, f"this {kind} test")
        self._world, self._kind, self._name, self._id, self._how = world, kind, name, id, how
        definition: Any = world.registry.get(kind, name)
        self._codec = definition.codec if kind == "queue" else definition.event

    @property
    def _whom(self) -> str:
        return f"{self._name!r}" if self._id is None else f"{self._name!r} {self._id!r}"

    def expect(self, wanted: _Wanted, count: int | None) -> list[Any]:
        mine = [
            (sent, self._codec.decode(sent.item.payload))
            for sent in self._world.accepted.entries
            if self._is_mine(sent)
        ]
        found = [event for sent, event in mine if wanted.fits(sent, event)]
        if count is None and not found and not mine:
            raise AssertionError(f"nothing was {self._how} {self._whom}; {self._elsewhere()}")
        if (count is None and not found) or (count is not None and count != len(found)):
            raise AssertionError(self._mismatch(wanted, count, found, [event for _, event in mine]))
        return found

    def _mismatch(self, wanted: _Wanted, count: int | None, found: list[Any], mine: list[Any]) -> str:
        what = f"{wanted} was" if str(wanted) else "something was"
        if count is None:
            return f"{wanted} was not {self._how} {self._whom}; {self._how} it: {_listed(mine)}"
        times = "not to be" if count == 0 else f"to be {count} times"
        expected = f"{what} expected {times} {self._how} {self._whom}, and was {len(found)} times"
        return f"{expected}: {_listed(found)}" if found else f"{expected}; {self._how} it: {_listed(mine)}"

    def _is_mine(self, sent: Accepted) -> bool:
        kind, name, id = split_instance(sent.instance)
        return (kind, name) == (self._kind, self._name) and (self._id is None or id == self._id)

    def _elsewhere(self) -> str:
        counts: dict[str, int] = {}
        for sent in self._world.accepted.entries:
            kind, name, id = split_instance(sent.instance)
            if kind == self._kind:
                whom = f"{name!r}" if self._id is None else f"{name!r} {id!r}"
                counts[whom] = counts.get(whom, 0) + 1
        if not counts:
            return f"no {self._kind} has got any event"
        told = [f"{whom}: {count} event{'s' if count != 1 else ''}" for whom, count in counts.items()]
        return f"{self._how} {', '.join(told)}"


def _name(which: Any) -> str:
    name: str = which if isinstance(which, str) else which.name
    return name


def _listed(values: Iterable[Any]) -> str:
    every = list(values)
    shown = ", ".join(map(_short, every[:_SHOWN])) or "nothing"
    return f"{shown} and {len(every) - _SHOWN} more" if len(every) > _SHOWN else shown


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"
