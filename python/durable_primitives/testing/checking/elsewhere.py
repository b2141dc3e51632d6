"""Another interpreter, with other hashes, which is asked what it makes of the same: a set has another order there.

A reducer that goes through a set of texts, and a partition key that is made with `hash`, give the same answer twice in
one process, and another one in the next.  Nothing within a process can show that.  So a second one imports the module
of the definition, and answers from bytes to bytes.  It is started for user code that uses sets or hashes, and can only
be asked about a definition that is a variable of its module.
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
from collections.abc import Iterable
from datetime import datetime
from types import CodeType, FunctionType, ModuleType
from typing import Any

import msgspec

from durable_primitives.primitives.buffer.context import BufferEventContext
from durable_primitives.schema.parts import parts

ANSWER_SECONDS = 20
"""How long the other interpreter may take, for its imports or for an answer."""

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from durable_primitives.testing.checking.elsewhere import serve; serve()"
)
_OTHER_SEEDS = ("1", "2")
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
    """What is asked: a partition key of an event, or what a reducer makes of it."""

    event: bytes
    state: bytes | None = None
    id: str = ""
    event_id: str | None = None
    event_count: int = 0
    first_event_at: datetime | None = None


class Answer(msgspec.Struct):
    """What came of it; `made` is None if nothing did."""

    made: bytes | None = None


class Elsewhere:
    """The other interpreter.  It is started by the first question, and ends with this object."""

    def __init__(self, definition: Any, module: str) -> None:
        self._where = json.dumps(_place(module) | {"kind": definition.kind, "name": definition.name})
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._silent = False

    def ask(self, question: Question) -> bytes | None:
        """Its answer, or None if there is none: the definition cannot be found there, or it failed."""
        if self._silent:
            return None
        try:
            process = self._started()
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(question) + b"\n")
            process.stdin.flush()
            return msgspec.json.decode(self._answers.get(timeout=ANSWER_SECONDS), type=Answer).made
        except (OSError, queue.Empty, msgspec.DecodeError):
            self.close()
            self._silent = True
            return None

    def close(self) -> None:
        """End the other interpreter; the next question starts it again."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def __del__(self) -> None:
        self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            seed = next(one for one in _OTHER_SEEDS if one != os.environ.get("PYTHONHASHSEED"))
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), self._where],
                env={**os.environ, "PYTHONHASHSEED": seed},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        return self._process

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # closed meanwhile
            for line in process.stdout:
                self._answers.put(line)
        self._answers.put(b"")


def _place(module: str) -> dict[str, str | None]:
    found = sys.modules.get(module)
    return {"module": module, "file": getattr(found, "__file__", None)}


# In the other interpreter.


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
    spec = importlib.util.spec_from_file_location("_elsewhere", file) if file else None
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _answer(definition: Any, question: Question) -> bytes | None:
    try:
        if definition.kind == "queue":
            key = definition.partition_key(definition.codec.decode(question.event))
            return None if key is None else str(key).encode()
        gathering = definition.gathering
        context: BufferEventContext[Any, Any] = BufferEventContext(
            id=question.id,
            event=definition.event.decode(question.event),
            event_id=question.event_id,
            state=None if question.state is None else gathering.state.decode(question.state),
            event_count=question.event_count,
            first_event_at=question.first_event_at,  # type: ignore[arg-type]
        )
        made: bytes = gathering.state.encode(gathering.reducer(context))
        return made
    except Exception:
        return None
