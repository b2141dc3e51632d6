"""`PrimitivesClient`: typed clients by definition, dynamic ones by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from durable_primitives.kernel.primitive import Call, Registry
from durable_primitives.primitives.buffer import BufferClient, BufferDefinition
from durable_primitives.primitives.continuous import ContinuousClient, ContinuousDefinition
from durable_primitives.primitives.queue import QueueClient, QueueDefinition
from durable_primitives.services.senders import Clock, Sender

E = TypeVar("E")
S = TypeVar("S")


class PrimitivesClient:
    """Reaches every primitive of an application.

    Pass the definition, and the types of events, state and results are inferred; pass its registered name, and they
    are `Any`.

    Raises:
        PrimitiveNotFoundError: No primitive of that kind has that name; it names the nearest one.
    """

    def __init__(
        self,
        registry: Registry,
        deliver: Callable[[Call], Awaitable[Any]],
        clock: Clock,
        derive: Callable[[], str] | None = None,
        max_payload: int | None = None,
    ) -> None:
        self._registry = registry
        self._deliver = deliver
        self._sender = Sender(clock, derive, max_payload)
        self._clients: dict[tuple[str, str], Any] = {}

    @overload
    def continuous(self, which: ContinuousDefinition[S]) -> ContinuousClient[S]: ...
    @overload
    def continuous(self, which: str) -> ContinuousClient[Any]: ...
    def continuous(self, which: ContinuousDefinition[Any] | str) -> ContinuousClient[Any]:
        """The client of a repeating job."""
        client: ContinuousClient[Any] = self._client("continuous", which if isinstance(which, str) else which.name)
        return client

    @overload
    def buffer(self, which: BufferDefinition[E, S]) -> BufferClient[E, S]: ...
    @overload
    def buffer(self, which: str) -> BufferClient[Any, Any]: ...
    def buffer(self, which: BufferDefinition[Any, Any] | str) -> BufferClient[Any, Any]:
        """The client of a buffer."""
        client: BufferClient[Any, Any] = self._client("buffer", which if isinstance(which, str) else which.name)
        return client

    @overload
    def queue(self, which: QueueDefinition[E]) -> QueueClient[E]: ...
    @overload
    def queue(self, which: str) -> QueueClient[Any]: ...
    def queue(self, which: QueueDefinition[Any] | str) -> QueueClient[Any]:
        """The client of a queue."""
        client: QueueClient[Any] = self._client("queue", which if isinstance(which, str) else which.name)
        return client

    def _client(self, kind: str, name: str) -> Any:
        client = self._clients.get((kind, name))
        if client is None:
            definition = self._registry.get(kind, name)
            make = self._registry.primitive(kind).client
            client = make(definition, self._deliver, self._sender)
            self._clients[kind, name] = client
        return client
