"""Values, calls and whole tests as Python that can be pasted."""

from __future__ import annotations

import ast
import inspect
import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import FunctionType
from typing import Any, ClassVar
from uuid import UUID

import durable_primitives
from durable_primitives.testing.checking.same import is_a, record_fields


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
        """Import a name; what the library exports, from its top."""
        if module.startswith("durable_primitives.") and hasattr(durable_primitives, name):
            module = "durable_primitives"
        self._imports.setdefault(module, set()).add(name.partition(".")[0])
        return name

    def value(self, value: Any) -> str:
        """An expression that makes an equal value."""
        for kinds, write in self._WRITERS:
            if is_a(value, kinds):
                return write(self, value)
        return self._record(value)

    def _enum(self, value: Any) -> str:
        return f"{self._type(type(value))}.{value.name}"

    def _float(self, value: float) -> str:
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"

    def _plain(self, value: Any) -> str:
        return repr(value)

    def _time(self, value: Any) -> str:
        self._modules.add("datetime")
        return repr(value)

    def _from_text(self, value: Any) -> str:
        return f"{self._type(type(value))}({str(value)!r})"

    def _path(self, value: Any) -> str:
        return f"{self.need('pathlib', 'Path')}({str(value)!r})"

    def _list(self, value: Any) -> str:
        return f"[{self._all(value)}]"

    def _tuple(self, value: Any) -> str:
        return f"({self._all(value)}{',' if len(value) == 1 else ''})"

    def _set(self, value: Any) -> str:
        inside = f"{{{self._all(sorted(value, key=repr))}}}" if value else ""
        return inside if inside and is_a(value, set) else f"{type(value).__name__}({inside})"

    def _mapping(self, value: Any) -> str:
        return f"{{{', '.join(f'{self.value(key)}: {self.value(value[key])}' for key in value)}}}"

    def _all(self, values: Any) -> str:
        return ", ".join(map(self.value, values))

    def _type(self, kind: Any) -> str:
        return self.need(kind.__module__, kind.__qualname__)

    def _function(self, value: Any) -> str:
        return lambda_source(value) or self._type(value)

    def _record(self, value: Any) -> str:
        kind: Any = getattr(value, "__class__", None)
        names = record_fields(value)
        if names is None:
            return repr(value)
        if is_dataclass(kind):
            names = [one.name for one in fields(kind) if one.init]
        elif hasattr(value, "model_fields_set"):
            names = [name for name in names if name in value.model_fields_set]
        inside = ", ".join(f"{name}={self.value(getattr(value, name))}" for name in names)
        return f"{self._type(kind)}({inside})"

    _WRITERS: ClassVar[tuple[tuple[Any, Callable[[Any, Any], str]], ...]] = (
        (Enum, _enum),
        (float, _float),
        ((type(None), bool, int, str, bytes), _plain),
        ((datetime, date, time, timedelta), _time),
        ((Decimal, UUID), _from_text),
        (PurePath, _path),
        ((list, deque), _list),
        (tuple, _tuple),
        ((set, frozenset), _set),
        (Mapping, _mapping),
        (FunctionType, _function),
    )


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
