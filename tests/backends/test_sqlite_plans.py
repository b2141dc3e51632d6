"""The cost of an operation does not grow with what is stored: every statement finds its rows through an index."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from durable_primitives.backends.sqlite import schema, statements

STATEMENTS = sorted(path.stem for path in (Path(statements.__file__).parent / "sql").glob("*.sql"))

TABLE_SCAN = re.compile(r"SCAN (durable_|item|earlier|candidate|receipt|letter|owner|instance)")

INDEX_OF = {
    "load_instances": "(nk=? AND instance=?)",
    "load_due_instances": "durable_instance_alarm (nk=? AND alarm<?)",
    "find_next_alarm": "COVERING INDEX durable_instance_alarm",
    "scan_instances": "(nk=? AND instance>? AND instance<?)",
    "load_receipts": "PRIMARY KEY (id=? AND ik=?)",
    "settle_receipts": "PRIMARY KEY (id=? AND ik=?)",
    "take_ready_items": "durable_item_order (ik=? AND due=?)",
    "take_waiting_items": "durable_item_order (ik=? AND due>? AND due<?)",
    "delete_items": "durable_item_order (ik=? AND due=? AND rank=? AND seq>? AND seq<?)",
    "find_item_due": "COVERING INDEX durable_item_order (ik=? AND due>? AND due<?)",
    "list_segment_items": "durable_item_segment (ik=? AND segment=? AND seq>?)",
    "delete_batched_items": "durable_item_segment (ik=? AND segment>? AND segment<?)",
    "settle_batched_receipts": "durable_receipt_segment (ik=? AND segment>? AND segment<?)",
    "list_overfull_instances": "COVERING INDEX durable_letter_age (nk=?)",
    "delete_oldest_letters": "durable_letter_age (nk=? AND ik=?)",
    "sweep_receipts": "durable_receipt_expiry (nk=? AND expires_at<?)",
}
"""How the hot ones must find theirs."""

MAY_SORT = {"list_items", "find_oldest_item"}
"""One lists a queue for a person to read; the other sorts one row for each due time and rank."""


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in schema.migrations():
            connection.executescript(script)
        yield connection


def plan(database: sqlite3.Connection, name: str) -> list[str]:
    statement = statements.sql(name)
    numbers = [int(number) for number in re.findall(r"\?(\d)", statement)]
    parameters = [None] * max(numbers, default=statement.count("?"))
    return [step for *_, step in database.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize("name", STATEMENTS)
def test_no_statement_reads_a_whole_table(name: str, database: sqlite3.Connection):
    scanned = [
        step for step in plan(database, name) if re.match(r"SCAN (durable_|item|earlier|receipt|letter|owner)", step)
    ]

    assert not scanned


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - MAY_SORT))
def test_no_statement_sorts(name: str, database: sqlite3.Connection):
    assert not [step for step in plan(database, name) if "TEMP B-TREE" in step]


@pytest.mark.parametrize("name", INDEX_OF)
def test_hot_statements_use_the_index_made_for_them(name: str, database: sqlite3.Connection):
    assert any(INDEX_OF[name] in step for step in plan(database, name)), plan(database, name)


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_say_their_parameters(name: str):
    text = (Path(statements.__file__).parent / "sql" / f"{name}.sql").read_text()

    assert re.match(r"-- [A-Z`].*\n-- parameters( of each row)?: \S", text)
