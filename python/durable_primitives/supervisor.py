"""Several worker processes under one parent, which replaces those that die."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from durable_primitives.errors import DefinitionError, DurablePrimitivesError
from durable_primitives.logs import get_logger

RESTART_SECONDS = 1.0
"""Before a dead process is replaced: one that dies at once must not become a storm."""

NO_START = 78
"""Exit status of a process whose store could not be opened (``EX_CONFIG``): another one would fare no better."""

Work = Callable[[int], None]
"""What a process does, to its end.  Its argument is a file descriptor that becomes readable when the parent is gone."""

_STOP = (signal.SIGTERM, signal.SIGINT)

_log = get_logger("durable_primitives.supervisor")


def supervise(count: int, work: Work) -> None:
    """Run `work` in `count` child processes until SIGTERM or SIGINT, which is passed on to them.  Blocks.

    The children are forks of this process, so whatever it has defined they have too.  Call it from the main thread,
    before anything has started a thread or opened a connection.

    Raises:
        DefinitionError: This system cannot fork.
        SystemExit: A child could not open its store; it has said why.
    """
    if not hasattr(os, "fork"):
        raise DefinitionError(
            f"processes={count} needs a system that can fork, and this one cannot",
            help="start the program several times instead: processes that use one store share its work",
        )
    _Supervisor(count, work).run()


class _Supervisor:
    def __init__(self, count: int, work: Work) -> None:
        self._count = count
        self._work = work
        self._children: set[int] = set()
        self._stopping = False
        self._alive, self._lifeline = os.pipe()
        """Nobody writes to it: its end, when the last holder of `_lifeline` dies, is the message."""

    def run(self) -> None:
        handlers = {number: signal.signal(number, self._stop) for number in _STOP}
        try:
            self._keep_running()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(self._alive)
            os.close(self._lifeline)

    def _keep_running(self) -> None:
        failed = False
        for _ in range(self._count):
            self._start()
        while self._children:
            pid, status = os.wait()
            if pid not in self._children:
                continue  # Somebody else's child.
            self._children.discard(pid)
            code = os.waitstatus_to_exitcode(status)
            if code == NO_START:
                failed = True
                self._stop()
            elif not self._stopping:
                _log.error("a worker process died and is replaced", pid=pid, exit_code=code)
                time.sleep(RESTART_SECONDS)
                self._start()
        if failed:
            raise SystemExit(NO_START)

    def _start(self) -> None:
        if self._stopping:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal that comes in between waits, and then finds the new child among those to pass it on to.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        pid = os.fork()
        if pid == 0:
            self._be_a_child()
        self._children.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    def _be_a_child(self) -> NoReturn:
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
            os.close(self._lifeline)
            self._work(self._alive)
            code = 0
        except DurablePrimitivesError as error:
            print(f"durable-primitives: {error}", file=sys.stderr)
            code = NO_START
        except KeyboardInterrupt:
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Not sys.exit: what the parent wanted to do at its own end is not for its children to do.
            os._exit(code)

    def _stop(self, number: int = 0, frame: FrameType | None = None) -> None:
        self._stopping = True
        for pid in self._children:
            os.kill(pid, signal.SIGTERM)
