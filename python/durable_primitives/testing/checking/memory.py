"""What user code keeps in its process: a crash loses it, and no history sees that of another one."""

from __future__ import annotations

import copy
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

_CONTAINERS = (list, dict, set, bytearray, deque, Counter, OrderedDict, defaultdict)
_PLAIN = (int, float, str, bytes, bool, tuple, frozenset, type(None))


def reachable(functions: Iterable[object]) -> list[types.FunctionType]:
    """The functions, and those that they name and that stand in the same modules."""
    found: dict[int, types.FunctionType] = {}
    waiting = [function for one in functions for function in _functions(one)]
    while waiting:
        function = waiting.pop()
        if id(function) in found:
            continue
        found[id(function)] = function
        for name in _names(function.__code__):
            waiting += [
                other for other in _functions(function.__globals__.get(name)) if other.__module__ == function.__module__
            ]
        for cell in function.__closure__ or ():
            waiting += _functions(_content(cell))
    return list(found.values())


def _functions(value: Any) -> list[types.FunctionType]:
    if isinstance(value, types.FunctionType):
        inner = getattr(value, "__wrapped__", None)
        return [value, *_functions(inner)]
    if isinstance(value, types.MethodType):
        return _functions(value.__func__)
    partial: Any = value
    return _functions(partial.func) if hasattr(value, "func") and callable(value) else []


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _content(cell: Any) -> object:
    try:
        content: object = cell.cell_contents
    except ValueError:
        return None
    return content


class Memory:
    """The plain variables that some functions use: those of their modules, closures and default arguments.

    Objects of the user's own classes are left alone: they stand for the world outside.
    """

    def __init__(self, functions: Iterable[object]) -> None:
        self._restore: list[Callable[[], None]] = []
        self._values: list[Callable[[], object]] = []
        seen: set[int] = set()
        for function in reachable(functions):
            for name in _names(function.__code__):
                self._keep_global(function.__globals__, name, seen)
            for cell in function.__closure__ or ():
                self._keep_cell(cell, seen)
            for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
                self._keep_container(value, seen)

    def restore(self) -> None:
        """Make everything what it was."""
        for restore in self._restore:
            restore()

    def __bool__(self) -> bool:
        return bool(self._restore)

    def snapshot(self) -> str:
        """All values, to be compared."""
        return repr([value() for value in self._values])

    def _keep_global(self, variables: dict[str, Any], name: str, seen: set[int]) -> None:
        if name not in variables or name.startswith("__"):
            return
        value = variables[name]
        if type(value) in _CONTAINERS:
            self._keep_container(value, seen)
        elif type(value) in _PLAIN and not name.isupper():
            self._restore.append(lambda: variables.__setitem__(name, value))
            self._values.append(lambda: variables.get(name))

    def _keep_cell(self, cell: Any, seen: set[int]) -> None:
        value = _content(cell)
        if type(value) in _CONTAINERS:
            self._keep_container(value, seen)
        elif type(value) in _PLAIN and value is not None:
            self._restore.append(lambda: setattr(cell, "cell_contents", value))
            self._values.append(lambda: _content(cell))

    def _keep_container(self, value: Any, seen: set[int]) -> None:
        if type(value) not in _CONTAINERS or id(value) in seen:
            return
        seen.add(id(value))
        try:
            content = copy.deepcopy(value)
        except Exception:
            return  # it holds what cannot be copied, a connection for example
        self._restore.append(lambda: _refill(value, copy.deepcopy(content)))
        self._values.append(lambda: value)


def _refill(container: Any, content: Any) -> None:
    if container == content:
        return
    container.clear()
    if hasattr(container, "update"):
        container.update(content)
    else:
        container.extend(content)
