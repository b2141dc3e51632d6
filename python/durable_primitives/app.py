"""`create_durable_primitives`: the one place where registry, backend, engine, worker and client are put together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Never

from durable_primitives.client import PrimitivesClient
from durable_primitives.engine.engine import DurablePrimitivesEngine
from durable_primitives.engine.worker import Worker, WorkerOptions
from durable_primitives.errors import DefinitionError
from durable_primitives.events import EventTracker, NoopTracker, guard
from durable_primitives.kernel.ids import check_name
from durable_primitives.kernel.primitive import Call, Definition, Registry
from durable_primitives.primitives import BUILTIN
from durable_primitives.services.environment import Environment
from durable_primitives.services.options import refuse_unknown, whole_number
from durable_primitives.services.senders import Clock
from durable_primitives.spi import AuthorityClock, Backend, Runtime, SystemRuntime, open_backend
from durable_primitives.supervisor import supervise

Resources = Callable[[], AbstractAsyncContextManager[Any]]
Deliver = Callable[[Call], Awaitable[Any]]


class Running:
    """An open application: its client and, unless it was opened without one, its worker."""

    def __init__(self, client: PrimitivesClient, engine: DurablePrimitivesEngine, worker: Worker | None) -> None:
        self.client = client
        self.engine = engine
        self.worker = worker


class DurablePrimitives:
    """The definitions of an application, ready to be opened on any backend.  Made by `create_durable_primitives`."""

    def __init__(
        self,
        registry: Registry,
        tracker: EventTracker,
        namespace: str,
        resources: Resources | None,
        runtime: Runtime | None,
    ) -> None:
        self._registry = registry
        self._tracker = tracker
        self._namespace = namespace
        self._resources = resources
        self._runtime = runtime

    @asynccontextmanager
    async def open(
        self, backend: str | Backend, *, worker: bool = True, options: WorkerOptions | None = None
    ) -> AsyncGenerator[Running]:
        """Open the application in this process, with a worker (the default) or as a client only.

        Work that is due starts at once, with no client call.  At the end the worker stops claiming, lets handlers
        finish within the grace of its options, and gives its leases back.

        Args:
            backend: A URL (``memory://``, ``sqlite:///app.db``, ``sqlite:////var/lib/app.db``) or a backend.
            worker: Whether this process runs handlers.
            options: How its worker behaves.

        Raises:
            StorageError: The store cannot be opened; the message says what to do.
        """
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(self.host(backend, worker=worker, options=options))
            if running.worker is not None:
                running.worker.start()
                stack.push_async_callback(running.worker.stop)
            yield running

    @asynccontextmanager
    async def host(
        self,
        backend: str | Backend,
        *,
        worker: bool = True,
        options: WorkerOptions | None = None,
        runtime: Runtime | None = None,
        deliver: Deliver | None = None,
    ) -> AsyncGenerator[Running]:
        """`open` for a host that decides when the worker works: it is not started.

        Args:
            backend: A URL or a backend.
            worker: Whether there is one.
            options: How it behaves.
            runtime: Time, randomness and ids, where the application was made with none.
            deliver: Serves the calls of the clients, those of handlers too; by default this process's engine does.
        """
        store = open_backend(backend)
        async with AsyncExitStack() as stack:
            await store.open(self._namespace)
            stack.push_async_callback(store.close)
            stack.push_async_callback(self._tracker.close)
            largest = store.capabilities.max_payload
            clock = self._runtime or runtime or _runtime_on(store)

            def client_for(derive: Callable[[], str] | None) -> PrimitivesClient:
                return self.client(deliver or engine.call, clock=clock, derive=derive, max_payload=largest)

            environment = Environment(self._namespace, client_for, largest)
            engine = self._engine(store, clock, environment)
            stack.push_async_callback(engine.commits.drain)
            runner = None
            if worker:
                if self._resources is not None:
                    environment.resources = await stack.enter_async_context(self._resources())
                runner = Worker(engine, options)
            yield Running(client_for(None), engine, runner)

    def client(
        self,
        deliver: Deliver,
        *,
        clock: Clock,
        derive: Callable[[], str] | None = None,
        max_payload: int | None = None,
    ) -> PrimitivesClient:
        """A client of these definitions whose calls something else serves.

        Args:
            deliver: Takes a call to the engine that serves it, and returns its reply or raises its error.
            clock: Time, randomness and ids for what is sent.
            derive: Makes the ids of sends that were given none; by default each is new.
            max_payload: Bytes of one encoded event, input or state.
        """
        return PrimitivesClient(self._registry, deliver, clock, derive, max_payload)

    @property
    def namespace(self) -> str:
        """What keeps this application apart from others in one store."""
        return self._namespace

    @asynccontextmanager
    async def connect(self, backend: str | Backend) -> AsyncGenerator[PrimitivesClient]:
        """A client that runs no handler."""
        async with self.open(backend, worker=False) as running:
            yield running.client

    def run(self, backend: str | Backend, *, options: WorkerOptions | None = None, processes: int = 1) -> None:
        """Run workers until SIGTERM or SIGINT, then stop in good order.  Blocks.

        Args:
            backend: A URL or a backend, as for `open`.
            options: How each worker behaves.
            processes: How many worker processes to run.  More than one are forks of this process; one that dies is
                replaced, and its work is taken over when its lease ends.

        Raises:
            DefinitionError: `processes` is not a positive number, or the backend belongs to one process.
            StorageError: The store cannot be opened.
        """
        if whole_number(processes, "processes") == 1:
            asyncio.run(self._serve(backend, options))
            return
        store = open_backend(backend)
        if not store.capabilities.multi_process:
            raise DefinitionError(
                f"{store.url} lives in one process and processes={processes} was asked for",
                help="use a backend that processes share, for example sqlite:///app.db",
            )
        supervise(processes, lambda parent: asyncio.run(self._serve(store, options, parent)))

    async def _serve(self, backend: str | Backend, options: WorkerOptions | None, parent: int | None = None) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        if parent is not None:
            # Readable means that the supervisor is gone.
            loop.add_reader(parent, stop.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Where signals cannot be caught on the loop (Windows), Ctrl-C still cancels `asyncio.run`.
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        async with self.open(backend, options=options):
            await stop.wait()

    def lifespan(
        self, backend: str | Backend, *, worker: bool = True, options: WorkerOptions | None = None
    ) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
        """An ASGI lifespan: ``FastAPI(lifespan=primitives.lifespan("sqlite:///app.db"))``.

        Handlers of the web application find the client as ``request.state.primitives``.
        """

        @asynccontextmanager
        async def lifespan(_: Any) -> AsyncGenerator[dict[str, Any]]:
            async with self.open(backend, worker=worker, options=options) as running:
                yield {"primitives": running.client}

        return lifespan

    def open_sync(self, backend: str | Backend) -> Never:
        """Blocking use.  Not available in this release."""
        raise DefinitionError("open_sync is not available in this release", help="use open() in an event loop")

    def _engine(self, backend: Backend, runtime: Runtime, environment: Environment) -> DurablePrimitivesEngine:
        return DurablePrimitivesEngine(self._registry, backend, runtime, self._tracker, self._namespace, environment)


def _runtime_on(store: Backend) -> SystemRuntime:
    """Workers whose machines disagree about the time must not disagree about what is due."""
    return SystemRuntime(store.time) if isinstance(store, AuthorityClock) else SystemRuntime()


def create_durable_primitives(
    *definitions: Definition,
    tracker: EventTracker | None = None,
    namespace: str = "default",
    resources: Resources | None = None,
    runtime: Runtime | None = None,
    **unknown: Never,
) -> DurablePrimitives:
    """Put an application together.

    Args:
        definitions: What `Continuous.make`, `Buffer.make` and `Queue.make` returned.
        tracker: Told about every transition; it can neither slow nor fail the work.
        namespace: Keeps several applications apart in one store.
        resources: A function that returns an async context manager; what it yields is `ctx.resources` in every handler.
            It is entered once per worker.
        runtime: The source of time, randomness and ids; by default the system's, on the store's clock where it has one.
        unknown: Refused, with the nearest valid name.

    Raises:
        DefinitionError: Two definitions of one kind share a name, or an option is unknown.

    Example:
        >>> import asyncio
        >>> from durable_primitives import Queue, create_durable_primitives
        >>> mails = Queue.make("mails", event_schema=str, execute=lambda ctx: print("to", ctx.event))
        >>> async def main() -> None:
        ...     async with create_durable_primitives(mails).open("memory://") as running:
        ...         await running.client.queue(mails).enqueue("ada@example.com")
        ...         await running.client.queue(mails).drain()
        >>> asyncio.run(main())
        to ada@example.com
    """
    refuse_unknown(unknown, create_durable_primitives, "create_durable_primitives")
    return DurablePrimitives(
        Registry(definitions, BUILTIN),
        NoopTracker() if tracker is None else guard(tracker),
        check_name(namespace, "namespace"),
        resources,
        runtime,
    )
