"""SQLite: a durable store in one file, for all processes of one machine.

One thread writes: a batch is one transaction and one fsync, however many callers share it.  From the outside in:
`backend` (the contract), `thread`, `writer` and `reader` (what runs there), `shelf` over `working` and `pending` (the
rows as the kernel sees them), ``sql/`` and ``migrations/``.  `turn` keeps the writers of several processes apart,
`doorbell` wakes those that sleep.
"""

from durable_primitives.backends.sqlite.backend import SQLiteBackend

__all__ = ["SQLiteBackend"]
