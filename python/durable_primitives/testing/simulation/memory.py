"""The variables of user code, one set of them for each simulated process.

All processes of a simulation share one interpreter, and with it the modules of the user.  Real ones do not: a list in a
module is empty again after a crash, and the worker beside has another one.  So, if it is asked to, a simulation gives
each life of each process variables of its own, which begin as they were found.

A variable of a process is a global, a variable of an enclosing function or a default argument that user code reaches
and could change: a builtin container, or whatever it binds anew.  An object of a class is none, for it may stand for the
world outside, which survives: a fake of a mail server, `Effects`.
"""

from __future__ import annotations

import copy
import dis
import functools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any, NamedTuple, Protocol

from durable_primitives.kernel.primitive import Definition
from durable_primitives.testing.simulation.escapes import is_user_code
from durable_primitives.testing.simulation.tenants import Tenant

_CONTAINERS = (list, dict, set, bytearray, deque, defaultdict, Counter, OrderedDict)
_NOTHING: Any = object()


def user_functions(definition: Definition) -> Iterator[Any]:
    """The functions that a definition holds: handlers, hooks, reducer, partition key, schedule."""
    for name in ("execute", "on_dead_letter", "on_error", "partition_key"):
        handler = getattr(definition, name, None)
        if handler is not None:
            yield getattr(handler, "call", handler)
    for holder, name in (("gathering", "_reducer"), ("lifecycle", "plan.schedule.function")):
        found = getattr(definition, holder, None)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            yield found


class Variable(Protocol):
    """Where one variable is."""

    @property
    def name(self) -> str: ...
    def get(self) -> Any: ...
    def put(self, value: Any) -> None: ...


class _Global(NamedTuple):
    name: str
    module: dict[str, Any]

    def get(self) -> Any:
        return self.module.get(self.name, _NOTHING)

    def put(self, value: Any) -> None:
        if value is _NOTHING:
            self.module.pop(self.name, None)
        else:
            self.module[self.name] = value


class _Enclosed(NamedTuple):
    name: str
    cell: CellType

    def get(self) -> Any:
        try:
            return self.cell.cell_contents
        except ValueError:
            return _NOTHING

    def put(self, value: Any) -> None:
        if value is _NOTHING:
            del self.cell.cell_contents
        else:
            self.cell.cell_contents = value


class _Defaults(NamedTuple):
    name: str
    function: Any

    def get(self) -> Any:
        return self.function.__defaults__, self.function.__kwdefaults__

    def put(self, value: Any) -> None:
        self.function.__defaults__, self.function.__kwdefaults__ = value


class Memory:
    """The variables of some user code, as each process has them.  Made by `of`; a loop switches them."""

    def __init__(self, variables: Iterable[Variable]) -> None:
        self._variables = tuple(variables)
        self._outside = [variable.get() for variable in self._variables]
        self._pristine = copy.deepcopy(self._outside)
        self._lives: dict[Tenant, list[Any]] = {}
        self._current: Tenant | None = None

    @classmethod
    def of(cls, *definitions: Definition) -> Memory | None:
        """The variables that their functions reach, or None if there are none."""
        found = _Search()
        for definition in definitions:
            for function in user_functions(definition):
                found.visit(function)
        return cls(found.variables.values()) if found.variables else None

    def switch(self, tenant: Tenant | None) -> None:
        """From here on the code of this tenant runs; None puts back what was found in the beginning."""
        if tenant is self._current:
            return
        if self._current is not None:
            self._lives[self._current] = [variable.get() for variable in self._variables]
        self._current = tenant
        values = self._outside
        if tenant is not None:
            if tenant not in self._lives:
                self._lives[tenant] = copy.deepcopy(self._pristine)
            values = self._lives[tenant]
        for variable, value in zip(self._variables, values, strict=True):
            variable.put(value)

    @property
    def touched(self) -> list[str]:
        """The names of the variables that some process has changed."""
        return [
            variable.name
            for place, variable in enumerate(self._variables)
            if any(not _same(life[place], self._pristine[place]) for life in self._lives.values())
        ]


class _Search:
    """Finds the variables that functions reach, through functions of the user's that they call."""

    def __init__(self) -> None:
        self.variables: dict[tuple[int, str], Variable] = {}
        self._visited: set[int] = set()

    def visit(self, value: Any) -> None:
        function = _plain(value)
        if function is None or id(function) in self._visited or not is_user_code(function.__code__.co_filename):
            return
        self._visited.add(id(function))
        if any(_may_change(one) for one in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self._note(function, _Defaults(f"the default arguments of {function.__name__}", function))
        for name, bound, is_global in _names(function.__code__):
            if is_global:
                value = function.__globals__.get(name, _NOTHING)
                place: Variable = _Global(name, function.__globals__)
                owner: Any = function.__globals__
            else:
                cell = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)).get(name)
                if cell is None:
                    continue
                place = _Enclosed(name, cell)
                value, owner = place.get(), cell
            if (bound and _can_be_copied(value)) or _may_change(value):
                self._note(owner, place)
            else:
                self.visit(value)

    def _note(self, owner: object, variable: Variable) -> None:
        self.variables[id(owner), variable.name] = variable


def _plain(value: Any) -> FunctionType | None:
    """The function of the user's behind what a definition holds."""
    while True:
        if isinstance(value, functools.partial):
            value = value.func
        elif isinstance(value, MethodType):
            value = value.__func__
        elif isinstance(value, FunctionType) and hasattr(value, "__wrapped__"):
            value = value.__wrapped__
        else:
            return value if isinstance(value, FunctionType) else None


def _names(code: CodeType) -> Iterator[tuple[str, bool, bool]]:
    """The global and enclosed names that code uses: ``(name, whether it binds it, whether it is global)``."""
    bound: dict[tuple[str, bool], bool] = {}
    pending = [code]
    while pending:
        one = pending.pop()
        pending += [constant for constant in one.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(one):
            kind = instruction.opname
            if kind.endswith(("_GLOBAL", "_DEREF")):
                key = instruction.argval, kind.endswith("_GLOBAL")
                bound[key] = bound.get(key, False) or kind.startswith(("STORE", "DELETE"))
    for (name, is_global), binds in bound.items():
        yield name, binds, is_global


def _may_change(value: Any) -> bool:
    return type(value) in _CONTAINERS and _can_be_copied(value)


def _can_be_copied(value: Any) -> bool:
    if value is _NOTHING:
        return True
    try:
        copy.deepcopy(value)
    except Exception:
        return False
    return True


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:
        return False
