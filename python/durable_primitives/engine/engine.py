"""`DurablePrimitivesEngine`: a call becomes one atomic commit, a claim becomes a run.  It names no primitive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from durable_primitives.engine.group_commit import GroupCommit
from durable_primitives.errors import LeaseLostError, PayloadTooLargeError
from durable_primitives.events import EventTracker
from durable_primitives.kernel.decision import NOTHING, Decision
from durable_primitives.kernel.ids import instance_id
from durable_primitives.kernel.primitive import Call, Definition, Operation, Primitive, Registry
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.services.environment import Environment
from durable_primitives.services.metadata import park_orphan, revive, tell_recovered
from durable_primitives.services.ownership import Ownership
from durable_primitives.spi import Backend, Runtime

ENVELOPE_BYTES = 65_536
"""What a record may say besides the payload that it holds."""

_TOLD = ("applied", "full")


class Bound:
    """One definition with its orchestrator and executor."""

    __slots__ = ("definition", "executor", "handlers", "kind", "operations", "orchestrator")

    def __init__(self, definition: Definition, primitive: Primitive, namespace: str, environment: Environment) -> None:
        self.definition = definition
        self.kind = primitive.kind
        self.orchestrator = primitive.orchestrator(definition, namespace)
        self.executor = primitive.executor(definition, self.orchestrator, environment)
        self.operations = primitive.operations
        self.handlers: dict[str, tuple[Operation, Callable[..., Any]]] = {
            name: (operation, getattr(self.orchestrator, operation.handler))
            for name, operation in primitive.operations.items()
        }


class _Turn:
    """Those of one process who decide on one instance, those that wait included."""

    __slots__ = ("deciders", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.deciders = 0


class DurablePrimitivesEngine:
    """`call` serves clients, `alarm` runs what is due.

    A request is validated before anything is written; one atomic commit changes the store; user code runs outside any
    storage transaction; one fenced commit records what it did (law 1).
    """

    def __init__(
        self,
        registry: Registry,
        backend: Backend,
        runtime: Runtime,
        tracker: EventTracker,
        namespace: str,
        environment: Environment,
    ) -> None:
        self.registry = registry
        self.backend = backend
        self.runtime = runtime
        self.tracker = tracker
        self.namespace = namespace
        self.commits = GroupCommit(backend)
        self.owned: dict[str, Ownership] = {}
        """What this process owns, by instance."""
        self._environment = environment
        self._bound: dict[tuple[str, str], Bound] = {}
        self._turns: dict[str, _Turn] = {}

    # Calls.

    async def call(self, call: Call) -> Any:
        """Serve one request; returns when its commit is durable.

        Raises what the operation raises, `PrimitiveNotFoundError` for an unknown name, `StorageError` from the backend.
        """
        bound = self._bound.get((call.kind, call.name)) or self._bind(call.kind, call.name)
        operation, handler = bound.handlers[call.operation]
        instance = instance_id(call.kind, call.name, call.id)
        if operation.mode == "blind":
            decision: Decision[Any] = handler(instance, call.request, self.runtime.now())
            assert decision.transition is not None
            outcome = self.commits.submit(decision.transition, joins=decision.joins)
            if not isinstance(outcome, Outcome):
                outcome = await outcome
            return self._finish(instance, decision, outcome)
        if operation.mode == "query":
            return await handler(self.backend, instance, call.request, self.runtime.now())
        async with self._turn(instance):
            return await self._decide(instance, operation, handler, call.request)

    async def _decide(self, instance: str, operation: Operation, handler: Callable[..., Any], request: Any) -> Any:
        while True:
            snapshot = await self.backend.load(instance, operation.receipts(request), operation.letters(request))
            decision: Decision[Any] = handler(instance, snapshot, request, self.runtime.now())
            if decision.transition is None:
                return self._finish(instance, decision, NOTHING)
            self._check_size(decision.transition)
            outcome = self.commits.submit(decision.transition)
            if not isinstance(outcome, Outcome):
                outcome = await outcome
            if outcome.verdict != "conflict" and outcome.verdict != "fenced":
                return self._finish(instance, decision, outcome)

    def _check_size(self, transition: Transition) -> None:
        """What is made of several payloads, as a state is, may have become longer than what the store takes."""
        limit = self._environment.max_payload
        if limit is None:
            return
        stored = [] if transition.put is None else [transition.put.data]
        size = max(map(len, (*stored, *(item.payload for item in transition.append))), default=0)
        if size > limit + ENVELOPE_BYTES:
            raise PayloadTooLargeError(size, limit, "state")

    def _finish(self, instance: str, decision: Decision[Any], outcome: Outcome) -> Any:
        if self.tracker.enabled and decision.events is not None and outcome.verdict in _TOLD:
            for event in decision.events(outcome):
                self.tracker.track(event)
        if self.owned and outcome.verdict == "applied" and instance in self.owned:
            self.owned[instance].written(outcome)
        return decision.reply(outcome)

    @asynccontextmanager
    async def _turn(self, instance: str) -> AsyncGenerator[None]:
        """Deciders of one process take turns per instance, so that they do not conflict with each other."""
        turn = self._turns.setdefault(instance, _Turn())
        turn.deciders += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.deciders -= 1
            if not turn.deciders:
                del self._turns[instance]

    def _bind(self, kind: str, name: str) -> Bound:
        definition, primitive = self.registry.get(kind, name), self.registry.primitive(kind)
        bound = self._bound[kind, name] = Bound(definition, primitive, self.namespace, self._environment)
        return bound

    # Alarms.

    def own(self, claim: Claim) -> Ownership:
        """Take note of a claim.  Must be followed by `alarm`."""
        ownership = Ownership(claim, self.commits.submit, self.backend, self.runtime, self.tracker, self.namespace)
        before = self.owned.get(ownership.instance)
        if before is not None:
            # Our own lease ran out and this claim took it over: the run that had it can commit nothing any more.
            before.lose()
        self.owned[ownership.instance] = ownership
        return ownership

    async def alarm(self, ownership: Ownership) -> None:
        """Run what is due in an owned instance, until its executor has given the lease back or lost it."""
        try:
            definition = self.registry.find(ownership.kind, ownership.name)
            if definition is None:
                await park_orphan(ownership)
                return
            bound = self._bound.get((ownership.kind, ownership.name)) or self._bind(ownership.kind, ownership.name)
            await revive(ownership, bound.orchestrator)
            await bound.executor.run(ownership)
            tell_recovered(ownership)
        except LeaseLostError:
            ownership.lose()
        finally:
            if self.owned.get(ownership.instance) is ownership:
                del self.owned[ownership.instance]

    def drain(self) -> None:
        """Tell every run that the worker is shutting down."""
        for ownership in list(self.owned.values()):
            ownership.drain()

    def instances(self) -> Sequence[str]:
        """The instances that this process owns."""
        return tuple(self.owned)
