"""The engine inside the Durable Object, in a Python Worker.

``worker.make_engine(primitives)`` is the object's class, `PrimitivesClient` its client in a Worker.
"""

from durable_primitives_cloudflare.object.client import PrimitivesClient

__all__ = ["PrimitivesClient"]
