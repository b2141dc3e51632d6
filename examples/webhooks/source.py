"""Where deliveries come from: a file of them, or the history of this repository."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
NEWEST_PUSHES = 500
"""As many of this repository's pushes as are worth watching."""

GIT_LOG = ["git", "-c", "core.quotePath=false", "log", "--reverse", "--no-renames", "--name-status"]
GIT_FORMAT = "--format=%x1e%H%x1f%aI%x1f%an%x1f%s"
CHANGES = {"A": "added", "D": "removed"}


class Delivery(msgspec.Struct, frozen=True):
    """One webhook call, as GitHub makes them."""

    delivery: str
    """Its id.  A sender that is not sure that a call arrived makes it again with the same id."""
    event: str
    payload: dict[str, Any]

    @property
    def repository(self) -> str:
        """The repository that it is about, or else the account: deliveries that share this must stay in order."""
        match self.payload:
            case {"repository": {"full_name": str(name)}}:
                return name
            case {"organization": {"login": str(login)}} | {"sender": {"login": str(login)}}:
                return login
            case _:
                return "(none)"


class SourceError(Exception):
    """There is nothing to replay; the message says why and what to do."""


def from_file(path: Path) -> list[Delivery]:
    """The deliveries of a JSONL file, one ``{"delivery": …, "event": …, "payload": {…}}`` per line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _parse(line: bytes, where: str) -> Delivery:
    try:
        return msgspec.json.decode(line, type=Delivery)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"{where}: not a delivery: {error}") from error


def from_git() -> list[Delivery]:
    """The newest pushes to this repository, oldest first: one for every file that a commit changed.

    Each top-level folder stands for a repository, so that there are several orders to keep.
    """
    try:
        log = subprocess.run([*GIT_LOG, GIT_FORMAT], cwd=ROOT, check=True, capture_output=True).stdout
    except OSError as error:
        raise SourceError(f"git cannot be run ({error.strerror})") from error
    except subprocess.CalledProcessError as error:
        raise SourceError(error.stderr.decode(errors="replace").strip().partition("\n")[0]) from error
    commits = log.decode(errors="replace").split("\x1e")[1:]
    return [push for commit in commits for push in _pushes(commit)][-NEWEST_PUSHES:]


def _pushes(commit: str) -> Iterator[Delivery]:
    head, *changes = commit.splitlines()
    sha, timestamp, author, message = head.split("\x1f")
    for change in filter(None, changes):
        status, path = change.split("\t", 1)
        folder = path.partition("/")[0] if "/" in path else "root"
        payload = {
            "ref": "refs/heads/main",
            "after": sha,
            "repository": {"full_name": f"durable-primitives/{folder}"},
            "head_commit": {
                "id": sha,
                "message": message,
                "timestamp": timestamp,
                "author": {"name": author},
                CHANGES.get(status, "modified"): [path],
            },
        }
        yield Delivery(delivery=f"{sha[:12]}:{path}", event="push", payload=payload)
