"""Two other interpreters, each with hashes of its own, which are asked what a reducer makes of the same.

A set of texts has another order in each process.  A reducer that goes through one makes the same state twice in one
process, and another state in the next: nothing within a process can show that.  So two more of them import the module
of the definition, and answer from bytes to bytes.  Their hashes are always the same two, so what they show does not
depend on the process that asks.  They are started for user code that uses sets or hashes, and can only be asked about
a definition that is a variable of its module.
"""

from __future__ import annotations

import contextlib
import dis
import importlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from types import CodeType, FunctionType, ModuleType
from typing import IO, Any
from weakref import WeakKeyDictionary

import msgspec

from durable_primitives.primitives.buffer.context import BufferEventContext
from durable_primitives.schema.parts import parts

ANSWER_SECONDS = 60
"""How long the other interpreter may take, for its imports or for an answer."""

# By path: importing this as a module would bring all of the test kit along.
_PROGRAM = """
import importlib.util, json, sys
sys.path[:] = json.loads(sys.argv[1])
spec = importlib.util.spec_from_file_location("_elsewhere", sys.argv[3])
module = sys.modules["_elsewhere"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.serve()
"""
_HASHES = ("1", "2")
_SET_OPERATIONS = {"BUILD_SET", "SET_ADD", "SET_UPDATE"}
_SET_NAMES = {"set", "frozenset", "hash"}


def may_differ(functions: Iterable[FunctionType], schemas: Iterable[object]) -> bool:
    """Whether anything here has an order, or a value, that depends on hashes."""
    sets = any(part.form in (set, frozenset) for schema in schemas for part in parts(schema))
    return sets or any(_uses_hashes(function.__code__) for function in functions)


def _uses_hashes(code: CodeType) -> bool:
    return (
        not _SET_NAMES.isdisjoint(code.co_names)
        or any(one.opname in _SET_OPERATIONS for one in dis.get_instructions(code))
        or any(_uses_hashes(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    )


class Question(msgspec.Struct, omit_defaults=True):
    """What is asked: what becomes of a state by an event."""

    event: bytes
    state: bytes | None
    id: str
    event_id: str | None
    event_count: int
    first_event_at: datetime


class Answer(msgspec.Struct):
    """What came of it; `made` is None if nothing did."""

    made: bytes | None = None


class Elsewhere:
    """The two interpreters.  They are started by the first question, and end with this object, or with the program.

    Args:
        definition: A buffer with a reducer.
        module: Where it is a variable.
    """

    def __init__(self, definition: Any, module: str) -> None:
        file = getattr(sys.modules.get(module), "__file__", None)
        where = json.dumps({"module": module, "file": file, "kind": definition.kind, "name": definition.name})
        self._interpreters = [_Interpreter(where, hashes) for hashes in _HASHES]

    @classmethod
    def of(cls, definition: Any, module: str) -> Elsewhere:
        """Those of this definition: one pair, however often it is checked."""
        found = _known.get(definition)
        if found is None:
            found = _known[definition] = cls(definition, module)
        return found

    def ask(self, question: Question) -> list[bytes]:
        """Their answers; nothing if the definition cannot be found there, or the reducer raised."""
        for interpreter in self._interpreters:
            interpreter.ask(question)
        answers = [interpreter.answer() for interpreter in self._interpreters]
        return [] if None in answers else [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """End them; the next question starts them again."""
        for interpreter in self._interpreters:
            interpreter.close()


_known: WeakKeyDictionary[Any, Elsewhere] = WeakKeyDictionary()


class _Interpreter:
    """One of them."""

    def __init__(self, where: str, hashes: str) -> None:
        self._where = where
        self._hashes = hashes
        self._process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._silent = False

    def ask(self, question: Question) -> None:
        """Ask it; it may take its time."""
        if self._silent:
            return
        try:
            process = self._started()
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(question) + b"\n")
            process.stdin.flush()
        except OSError:
            self.close()
            self._silent = True

    def answer(self) -> bytes | None:
        """What it says, or None if it says nothing."""
        if self._silent:
            return None
        try:
            return msgspec.json.decode(self._answers.get(timeout=ANSWER_SECONDS), type=Answer).made
        except (queue.Empty, msgspec.DecodeError):
            self.close()
            self._silent = True
            return None

    def close(self) -> None:
        """End it."""
        end, self._process, self._end = self._end, None, None
        if end is not None:
            end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), self._where, __file__],
                env={**os.environ, "PYTHONHASHSEED": self._hashes},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._end = weakref.finalize(self, _end, self._process)
            self._answers = queue.SimpleQueue()
            listener = threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True)
            listener.start()
        return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _listen(pipe: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):  # closed meanwhile
        for line in pipe:
            answers.put(line)
    answers.put(b"")


# In the other interpreters.


def serve() -> None:
    """Answer what is asked on the standard input, until it ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # what the module prints is no answer
    where = json.loads(sys.argv[2])
    definition = _find(where)
    for line in sys.stdin.buffer:
        made = None if definition is None else _answer(definition, msgspec.json.decode(line, type=Question))
        answers.write(msgspec.json.encode(Answer(made)) + b"\n")
        answers.flush()


def _find(where: dict[str, str]) -> Any:
    try:
        module = _imported(where["module"], where["file"])
    except Exception:
        return None
    for value in vars(module).values():
        if getattr(value, "kind", None) == where["kind"] and getattr(value, "name", None) == where["name"]:
            return value
    return None


def _imported(name: str, file: str | None) -> ModuleType:
    if name != "__main__":
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location("_user_code", file) if file else None
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _answer(definition: Any, question: Question) -> bytes | None:
    try:
        gathering = definition.gathering
        context: BufferEventContext[Any, Any] = BufferEventContext(
            id=question.id,
            event=definition.event.decode(question.event),
            event_id=question.event_id,
            state=None if question.state is None else gathering.state.decode(question.state),
            event_count=question.event_count,
            first_event_at=question.first_event_at,
        )
        made: bytes = gathering.state.encode(gathering.reducer(context))
        return made
    except Exception:
        return None
