"""Runs pytest in Pyodide: the SDK's own tests, on an event loop that needs neither sockets nor threads."""

import asyncio
import json
import os
import sys
import time
import warnings


class NoSelector:
    """Nothing is ever ready outside of Python; a timer is waited for."""

    def select(self, timeout):
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        if timeout:
            time.sleep(timeout)
        return []

    def close(self):
        pass


class Loop(asyncio.base_events.BaseEventLoop):
    """asyncio's own loop, over nothing."""

    def __init__(self):
        super().__init__()
        self._selector = NoSelector()

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass


def main():
    import pytest

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        class Policy(asyncio.DefaultEventLoopPolicy):
            _loop_factory = Loop

        asyncio.set_event_loop_policy(Policy())  # pyright: ignore[reportDeprecated]
    # Pyodide runs everything on a loop of its own; the tests bring theirs.
    asyncio._set_running_loop(None)
    wish = json.loads("WISH")
    os.chdir(wish["root"])
    sys.path.insert(0, wish["root"])
    return int(pytest.main(wish["arguments"]))


main()
