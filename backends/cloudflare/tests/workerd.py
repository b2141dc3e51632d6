"""A real workerd, in a process of its own, that can be killed and started again on what it stored."""

from __future__ import annotations

import json
import os
import platform
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import node

BINARY = "DURABLE_PRIMITIVES_TEST_WORKERD"
"""The path of the program to test with; default: the pinned one from npm."""

START_SECONDS = 60.0


def find_workerd() -> Path:
    """The one that is named, or the one of the pinned npm package."""
    if named := os.environ.get(BINARY):
        return Path(named)
    machine = {"x86_64": "64", "amd64": "64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
    return node.node_modules() / "@cloudflare" / f"workerd-{sys.platform}-{machine}" / "bin" / "workerd"


class Workerd:
    """One workerd over a configuration file, listening on a port of its own choice.

    Args:
        config: The capnp file.  Its sockets say ``127.0.0.1:0``; its disk service is named ``do-disk``.
        disk: Where Durable Objects are stored.
        env: Its environment, beside that of this process: what the configuration reads with ``fromEnvironment``.
        arguments: Further arguments of ``workerd serve``.
    """

    def __init__(
        self, config: Path, disk: Path, *, env: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
    ) -> None:
        self.disk = disk
        self._config, self._env, self._arguments = config, dict(env or {}), list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """Of the first socket.  It stays the same over a restart."""
        return self._port

    @property
    def pid(self) -> int:
        assert self._process is not None, "not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written, over all starts."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""

    @property
    def _log_path(self) -> Path:
        return self.disk.with_name(f"{self.disk.name}.log")

    def start(self) -> None:
        """Returns when it listens."""
        self.disk.mkdir(parents=True, exist_ok=True)
        control, theirs = os.pipe()
        fixed = [f"--socket-addr=http=127.0.0.1:{self._port}"] if self._port else []
        command = [
            str(find_workerd()), "serve", str(self._config), f"--directory-path=do-disk={self.disk}",
            f"--control-fd={theirs}", *fixed, *self._arguments,
        ]  # fmt: skip
        try:
            with self._log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    command, pass_fds=[theirs], env={**os.environ, **self._env}, stdout=log, stderr=log
                )
        finally:
            os.close(theirs)
        with os.fdopen(control, "rb", buffering=0) as events:
            self._port = self._await_port(events.fileno())

    def _await_port(self, control: int) -> int:
        """The port, from lines of JSON like ``{"event": "listen", "socket": "http", "port": 4711}``."""
        said = b""
        until = time.monotonic() + START_SECONDS
        while select.select([control], [], [], max(0.0, until - time.monotonic()))[0]:
            data = os.read(control, 4096)
            if not data:
                break
            said += data
            for line in said.split(b"\n")[:-1]:
                event = json.loads(line)
                if event.get("event") == "listen":
                    return int(event["port"])
        self.stop(signal.SIGKILL)
        raise AssertionError(f"workerd did not start\n{self.log}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, as `number` does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """As a machine that fails."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Killed, and started again on what it stored."""
        self.kill()
        self.start()
