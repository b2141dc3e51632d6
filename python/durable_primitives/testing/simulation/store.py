"""One store for all simulated processes, which knows who reaches it and when."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from durable_primitives.errors import DefinitionError, DurablePrimitivesError
from durable_primitives.kernel.record import Item, Record, Snapshot
from durable_primitives.kernel.transition import Claim, ClaimRequest, Outcome, Transition, is_in_hand
from durable_primitives.spi.backend import Backend, Reply

T = TypeVar("T")

OnCommit = Callable[[str, Transition, Outcome], None]
"""Told of every transition that reached the store: who sent it, what it was, what became of it."""

OnClaim = Callable[[str, Claim], None]
"""Told of every claim that was granted, and to whom."""


def finish(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    work.close()
    raise DefinitionError(
        "the backend waits for something outside of the simulation",
        help="simulate on a backend that is `immediate`, such as MemoryBackend()",
    )


class SimulatedStore:
    """The backend behind all processes of a simulation.

    Args:
        backend: It must be `immediate`: what it does takes no time, and each of its methods ends without waiting.
        namespace: The one that the processes open.
    """

    def __init__(self, backend: Backend, namespace: str) -> None:
        if not backend.capabilities.immediate:
            raise DefinitionError(
                f"{backend.url} cannot be simulated: it is not immediate", help="simulate on MemoryBackend()"
            )
        self.backend = backend
        self.next_due: int | None = None
        """The earliest alarm, as of the last change."""
        self.on_commit: list[OnCommit] = []
        self.on_claim: list[OnClaim] = []
        self.defects: list[str] = []
        """Transitions that no store can make sense of: whoever sent one is at fault."""
        self.on_nearer: list[Callable[[], None]] = []
        """Called when the earliest alarm came nearer."""
        finish(backend.open(namespace))
        self.changed()

    def commit(self, actor: str, transitions: Sequence[Transition], request: ClaimRequest | None) -> Reply:
        """Apply, and tell whoever listens, of each transition before the next one is applied."""
        try:
            outcomes = [self._apply(actor, transition) for transition in transitions]
            claims = () if request is None else self.backend.commit_now((), request)[1]
        except DurablePrimitivesError:
            raise
        except Exception as error:
            # The contract of a transition is broken: never a failure of the store, whatever becomes of its sender.
            self.defects.append(f"{actor}: {type(error).__name__}: {error}")
            raise
        if transitions or claims:
            self.changed()
        for grant in self.on_claim:
            for claim in claims:
                grant(actor, claim)
        return outcomes, claims

    def _apply(self, actor: str, transition: Transition) -> Outcome:
        (outcome,), _ = self.backend.commit_now((transition,), None)
        if outcome.verdict == "conflict":
            self._look_for_defect(actor, transition)
        for listener in self.on_commit:
            listener(actor, transition, outcome)
        return outcome

    def _look_for_defect(self, actor: str, transition: Transition) -> None:
        """Whether an owner was refused because it spoke of items that are not in its hands."""
        record = self.record(transition.instance)
        taken = () if record is None else record.taken
        if not is_in_hand(transition, taken):
            self.defects.append(f"{actor}: {transition.instance}: it spoke of items that are not in its hands: {taken}")

    def changed(self) -> None:
        """Find the earliest alarm anew."""
        before, self.next_due = self.next_due, finish(self.backend.next_due())
        if self.next_due is not None and (before is None or self.next_due < before):
            for wake in self.on_nearer:
                wake()

    # Looking at it, from outside of the simulation.

    def records(self) -> list[Record]:
        """Every record, tombstones too, by instance id."""
        found: list[Record] = []
        while page := finish(self.backend.scan("", found[-1].instance if found else "", 1000)):
            found += page
        return found

    def record(self, instance: str) -> Record | None:
        """One record."""
        return self.load(instance).record

    def load(self, instance: str, receipts: Sequence[str] = (), letters: Sequence[str] = ()) -> Snapshot:
        """One instance, with those of the named receipts and dead letters that exist."""
        return finish(self.backend.load(instance, receipts, letters))

    def items(self, instance: str, segment: int = 0) -> list[Item]:
        """The events of one segment, in order."""
        found: list[Item] = []
        while page := finish(self.backend.items(instance, segment, found[-1].seq if found else 0, 1000)):
            found += page
        return found
