"""Cloudflare Durable Objects, in two deployments that share definitions and guarantees.

`remote`: a packaged JavaScript object is the store, the engine runs outside.  `object`: the engine runs inside the
object.  Neither imports the other.
"""
