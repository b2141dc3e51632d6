"""Wakes the workers that sleep in other processes, without anybody polling.

A process that waits listens on a datagram socket in a folder that belongs to the database; whoever brings an alarm
nearer sends one byte to each of them.  A byte may get lost (its sender is killed first, say), so nobody relies on it
alone: `SQLiteBackend.wait` looks for itself once a second.  Where there are no Unix sockets, that is all there is.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import socket
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

_UNIX = hasattr(socket, "AF_UNIX") and hasattr(os, "getuid")
_ATTEMPTS = 3
_serials = count(1)


class Doorbell:
    """The sockets of everybody who waits for one namespace of one database."""

    def __init__(self, database: Path, namespace: str) -> None:
        self._folder = _folder(database) if _UNIX else None
        self._prefix = f"{_short_hash(namespace)[:4]}-"
        self._name = ""
        self._trusted = False
        self._listener: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, on_ring: Callable[[], None]) -> bool:
        """Call `on_ring` on the running event loop whenever somebody rings.  False: this system cannot."""
        loop = asyncio.get_running_loop()
        listener = self._hang() if self._folder is not None else None
        if listener is None:
            return False
        try:
            loop.add_reader(listener, _answer, listener, on_ring)
        except NotImplementedError:
            listener.close()
            return False
        self._listener, self._loop = listener, loop
        return True

    def _hang(self) -> socket.socket | None:
        """A socket in the folder, which whoever closes last takes down: perhaps in this moment, so try again."""
        assert self._folder is not None
        for _ in range(_ATTEMPTS):
            if not _make_private(self._folder):
                break
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener.setblocking(False)
            try:
                self._name = _bind(listener, self._folder, self._prefix)
            except OSError:
                listener.close()
            else:
                return listener
        return None

    def ring(self) -> None:
        """Wake everybody else.  Never blocks and never fails: to ring is a courtesy."""
        with suppress(OSError):
            if self._folder is not None and self._is_trusted():
                for name in os.listdir(self._folder):
                    if name != self._name and name.startswith(self._prefix):
                        self._ring_one(self._folder / name)

    def _is_trusted(self) -> bool:
        assert self._folder is not None
        if not self._trusted:
            self._trusted = _is_private(self._folder.parent) and _is_private(self._folder)
        return self._trusted

    def _ring_one(self, address: Path) -> None:
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._sender.setblocking(False)
        try:
            self._sender.sendto(b"!", str(address))
        except ConnectionRefusedError:
            # Its process is gone.
            with suppress(OSError):
                address.unlink()
        except OSError:
            # Full: it has a byte to wake it.  Or it went away in this moment.
            pass

    def close(self) -> None:
        """Stop listening.  To be called on the event loop that listens."""
        if self._listener is not None and self._loop is not None and self._folder is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            with suppress(OSError):
                (self._folder / self._name).unlink()
                self._folder.rmdir()
            self._listener = None
        if self._sender is not None:
            self._sender.close()
            self._sender = None


def _answer(listener: socket.socket, on_ring: Callable[[], None]) -> None:
    with suppress(BlockingIOError):
        while True:
            listener.recv(16)
    on_ring()


def _folder(database: Path) -> Path:
    """Short, because the address of a socket has room for about a hundred bytes."""
    return Path(tempfile.gettempdir(), f"durable-primitives-{os.getuid()}", _short_hash(os.path.realpath(database)))


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make_private(folder: Path) -> bool:
    """Make the folder and its parent, ours alone; False if somebody else made one of them first."""
    for path in (folder.parent, folder):
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError:
            return False
        if not _is_private(path):
            return False
    return True


def _is_private(folder: Path) -> bool:
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022


def _bind(listener: socket.socket, folder: Path, prefix: str) -> str:
    """Give the socket a name that nobody has; one that a dead process left behind is not worth waiting for."""
    while True:
        name = f"{prefix}{os.getpid()}-{next(_serials)}"
        try:
            listener.bind(str(folder / name))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return name
