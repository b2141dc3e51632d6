"""The tables, and how an older database becomes a newer one.

Migrations are the files ``migrations/NNNN_name.sql``.  Those that a database has not seen run in one transaction, so a
process that dies in between leaves the database as it was.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from importlib.resources import files
from pathlib import Path
from sqlite3 import Connection

from durable_primitives.backends.sqlite.failures import BACKEND
from durable_primitives.errors import StorageNotRecognizedError, StorageSchemaTooNewError

APPLICATION_ID = 0x44757250
"""``DurP``: marks a database that we made.  One that an application made keeps its own mark."""

_TABLES = (
    "durable_meta",
    "durable_namespace",
    "durable_instance",
    "durable_item",
    "durable_receipt",
    "durable_letter",
)
_PACKAGE = __name__.rpartition(".")[0]
_META = """CREATE TABLE durable_meta (
  name TEXT PRIMARY KEY CHECK (name = 'schema_version'),
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID"""


@cache
def migrations() -> tuple[str, ...]:
    """The scripts in their order: number n brings a database to version n."""
    folder = files(_PACKAGE).joinpath("migrations")
    scripts = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(script.read_text(encoding="utf-8") for script in scripts)


def check(connection: Connection, path: Path) -> int:
    """The version of the schema, 0 for a database that holds nothing of ours.

    Raises:
        StorageSchemaTooNewError: A later release has written it.
        StorageNotRecognizedError: It holds tables with names like ours that are not ours.
    """
    version = _version(connection, path)
    newest = len(migrations())
    if version > newest:
        raise StorageSchemaTooNewError(version, newest, backend=BACKEND)
    return version


def migrate(connection: Connection, path: Path) -> None:
    """Bring the database to the newest version; raises what `check` raises.

    It may hold tables of the application beside ours; the names of ours all begin with ``durable_``.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = check(connection, path)
        if version == 0:
            _mark(connection)
            connection.execute(_META)
        for script in migrations()[version:]:
            for statement in _statements(script):
                connection.execute(statement)
        if version < len(migrations()):
            connection.execute("INSERT OR REPLACE INTO durable_meta VALUES ('schema_version', ?)", (len(migrations()),))
    except BaseException:
        connection.rollback()
        raise
    connection.execute("COMMIT")


def _version(connection: Connection, path: Path) -> int:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")}
    ours = sorted(names.intersection(_TABLES))
    if not ours:
        return 0
    row = None
    if "durable_meta" in ours and _columns(connection, "durable_meta") == ["name", "value"]:
        row = connection.execute("SELECT value FROM durable_meta WHERE name = 'schema_version'").fetchone()
    if row is None:
        raise StorageNotRecognizedError(
            f"the database {path} has tables that are called like ours and are not ours: {', '.join(ours)}",
            backend=BACKEND,
            help="use another file, or rename those tables; nothing was changed",
        )
    return int(row[0])


def _columns(connection: Connection, table: str) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def _mark(connection: Connection) -> None:
    """Say in the file's header whose it is, if it is nobody's yet."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if not tables and not mark:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _statements(script: str) -> list[str]:
    """The statements of a script, one by one: `Connection.executescript` would commit the transaction first."""
    statements: list[str] = []
    rest = ""
    for part in script.split(";"):
        rest += f"{part};"
        if sqlite3.complete_statement(rest):
            statements.append(rest)
            rest = ""
    return statements
