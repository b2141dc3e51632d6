"""The host reads the kernel's structs by position: both sides name the same fields in the same order."""

from __future__ import annotations

import json
import re

import pytest
from msgspec import Struct

from durable_primitives.kernel import record, transition

from .host import SOURCES

WIRE = (SOURCES / "wire.js").read_text()
STRUCTS: dict[str, type[Struct]] = {
    "RECORD": record.Record,
    "ITEM": record.Item,
    "RECEIPT": record.Receipt,
    "LETTER": record.DeadLetter,
    "OUTCOME": transition.Outcome,
    "NEW_ITEM": transition.NewItem,
    "TRANSITION": transition.Transition,
    "REQUEST": transition.ClaimRequest,
    "guard": transition.Guard,
    "create": transition.Create,
    "put": transition.Put,
    "batching": transition.Batching,
    "retire": transition.Retire,
    "clear": transition.Clear,
    "remove": transition.Removal,
    "reschedule": transition.Reschedule,
    "bury": transition.Burial,
    "dues": transition.Due,
}


def named(name: str) -> list[str]:
    """The fields that ``wire.js`` lists under a name."""
    found = re.search(rf'\b{name}(?: =|:) fields\(\s*((?:"[^"]*"[\s+]*)+),?\s*\)', WIRE)
    assert found, f"wire.js has no list of fields named {name}"
    parts: list[str] = [json.loads(part) for part in re.findall(r'"[^"]*"', found[1])]
    return "".join(parts).split()


@pytest.mark.parametrize("name", STRUCTS)
def test_fields_are_those_of_the_struct(name: str):
    assert named(name) == list(STRUCTS[name].__struct_fields__)
