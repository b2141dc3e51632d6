"""From the server's and the client's errors to ours: one class per cause that a caller can act on."""

from __future__ import annotations

import re

from hiredis import ReplyError

from durable_primitives.errors import (
    BackendUnavailableError,
    Outcome,
    StorageBusyError,
    StorageCorruptedError,
    StorageError,
    StorageFullError,
    StorageReadOnlyError,
)
from durable_primitives.spi import damaged_instance

BACKEND = "redis"

_CODE = re.compile(r"(?:^|-)([A-Z]{2,})\b")

_REFUSALS: dict[str, tuple[type[StorageError], str, str | None]] = {
    "OOM": (StorageFullError, "{url} has no memory left (maxmemory)", None),
    "MISCONF": (StorageFullError, "{url} cannot write to its disk and refuses changes", "see the log of the server"),
    "READONLY": (StorageReadOnlyError, "{url} is a replica", None),
    "NOREPLICAS": (BackendUnavailableError, "{url} has fewer replicas than it insists on", "check its replicas"),
    "BUSY": (StorageBusyError, "{url} runs a script that takes too long", None),
    "LOADING": (BackendUnavailableError, "{url} is loading its data", None),
    **dict.fromkeys(
        ("MOVED", "ASK", "TRYAGAIN"), (BackendUnavailableError, "the keys are on another node than {url}", None)
    ),
    "MASTERDOWN": (BackendUnavailableError, "{url} has lost its primary", None),
    "CLUSTERDOWN": (BackendUnavailableError, "the cluster at {url} is down", "see CLUSTER INFO"),
    "NOAUTH": (BackendUnavailableError, "{url} wants a password", "put it into the URL: redis://:password@host"),
    "WRONGPASS": (BackendUnavailableError, "{url} refuses the user name or the password", "correct the URL"),
    "NOPERM": (
        BackendUnavailableError,
        "the user of {url} may not do what the backend needs",
        "allow it +@all on the keys and channels of the prefix",
    ),
}
"""By the code at the start of the server's error; each of them is said before a script's first write."""


_CODES_BY_CLASS = {
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "NoPermissionError": "NOPERM",
    "AuthenticationError": "WRONGPASS",
}
"""While a connection is made, the client library takes the code off the errors that it has a class for."""


_DAMAGED = re.compile(r'DAMAGED "(.*)"')


def damaged(instance: str) -> StorageCorruptedError:
    """What to raise for an instance whose record cannot be read."""
    return damaged_instance(instance, "its record cannot be read", backend=BACKEND)


def refusal(error: Exception, url: str, before: Outcome = "not_applied") -> StorageError:
    """What to raise when the server answered with an error; `before` is what became of earlier sendings."""
    text = one_line(error)
    if (found := _DAMAGED.search(text)) is not None:
        # Said before a script's first write.
        failure = damaged(found[1])
        failure.outcome = before
        return failure
    code = _CODES_BY_CLASS.get(type(error).__name__)
    if code == "WRONGPASS" and "required" in text:
        code = "NOAUTH"
    for found in (code, *_CODE.findall(text)):
        if found in _REFUSALS:
            kind, message, help = _REFUSALS[found]
            return kind(message.format(url=url), backend=BACKEND, outcome=before, help=help)
    # A script that failed half way: what it had written stays.
    return StorageError(f"{url} answered with an error: {text}", backend=BACKEND, outcome="unknown")


def code_of(error: ReplyError) -> str:
    """What the server's error begins with."""
    return str(error).partition(" ")[0]


def unreachable(error: BaseException | None, url: str, *, outcome: Outcome) -> BackendUnavailableError:
    """What to raise when there was no answer."""
    reason = "no answer in time" if error is None else one_line(error)
    verb = "cannot be reached" if outcome == "not_applied" else "was lost before it answered"
    return BackendUnavailableError(f"{url} {verb} ({reason})", backend=BACKEND, outcome=outcome)


def one_line(error: BaseException) -> str:
    """Its text, or its name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
