"""A process that is told things in lines and answers in lines."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
"""When a test gives up; no test that passes waits for it."""


class Child:
    """``async with Child(module, *arguments) as child``: runs a module of the tests; at the end it is killed."""

    _process: Process

    def __init__(self, module: str, *arguments: object) -> None:
        self._command = (sys.executable, "-m", module, *(str(argument) for argument in arguments))

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(*self._command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def hear(self, word: str) -> str:
        """The rest of the next line that begins with `word`."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := (await self._process.stdout.readline()).decode().strip():
                first, _, rest = line.partition(" ")
                if first == word:
                    return rest
        raise AssertionError(f"the process ended before it said {word!r}")

    async def rest(self) -> list[str]:
        """All further lines, to the end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self._process.stdout.read()).decode().splitlines()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that is stopped has stopped when this returns."""
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    async def ended(self) -> int:
        """Its exit code, when it has gone by itself."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._process.wait()
