"""A store in Durable Objects for an engine that runs outside.

From the outside in: `backend` (the contract), `partitions` (which object is asked what), `link` (signed requests, sent
again when they fail), `signing`, ``host/`` (the JavaScript that is deployed: one object is one partition of a store).
`receiver` takes the host's calls and wakes those that sleep.
"""

from durable_primitives_cloudflare.remote.backend import RemoteBackend

__all__ = ["RemoteBackend"]
