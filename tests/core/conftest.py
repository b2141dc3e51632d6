"""Both implementations of the core, and ways to ask a structure the same questions twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NATIVE = "durable_primitives._core._native"
VECTORS = Path(__file__).parents[1] / "vectors"

Rows = list[list[str]]


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    return import_module("durable_primitives._core._reference")


@pytest.fixture(scope="session")
def native(require: Callable[[str, object], None]) -> ModuleType:
    """The Rust core; may be missing on a developer's machine, and where the run insists on the reference."""
    found = find_spec(NATIVE)
    if not found and os.environ.get("DURABLE_PRIMITIVES_CORE") == "reference":
        pytest.skip("this run is about the reference, and the Rust core is not installed")
    require("the Rust core (maturin develop --release)", found)
    return import_module(NATIVE)


@pytest.fixture(scope="session", params=["native", "reference"])
def core(request: pytest.FixtureRequest) -> ModuleType:
    """Each implementation in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def replay() -> Callable[[Any, Iterable[tuple[Any, ...]]], list[object]]:
    """``replay(structure, [(method, *arguments), …])``: every answer or error, with the length after it."""

    def replay(structure: Any, operations: Iterable[tuple[Any, ...]]) -> list[object]:
        return [(name, ask(structure, name, arguments), len(structure)) for name, *arguments in operations]

    return replay


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Rows]:
    """``vectors(name)``: the cells of each row of a file of golden vectors."""

    def vectors(name: str) -> Rows:
        lines = (VECTORS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
        return [line.split("\t") for line in lines if not line.startswith("#")]

    return vectors


@pytest.fixture(scope="session")
def follow_script(vectors: Callable[[str], Rows]) -> Callable[[str, Callable[..., Any]], None]:
    """``follow_script(name, make)``: call by call, what ``make`` returns answers as the golden vectors say."""

    def follow_script(name: str, make: Callable[..., Any]) -> None:
        structure = None
        for row in vectors(name):
            if row[0] == "new":
                structure = make(*map(parsed, row[1:]))
                continue
            method, *arguments, answer = row
            actual = ask(structure, "__len__" if method == "len" else method, map(parsed, arguments))
            assert shown(actual) == answer, row

    return follow_script


def ask(structure: Any, name: str, arguments: Iterable[object]) -> object:
    member = getattr(structure, name)
    try:
        return member(*arguments) if callable(member) else member
    except (KeyError, ValueError) as error:
        return type(error)


def parsed(cell: str) -> object:
    if cell == "-":
        return None
    return int(cell) if cell.lstrip("-").isdigit() else cell


def shown(answer: object) -> str:
    match answer:
        case None:
            return "-"
        case bool():
            return str(answer).lower()
        case list():
            return f"[{' '.join(map(str, answer))}]"
        case tuple():
            return f"({' '.join(map(str, answer))})"
        case type():
            return answer.__name__
        case _:
            return str(answer)
