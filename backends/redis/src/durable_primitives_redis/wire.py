"""What the scripts read and answer: arrays in the order of the fields, as the kernel's own structs are written.

``lua/common/transition.lua`` reads the kernel's structs by position; ``tests/test_wire.py`` holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from durable_primitives.kernel.record import DeadLetter, Item, Receipt, Record, Tally
from durable_primitives.kernel.transition import Claim, ClaimRequest, LeaseRef, Outcome, Renewal, Transition

T = TypeVar("T")

encode = Encoder().encode


class CommitRequest(Struct, frozen=True, gc=False, array_like=True):
    """``commit.lua``"""

    stem: str
    client: str
    number: int
    claim: ClaimRequest | None
    partitions: Sequence[int]
    """Those in which the script may look: all of them, or on a cluster the one that it is for."""
    places: Sequence[int]
    """The partition of each transition."""
    answered: Sequence[tuple[str, int]]
    """Keys and numbers of large replies that have arrived: the store need not keep them any longer."""
    transitions: Sequence[Transition]


class CommitReply(Struct, frozen=True, gc=False, array_like=True):
    """``commit.lua``"""

    outcomes: list[Outcome]
    claims: list[Claim]
    nearest: int | None
    """The nearest alarm that came before all others of its partition."""
    micros: int
    """The server's clock, in microseconds."""
    damaged: list[str]
    """Instances that were due and cannot be read: they were put off."""


class OpenRequest(Struct, frozen=True, gc=False, array_like=True):
    """``open.lua``"""

    stem: str
    partitions: Sequence[int]
    settings: Sequence[str]


class RenewRequest(Struct, frozen=True, gc=False, array_like=True):
    """``renew.lua``"""

    stem: str
    until: int
    leases: Sequence[LeaseRef]
    places: Sequence[int]
    partitions: Sequence[int]


class LoadRequest(Struct, frozen=True, gc=False, array_like=True):
    """``load.lua``"""

    stem: str
    place: int
    instance: str
    receipts: Sequence[str]
    letters: Sequence[str]


class LoadReply(Struct, frozen=True, gc=False, array_like=True):
    """``load.lua``"""

    record: Record | None
    receipts: list[Receipt]
    letters: list[DeadLetter]


class ItemsRequest(Struct, frozen=True, gc=False, array_like=True):
    """``items.lua``"""

    stem: str
    place: int
    instance: str
    segment: int
    after: int
    limit: int


class LettersRequest(Struct, frozen=True, gc=False, array_like=True):
    """``letters.lua``"""

    stem: str
    place: int
    instance: str
    after: str
    limit: int


class ScanRequest(Struct, frozen=True, gc=False, array_like=True):
    """``scan.lua``"""

    stem: str
    partitions: Sequence[int]
    first: str
    """Where to begin, as ZRANGEBYLEX wants it."""
    prefix: str
    limit: int


class TallyRequest(Struct, frozen=True, gc=False, array_like=True):
    """``tally.lua``"""

    stem: str
    place: int
    instance: str
    now: int


class SweepRequest(Struct, frozen=True, gc=False, array_like=True):
    """``sweep.lua``"""

    stem: str
    partitions: Sequence[int]
    now: int
    budget: int


class NextDueRequest(Struct, frozen=True, gc=False, array_like=True):
    """``next_due.lua``"""

    stem: str
    partitions: Sequence[int]


class DueRequest(Struct, frozen=True, gc=False, array_like=True):
    """``due.lua``"""

    stem: str
    place: int
    at: int
    limit: int


class NextDueReply(Struct, frozen=True, gc=False, array_like=True):
    """``next_due.lua``"""

    alarm: int | None
    micros: int


read_commit = Decoder(CommitReply).decode
read_renewals = Decoder(list[Renewal]).decode
read_load = Decoder(LoadReply).decode
read_items = Decoder(list[Item]).decode
read_letters = Decoder(list[DeadLetter]).decode
read_records = Decoder(list[Record]).decode
read_tally = Decoder(Tally).decode
read_alarms = Decoder(list[int]).decode
read_next_due = Decoder(NextDueReply).decode
