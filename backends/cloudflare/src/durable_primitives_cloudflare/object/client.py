"""`PrimitivesClient.from_binding`: every call to the object that holds its instance."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any, Protocol

import durable_primitives.client
from durable_primitives.app import DurablePrimitives
from durable_primitives.errors import BackendUnavailableError, DefinitionError
from durable_primitives.kernel.ids import instance_id
from durable_primitives.kernel.primitive import Call
from durable_primitives.primitives import BUILTIN
from durable_primitives.spi import SystemRuntime
from durable_primitives_cloudflare.object.storage import MAX_PAYLOAD
from durable_primitives_cloudflare.object.wire import decode_reply, encode_request

OPERATIONS = {
    f"{primitive.kind}_{operation.name}": (primitive.kind, operation)
    for primitive in BUILTIN
    for operation in primitive.operations.values()
}
"""Every method of the object: ``continuous_start``, ``buffer_add``, ``queue_enqueue``, …"""

_NOBODY_KNOWS: dict[str, Any] = {"queue_indexes": ()}
"""Answers to what no single object can know, where an answer without it is right: a queue has its own indexes."""


class Objects(Protocol):
    """A namespace of Durable Objects."""

    def call(self, object_name: str, method: str, *arguments: object) -> Awaitable[bytes]:
        """Call a method of the object of this name."""
        ...


class Routing:
    """Takes a call to its object: one per instance, so a queue with ``concurrency=5`` is five objects."""

    def __init__(self, objects: Objects, namespace: str) -> None:
        self._objects = objects
        self._namespace = namespace

    async def deliver(self, call: Call) -> Any:
        """Serve one call.

        Raises what the operation raises; `PayloadTooLargeError` before anything is sent if the platform does not carry
        so much; `BackendUnavailableError` with the outcome ``unknown`` if no reply came.
        """
        method = f"{call.kind}_{call.operation}"
        if not call.id:
            if method in _NOBODY_KNOWS:
                return _NOBODY_KNOWS[method]
            raise DefinitionError(
                f"{call.operation} of {call.kind} {call.name!r} asks all instances: each lives in an object of its own",
                help="Durable Objects cannot be listed: ask by id, or keep the ids where your application does",
            )
        name = object_name(self._namespace, instance_id(call.kind, call.name, call.id))
        request = encode_request(call.request)
        try:
            reply = await self._objects.call(name, method, call.name, call.id, request)
        except Exception as error:
            raise BackendUnavailableError(
                f"the object {name!r} did not answer ({_first_line(error)})", backend="cloudflare", outcome="unknown"
            ) from error
        return decode_reply(OPERATIONS[method][1], reply)


class PrimitivesClient(durable_primitives.client.PrimitivesClient):
    """The typed client of an application whose engine runs in Durable Objects."""

    @staticmethod
    def from_binding(binding: Any, primitives: DurablePrimitives) -> durable_primitives.client.PrimitivesClient:
        """The client in a Worker.

        Args:
            binding: The Durable Object binding of the engine, ``env.PRIMITIVES``.
            primitives: The application, as the engine has it.

        Example:
            >>> async def fetch(self, request):  # doctest: +SKIP
            ...     client = PrimitivesClient.from_binding(self.env.PRIMITIVES, primitives)
            ...     await client.queue("deliveries").enqueue(await request.json())
        """
        from durable_primitives_cloudflare.object.platform import BoundObjects

        return client_over(BoundObjects(binding), primitives)


def client_over(objects: Objects, primitives: DurablePrimitives) -> durable_primitives.client.PrimitivesClient:
    """The client of a namespace of objects."""
    routing = Routing(objects, primitives.namespace)
    return primitives.client(routing.deliver, clock=SystemRuntime(), max_payload=MAX_PAYLOAD)


def object_name(namespace: str, instance: str) -> str:
    """The name of the object of an instance: the instance id, behind its namespace unless that is the default one."""
    return instance if namespace == "default" else f"{namespace}/{instance}"


def _first_line(error: Exception) -> str:
    return re.split(r"[\r\n]", str(error), maxsplit=1)[0][:200]
