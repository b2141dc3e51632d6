"""What waits for its round trip: in the order in which it came, each partition of the store by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from msgspec import structs

from durable_primitives.kernel.transition import NewItem, Outcome, Transition, payload_bytes

MAX_BATCH = 1000
"""Transitions of one round trip."""

MAX_BATCH_BYTES = 8 << 20
"""Of their payloads, unless it is one transition: more of them at once go no faster, and are held twice in memory."""

MAX_JOINED = 1000
"""Items of one joined append."""

MAX_JOINED_BYTES = 1 << 20
"""Of their payloads: a backend cannot part a transition, and beside long payloads there is little to save."""

Answer = tuple[asyncio.Future[Outcome], Outcome]


class Entry:
    """One transition that waits to leave, and who waits for it.

    Appends of several callers to one instance leave as one transition: what is done once per transition, here and in
    the backend, is then done once for all of them.
    """

    __slots__ = ("_joined", "callers", "size", "transition")

    def __init__(self, transition: Transition, future: asyncio.Future[Outcome], size: int) -> None:
        self.transition, self.size = transition, size
        self.callers = [(future, len(transition.append))]
        self._joined: list[NewItem] | None = None

    def join(self, transition: Transition, future: asyncio.Future[Outcome], size: int) -> bool:
        """Take another append in, if it says the same but for its items."""
        if transition.create is not self.transition.create or self.size + size > MAX_JOINED_BYTES:
            return False
        if self._joined is None:
            self._joined = list(self.transition.append)
        if len(self._joined) + len(transition.append) > MAX_JOINED:
            return False
        self._joined += transition.append
        self.callers.append((future, len(transition.append)))
        self.transition = transition
        self.size += size
        return True

    def sealed(self) -> Transition:
        """The transition as it leaves."""
        if self._joined is None:
            return self.transition
        # The last one's time: no item was accepted later than that.
        return structs.replace(self.transition, append=tuple(self._joined))

    def answers(self, outcome: Outcome) -> Iterator[Answer]:
        """Every caller with its part of the outcome."""
        if len(self.callers) == 1:
            yield self.callers[0][0], outcome
            return
        start = 0
        for future, count in self.callers:
            mine = outcome.accepted[start : start + count]
            yield future, Outcome(verdict=outcome.verdict, count=outcome.count, accepted=mine, held=outcome.held)
            start += count


class Lane:
    """The transitions for one partition, and the round trips that take them there."""

    __slots__ = ("_appends", "claiming", "departing", "trips", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Entry] = []
        self._appends: dict[str, Entry] = {}
        """The last append to each instance among `waiting`, for others to join."""
        self.trips: set[asyncio.Task[None]] = set()
        self.departing = False
        """One of them is about to begin."""
        self.claiming = False
        """One of them carries a claim."""

    def add(self, transition: Transition, future: asyncio.Future[Outcome], *, joins: bool) -> None:
        """One that `joins` may leave together with others to its instance."""
        size = payload_bytes(transition)
        if joins:
            entry = self._appends.get(transition.instance)
            if entry is not None and entry.join(transition, future, size):
                return
            entry = self._appends[transition.instance] = Entry(transition, future, size)
        else:
            # Appends that come later must not overtake this one.
            self._appends.pop(transition.instance, None)
            entry = Entry(transition, future, size)
        self.waiting.append(entry)

    def depart(self) -> list[Entry]:
        """The next batch, which waits no longer."""
        self._appends = {}
        count = self._fitting()
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        return batch

    def _fitting(self) -> int:
        """How many of those that wait go into one batch."""
        size = 0
        for count, entry in enumerate(self.waiting[:MAX_BATCH]):
            size += entry.size
            if size > MAX_BATCH_BYTES and count:
                return count
        return MAX_BATCH
