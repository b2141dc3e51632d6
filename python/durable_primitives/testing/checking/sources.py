"""Values, calls and whole tests as Python that can be pasted."""

from __future__ import annotations

import ast
import inspect
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec


class Sources:
    """Writes values down, and remembers what they need to be imported."""

    def __init__(self) -> None:
        self._imports: dict[str, set[str]] = {}
        self._modules: set[str] = set()

    def imports(self) -> list[str]:
        """The lines."""
        names = [
            f"from {module} import {', '.join(sorted(names))}"
            for module, names in sorted(self._imports.items())
            if module != "builtins"
        ]
        return [f"import {module}" for module in sorted(self._modules)] + names

    def need(self, module: str, name: str) -> str:
        """Import a name."""
        self._imports.setdefault(module, set()).add(name.partition(".")[0])
        return name

    def value(self, value: Any) -> str:  # noqa: C901 - one line per type
        """An expression that makes an equal value."""
        match value:
            case Enum():
                return f"{self._type(type(value))}.{value.name}"
            case float() if value != value or value in (float("inf"), float("-inf")):
                return f"float({str(value)!r})"
            case None | bool() | int() | float() | str() | bytes():
                return repr(value)
            case datetime() | date() | time() | timedelta():
                self._modules.add("datetime")
                return repr(value)
            case Decimal() | UUID():
                return f"{self._type(type(value))}({str(value)!r})"
            case PurePath():
                return f"{self.need('pathlib', 'Path')}({str(value)!r})"
            case list():
                return f"[{self._all(value)}]"
            case tuple():
                return f"({self._all(value)}{',' if len(value) == 1 else ''})"
            case set() | frozenset():
                ordered = sorted(value, key=repr)
                inside = f"{{{self._all(ordered)}}}" if ordered else ""
                return inside if ordered and isinstance(value, set) else f"{type(value).__name__}({inside})"
            case Counter() | OrderedDict() | defaultdict() | deque():
                return repr(dict(value)) if isinstance(value, dict) else repr(list(value))
            case Mapping():
                return f"{{{', '.join(f'{self.value(key)}: {self.value(one)}' for key, one in value.items())}}}"
            case _:
                return self._record(value)

    def _all(self, values: Any) -> str:
        return ", ".join(map(self.value, values))

    def _type(self, kind: type) -> str:
        return self.need(kind.__module__, kind.__qualname__)

    def _record(self, value: Any) -> str:
        kind = type(value)
        if isinstance(value, msgspec.Struct):
            given = {name: getattr(value, name) for name in kind.__struct_fields__}
        elif is_dataclass(value):
            given = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
        elif isinstance(getattr(kind, "model_fields", None), dict):
            given = {name: getattr(value, name) for name in value.model_fields_set}
        else:
            return repr(value)
        inside = ", ".join(f"{name}={self.value(one)}" for name, one in given.items())
        return f"{self._type(kind)}({inside})"


def named(value: Any, home: str) -> tuple[str, str] | None:
    """The module in which a value has a name, `home` if it is that one, and the name; None if it has none."""
    for module in (home, *list(sys.modules)):
        variables = getattr(sys.modules.get(module), "__dict__", {})
        for name, one in list(variables.items()):
            if one is value and name.isidentifier():
                return module, name
    return None


def lambda_source(function: Any) -> str | None:
    """A lambda as it was written; None if that cannot be told."""
    try:
        module = ast.parse(inspect.getsource(inspect.getmodule(function) or function))
    except (OSError, TypeError, SyntaxError):
        return None
    line: int = function.__code__.co_firstlineno
    found = {
        ast.unparse(node)
        for node in ast.walk(module)
        if isinstance(node, ast.Lambda)
        and node.lineno == line
        and [one.arg for one in node.args.args] == list(function.__code__.co_varnames[: function.__code__.co_argcount])
    }
    return found.pop() if len(found) == 1 else None
