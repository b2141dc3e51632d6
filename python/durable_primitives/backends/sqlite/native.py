"""Where the Rust core can use the SQLite that Python's sqlite3 uses.

Two copies of SQLite in one process would drop each other's locks on the same file, so the core brings none: it looks up
the functions of the one that is there.  Where that fails, or leads to another copy, `PythonStore` does the work.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from durable_primitives import _core

if TYPE_CHECKING:
    from durable_primitives._core._native import SQLiteLibrary

_UNUSUAL_BYTES = (1 << 60) + 0x44757250


@cache
def library() -> SQLiteLibrary | None:
    """The SQLite of this process, if the core was compiled, is asked for, and can reach it."""
    if _core.implementation != "native":
        return None
    from durable_primitives._core import _native

    try:
        found = _native.SQLiteLibrary(getattr(import_module("_sqlite3"), "__file__", None))
    except ImportError:
        return None
    return found if _is_ours(found) else None


def _is_ours(found: SQLiteLibrary) -> bool:
    """Whether this is the very copy that sqlite3 uses, and not one that looks the same."""
    with closing(sqlite3.connect(":memory:")) as connection:
        (source_id,) = connection.execute("SELECT sqlite_source_id()").fetchone()
        if (found.version, found.source_id) != (sqlite3.sqlite_version, source_id):
            return False
        # Each copy keeps this limit for itself.  So high, it limits nothing while it stands.
        before = found.set_soft_heap_limit(_UNUSUAL_BYTES)
        try:
            (seen,) = connection.execute("PRAGMA soft_heap_limit").fetchone()
        finally:
            found.set_soft_heap_limit(before)
        return bool(seen == _UNUSUAL_BYTES)
