"""Redis and Valkey: one store for many processes on many machines.

A batch of transitions is one script call, however many callers share it.  From the outside in: `backend` (the
contract), `storage` (what is asked of the scripts), `committing` (how a batch becomes calls), `link` (one connection,
commands in order, sent again when it breaks), `address` (where the server is), ``lua/`` (the rows, and what every word
of a transition does to them).  `listener` wakes those that sleep; `cluster`, `claiming` and `patience` are what a
cluster needs besides.
"""

from durable_primitives_redis.backend import RedisBackend

__all__ = ["RedisBackend"]
