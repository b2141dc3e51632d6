"""From the host's answers to our errors: one class per cause that a caller can act on."""

from __future__ import annotations

from msgspec import DecodeError, Struct, json

from durable_primitives.errors import (
    BackendUnavailableError,
    Outcome,
    PayloadTooLargeError,
    StorageError,
    StorageFullError,
)

BACKEND = "cloudflare"


class Said(Struct, frozen=True):
    """What the host says beside a status."""

    error: str = ""
    size: int = 0
    limit: int = 0


def said(answer: bytes) -> Said:
    """What an answer says, also one of somebody else."""
    try:
        return json.decode(answer, type=Said)
    except DecodeError:
        return Said(answer[:200].decode(errors="replace"))


def too_large(answer: bytes, sent: int) -> PayloadTooLargeError:
    """What to raise for a row that the platform would not take, or a request of so many bytes."""
    told = said(answer)
    return PayloadTooLargeError(told.size or sent, told.limit, "row" if told.size else "request")


def refusal(status: int, said: str, url: str) -> StorageError:
    """What to raise when the host answered that it did nothing."""
    if status == 401:
        return BackendUnavailableError(
            f"{url} refuses the signature ({said})",
            backend=BACKEND,
            outcome="not_applied",
            help="give both sides the same ENGINE_KEYS, and check this machine's clock",
        )
    if status == 404:
        return BackendUnavailableError(
            f"{url} is no host of this version ({said})",
            backend=BACKEND,
            outcome="not_applied",
            help="deploy the host that comes with this version of durable-primitives-cloudflare",
        )
    if status == 507:
        return StorageFullError(f"{url} is full ({said})", backend=BACKEND, outcome="not_applied")
    return StorageError(f"{url} answered {status}: {said}", backend=BACKEND, outcome="not_applied")


def unreachable(reason: str, url: str, *, outcome: Outcome) -> BackendUnavailableError:
    """What to raise when there was no answer of the host."""
    verb = "cannot be reached" if outcome == "not_applied" else "was lost before it answered"
    return BackendUnavailableError(f"{url} {verb} ({reason})", backend=BACKEND, outcome=outcome)
