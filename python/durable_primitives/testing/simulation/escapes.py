"""Finds handlers that use the real clock, real randomness, or block the thread.

A handler's steps are watched, nothing else: a profile function is set for as long as its own code runs.  It sees calls
of C functions however they were imported, and looks only at those that the user's code makes itself: a library that
measures how long something took is no concern of anybody.
"""

from __future__ import annotations

import datetime
import inspect
import os
import random
import secrets
import sys
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from msgspec import Struct

from durable_primitives.testing.simulation.errors import EscapedSimulationError

BLOCK_SECONDS = 0.5
"""Real seconds that one step of a handler may take."""

_clock = time.perf_counter
_HERE = str(Path(__file__).parents[2])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
_STDLIB = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))

_CLOCK = "time is virtual in a simulation, and this is the real clock"
_CHANCE = "in a simulation chance comes from a seed, and this draw does not"
_THREAD = "a thread of its own runs on in real time, unseen by the simulation"
_BLOCKS = "it blocks the event loop, with every handler and every lease on it"

USE_THE_CONTEXT = "take times from the context or from the event"
USE_A_SEED = "draw from a random.Random with a seed of its own, for example ctx.idempotency_key"
USE_A_HASH = "take one of hashlib"
USE_ASYNCIO_SLEEP = "await asyncio.sleep(...), which costs no time here"


class Escape(Struct, frozen=True):
    """One place at which a handler left the simulation."""

    function: str
    """What it called, for example ``"time.time"``."""
    place: str
    """Where: file, line and function."""
    why: str
    help: str
    blocks: bool = False
    """It keeps everything else from running."""

    def __str__(self) -> str:
        return f"{self.function} was called at {self.place}: {self.why}; {self.help}"


class _Rule(Struct, frozen=True):
    function: str
    why: str
    help: str
    blocks: bool = False


def _rules() -> dict[Any, _Rule]:
    found: dict[Any, _Rule] = {}
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"):
        found[getattr(time, name)] = _Rule(f"time.{name}", _CLOCK, USE_THE_CONTEXT)
    for name in ("now", "utcnow"):
        found[getattr(datetime.datetime, name)] = _Rule(f"datetime.{name}", _CLOCK, USE_THE_CONTEXT)
    found[datetime.date.today] = _Rule("date.today", _CLOCK, USE_THE_CONTEXT)
    found[time.sleep] = _Rule("time.sleep", _BLOCKS, USE_ASYNCIO_SLEEP, blocks=True)
    for name in ("random", "getrandbits"):
        found[getattr(random, name)] = _Rule(f"random.{name}", _CHANCE, USE_A_SEED)
    found[hash] = _Rule("hash", "of a text it is another number in each process", USE_A_HASH)
    found[os.urandom] = _Rule("os.urandom", _CHANCE, USE_A_SEED)
    return found


def _code_rules() -> dict[int, _Rule]:
    """The same for functions written in Python, by the identity of their code, for hashing code is slow."""
    found: dict[int, _Rule] = {}
    for name in ("randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss"):
        found[id(getattr(random.Random, name).__code__)] = _Rule(f"random.{name}", _CHANCE, USE_A_SEED)
    for module, names in ((uuid, ("uuid1", "uuid4")), (secrets, ("token_hex", "token_bytes", "token_urlsafe"))):
        for name in names:
            found[id(getattr(module, name).__code__)] = _Rule(f"{module.__name__}.{name}", _CHANCE, USE_A_SEED)
    found[id(threading.Thread.start.__code__)] = _Rule("Thread.start", _THREAD, "await asyncio.to_thread(...)")
    return found


_RULES = _rules()
_CODE_RULES = _code_rules()
_SHARED_RANDOM: Any = getattr(random.random, "__self__", None)


class Watch:
    """Watches the steps of the handlers of one simulation.

    Args:
        block_seconds: How long a step may take, in real time.
        pure: What is watched is more than a handler: its answer must be the same in every process.
    """

    def __init__(self, block_seconds: float = BLOCK_SECONDS, *, pure: bool = False) -> None:
        self.found: dict[Escape, None] = {}
        """What was found, each place once, in order."""
        self._block_seconds = block_seconds
        self._pure = pure
        self._in_thread = False

    def step(self, what: str, resume: Callable[[Any], Any], value: Any, *, in_thread: bool) -> Any:
        """``resume(value)``, watched.  A plain ``def`` runs in a thread, which it may block."""
        self._in_thread = in_thread
        others = sys.getprofile()
        if others is None:
            sys.setprofile(self._profile)
        started = _clock()
        try:
            return resume(value)
        finally:
            if others is None:
                sys.setprofile(None)
            taken = _clock() - started
            if taken > self._block_seconds and not in_thread:
                self._note(
                    Escape(
                        what,
                        f"some place in it, for more than {self._block_seconds:g} s",
                        _BLOCKS,
                        USE_ASYNCIO_SLEEP,
                        blocks=True,
                    )
                )

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            try:
                rule = _RULES.get(arg)
            except TypeError:  # a method of something unhashable
                return
            if arg is hash and not self._pure:
                return
            if rule is not None and is_user_code(frame.f_code.co_filename):
                self._escaped(rule, frame)
        elif event == "call":
            rule = _CODE_RULES.get(id(frame.f_code))
            caller = frame.f_back
            if rule is None or caller is None or not is_user_code(caller.f_code.co_filename):
                return
            # A generator of the user's own has a seed of its own.
            owner = frame.f_locals.get("self")
            if not isinstance(owner, random.Random) or owner is _SHARED_RANDOM:
                self._escaped(rule, caller)

    def _escaped(self, rule: _Rule, frame: FrameType) -> None:
        if rule.blocks and self._in_thread:
            return
        escape = Escape(rule.function, _place(frame), rule.why, rule.help, rule.blocks)
        self._note(escape)
        if rule.blocks:
            # Not for an hour: the call itself is refused.
            raise EscapedSimulationError(escape.function, escape.place, escape.why, help=escape.help)

    def _note(self, escape: Escape) -> None:
        self.found.setdefault(escape)


def calling_place() -> str:
    """The innermost line of user code that is being executed."""
    frame = inspect.currentframe()
    while frame is not None:
        if is_user_code(frame.f_code.co_filename):
            return _place(frame)
        frame = frame.f_back
    return "an unknown place"


def _place(frame: FrameType) -> str:
    code: CodeType = frame.f_code
    return f"{os.path.basename(code.co_filename)}:{frame.f_lineno} in {code.co_name}"


@cache
def is_user_code(filename: str) -> bool:
    """Neither the standard library nor this library nor an installed one."""
    return not filename.startswith((_HERE, *_LIBRARIES, *_STDLIB, "<frozen"))
