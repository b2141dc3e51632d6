"""What the host reads and answers: JSON, structs as arrays in the order of their fields, bytes as base64.

``host/wire.js`` reads the kernel's structs by position.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct, json, structs

from durable_primitives.kernel.record import DeadLetter, Item, Receipt, Record, Tally
from durable_primitives.kernel.transition import Burial, Claim, Outcome, Renewal, Transition

WORTH_LEAVING_OUT = 256
"""Bytes of a payload that the host has already."""

UPLOAD_BYTES = 1_500_000
"""Of one part of what is sent ahead, or asked for in parts."""


class Upload(Struct, frozen=True, array_like=True):
    """Where the payload of a dead letter is that was sent ahead."""

    name: str
    parts: int


SentLetter = tuple[DeadLetter, int]
"""A dead letter, and in how many parts to ask for its payload; 0: it is there."""


class CommitReply(Struct, frozen=True, array_like=True):
    """``commit``; null where the host cannot know what became of an earlier sending."""

    outcomes: list[Outcome]
    claims: list[Claim]
    nearest: int | None
    """The alarm that came nearer, if one did."""


class LoadReply(Struct, frozen=True, array_like=True):
    """``load``"""

    record: Record | None
    receipts: list[Receipt]
    letters: list[SentLetter]


encode = json.Encoder().encode
read_commit = json.Decoder(CommitReply | None).decode
read_load = json.Decoder(LoadReply).decode
read_items = json.Decoder(tuple[list[Item], bool]).decode
read_letters = json.Decoder(tuple[list[SentLetter], bool]).decode
read_part = json.Decoder(bytes | None).decode
read_records = json.Decoder(list[Record]).decode
read_tally = json.Decoder(Tally).decode
read_renewals = json.Decoder(list[Renewal]).decode
read_settings = json.Decoder(list[tuple[str, str]]).decode
read_alarms = json.Decoder(list[int]).decode
read_alarm = json.Decoder(int | None).decode
read_count = json.Decoder(int).decode
read_usage = json.Decoder(dict[str, int]).decode


def packed(transition: Transition, uploads: dict[str, bytes] | None = None) -> bytes:
    """A transition as it travels: items that the host has go without their payloads.

    With `uploads`, that takes the payloads of dead letters that are longer than a part, by the name of each: they are
    to be sent ahead.
    """
    if transition.remove or transition.reschedule or transition.mark or transition.bury:
        transition = structs.replace(
            transition,
            remove=tuple(structs.replace(one, item=_light(one.item)) for one in transition.remove),
            reschedule=tuple(structs.replace(one, item=_light(one.item)) for one in transition.reschedule),
            mark=tuple(_light(item) for item in transition.mark),
            bury=tuple(_buried(one, uploads) for one in transition.bury),
        )
    return encode(transition)


def parts_of(payload: bytes) -> list[bytes]:
    """What is sent ahead, request by request."""
    return [payload[start : start + UPLOAD_BYTES] for start in range(0, len(payload), UPLOAD_BYTES)]


def joined(transitions: Sequence[bytes], request: bytes) -> bytes:
    """A commit of packed transitions."""
    return b"[[%b],%b]" % (b",".join(transitions), request)


def _light(item: Item) -> Item:
    return structs.replace(item, payload=b"") if len(item.payload) > WORTH_LEAVING_OUT else item


def _buried(burial: Burial, uploads: dict[str, bytes] | None) -> Burial:
    item, payload = burial.item, burial.payload
    if item is not None:
        burial = structs.replace(burial, item=_light(item))
        if len(payload) > WORTH_LEAVING_OUT and payload == item.payload:
            return structs.replace(burial, payload=None)
    if uploads is None or len(payload) <= UPLOAD_BYTES:
        return burial
    name = os.urandom(16).hex()
    uploads[name] = payload
    return structs.replace(burial, payload=Upload(name, len(parts_of(payload))))
