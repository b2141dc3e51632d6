"""Which implementation a process uses, and that both have one face."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import durable_primitives._core as selected

NATIVE = "durable_primitives._core._native"
CHOICE = "DURABLE_PRIMITIVES_CORE"
FOLDER = Path(selected.__file__).parent
BESIDE_THE_CORE = {"SQLiteLibrary", "SQLiteStore"}
"""What only the SQLite backend uses, and has a Python twin of its own."""


def select_again() -> ModuleType:
    """Run the choice anew, beside the one this process has made."""
    spec = importlib.util.spec_from_file_location("core_selected_again", selected.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("choice", ["", "native"])
def test_native_is_preferred(monkeypatch, choice):
    monkeypatch.setenv(CHOICE, choice)

    assert select_again().implementation == "native"


def test_the_reference_can_be_asked_for(monkeypatch, reference):
    monkeypatch.setenv(CHOICE, "reference")
    core = select_again()

    assert core.implementation == "reference"
    assert core.AlarmHeap is reference.AlarmHeap


def test_the_reference_stands_in_for_an_absent_extension(monkeypatch):
    monkeypatch.delenv(CHOICE, raising=False)
    monkeypatch.setitem(sys.modules, NATIVE, None)

    assert select_again().implementation == "reference"


def test_insisting_on_an_absent_extension_fails(monkeypatch):
    monkeypatch.setenv(CHOICE, "native")
    monkeypatch.setitem(sys.modules, NATIVE, None)

    with pytest.raises(ImportError, match="no compiled core for this platform"):
        select_again()


def test_an_unknown_choice_is_refused(monkeypatch):
    monkeypatch.setenv(CHOICE, "rust")

    with pytest.raises(ImportError, match='must be "native", "reference" or unset, got "rust"'):
        select_again()


def test_both_offer_the_same_names(native, reference):
    assert set(native.__all__) == {*reference.__all__, *BESIDE_THE_CORE}
    assert set(selected.__all__) == {"implementation", *reference.__all__}


def test_both_have_the_same_signatures(native, reference):
    assert dict(signatures(native, reference.__all__)) == dict(signatures(reference, reference.__all__))


def test_the_stub_says_what_the_reference_says(reference):
    stub = (FOLDER / "_native.pyi").read_text()
    source = "\n".join(inspect.getsource(getattr(reference, name)) for name in reference.__all__)

    said = {name: text for name, text in declarations(stub) if name.partition(".")[0] not in BESIDE_THE_CORE}
    assert said == dict(declarations(source))


def signatures(module: ModuleType, names: list[str]) -> Iterator[tuple[str, object]]:
    """The parameters of every public function, constructor and method; the annotations are checked in the stub."""
    for name in names:
        offered = getattr(module, name)
        yield name, parameters(offered)
        if inspect.isclass(offered):
            for attribute in filter(is_public, vars(offered)):
                member = getattr(offered, attribute)
                yield f"{name}.{attribute}", parameters(member)[1:] if callable(member) else "property"


def parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    signature = inspect.signature(function)
    return [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]


def declarations(source: str) -> Iterator[tuple[str, str]]:
    """Every function and method with its annotated parameters and result; a class stands for its constructor."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, declaration(node)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and member.name in {"__init__", "__new__"}:
                    yield node.name, ", ".join(map(ast.unparse, member.args.args[1:]))
                elif isinstance(member, ast.FunctionDef) and is_public(member.name):
                    yield f"{node.name}.{member.name}", declaration(member)


def declaration(function: ast.FunctionDef) -> str:
    result = "" if function.returns is None else ast.unparse(function.returns)
    return f"({ast.unparse(function.args)}) -> {result}"


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__len__"
