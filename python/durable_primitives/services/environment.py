"""What a run finds around it, besides its instance: the application's client, resources and namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durable_primitives.services.idempotency import derived_id

if TYPE_CHECKING:
    from durable_primitives.client import PrimitivesClient


class Environment:
    """Shared by all runs of one worker."""

    __slots__ = ("_client", "max_payload", "namespace", "resources")

    def __init__(
        self,
        namespace: str,
        client: Callable[[Callable[[], str] | None], PrimitivesClient],
        max_payload: int | None = None,
    ) -> None:
        self.namespace = namespace
        self.max_payload = max_payload
        """What the store takes at most (`Capabilities.max_payload`)."""
        self.resources: Any = None
        """What the application's `resources` context manager yielded."""
        self._client = client

    def client_for(self, idempotency_key: str) -> PrimitivesClient:
        """A client whose sends carry ids derived from the execution: one that runs again sends nothing twice."""
        calls = 0

        def next_id() -> str:
            nonlocal calls
            calls += 1
            return derived_id(idempotency_key, calls)

        return self._client(next_id)
