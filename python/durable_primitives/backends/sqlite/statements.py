"""The SQL of this backend: one statement per file in ``sql/``, under its name and with its parameters at its head."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import chain
from sqlite3 import Connection

_PACKAGE = __name__.rpartition(".")[0]
_ROW = re.compile(r"(?<=\nVALUES )\(.+\)")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)

LARGEST_CHUNK = 256
"""Rows of one step.  256 rows of 13 values stay far below SQLite's limit of 32,766 parameters."""


@cache
def sql(name: str) -> str:
    """The text of one statement, without its comments: always the same object, which sqlite3's own cache finds fast."""
    return _COMMENT.sub("", files(_PACKAGE).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")).strip()


def insert_rows(connection: Connection, name: str, rows: Sequence[Sequence[object]]) -> None:
    """Run an INSERT for many rows in few steps.

    Between two steps the thread lets go of the interpreter lock and may wait for it, so a step per row would make a
    batch as slow as the event loop is busy.  Chunks are powers of two: few texts, all of which stay prepared.
    """
    start, left, chunk = 0, len(rows), LARGEST_CHUNK
    while left:
        while chunk > left:
            chunk //= 2
        stop = start + chunk
        connection.execute(_repeated(name, chunk), list(chain.from_iterable(rows[start:stop])))
        start, left = stop, left - chunk


@cache
def _repeated(name: str, rows: int) -> str:
    """The statement with its row of placeholders `rows` times."""
    return _ROW.sub(lambda row: ",\n".join([row[0]] * rows), sql(name))
