"""The engine inside one object: calls in, the alarm in, and nothing else ever starts anything."""

from __future__ import annotations

from contextlib import AsyncExitStack

from durable_primitives.app import DurablePrimitives, Running
from durable_primitives.engine.worker import WorkerOptions
from durable_primitives.errors import DurablePrimitivesError
from durable_primitives.kernel.primitive import Call
from durable_primitives.logs import get_logger
from durable_primitives.spi import Runtime, SystemRuntime
from durable_primitives_cloudflare.object.backend import ObjectBackend
from durable_primitives_cloudflare.object.client import OPERATIONS, Objects, Routing
from durable_primitives_cloudflare.object.storage import ObjectStorage
from durable_primitives_cloudflare.object.wire import decode_request, encode_error, encode_reply

OPTIONS = WorkerOptions(max_instances=1)
"""With one place, an instance gives way after five seconds of work: the platform limits the CPU time of an alarm."""

SWEEP_ROWS = 1_000
"""Rows of one sweep."""

_log = get_logger("durable_primitives.object")


class ObjectHost:
    """One object's engine.

    Args:
        primitives: The application.
        storage: The object's storage.
        objects: The namespace that the object belongs to: what handlers send goes there.
        runtime: Time, randomness and ids.
    """

    def __init__(
        self,
        primitives: DurablePrimitives,
        storage: ObjectStorage,
        objects: Objects,
        runtime: Runtime | None = None,
    ) -> None:
        self._primitives = primitives
        self._runtime = runtime or SystemRuntime()
        self._objects = objects
        self._life = AsyncExitStack()
        self._running: Running | None = None
        self.backend = ObjectBackend(storage, self._runtime.now)

    async def start(self) -> None:
        """Once, before anything else: the platform holds every call back until it returns."""
        routing = Routing(self._objects, self._primitives.namespace)
        host = self._primitives.host(self.backend, options=OPTIONS, runtime=self._runtime, deliver=routing.deliver)
        self._running = await self._life.enter_async_context(host)
        assert self._running.worker is not None
        self._running.worker.rest()
        self.backend.end_leases(self._runtime.now())
        self.backend.rearm()

    async def call(self, method: str, name: str, id: str, request: bytes) -> bytes:
        """Serve one call; an error of ours is a reply too."""
        assert self._running is not None
        kind, operation = OPERATIONS[method]
        try:
            # A commit arms the alarm by itself; a query, or a refused request, heals one that was lost.
            self.backend.heal()
            call = Call(kind, name, id, operation.name, decode_request(operation, request))
            return encode_reply(await self._running.engine.call(call))
        except DurablePrimitivesError as error:
            return encode_error(error)

    async def alarm(self, scheduled: int) -> None:
        """Run what is due.  It does not raise: the platform tries seven times, and then forgets the alarm for good."""
        alarm = self.backend.alarm
        alarm.fired(scheduled)
        now = self._runtime.now()
        # If this turn dies, by a limit, a deploy or a kill, somebody looks again.  If even this raises, the platform's
        # own retry is all that is left.
        alarm.arm(now + OPTIONS.lease_ms, now)
        try:
            await self._work()
        except Exception as error:
            _log.error("an alarm failed; its successor goes on", error=repr(error), exc_info=error)
        try:
            self.backend.rearm()
        except Exception as error:
            _log.error("the alarm could not be set; the watchdog stands", error=repr(error), exc_info=error)

    async def _work(self) -> None:
        assert self._running is not None
        assert self._running.worker is not None
        with self._running.worker.attending():
            await self._running.worker.run_due(rounds=1)
        now, sweep_at = self._runtime.now(), self.backend.next_sweep()
        if sweep_at is not None and sweep_at <= now:
            await self.backend.sweep(now, SWEEP_ROWS)
