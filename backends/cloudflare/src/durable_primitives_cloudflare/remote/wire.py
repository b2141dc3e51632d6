"""What the host reads and answers: JSON, structs as arrays in the order of their fields, bytes as base64.

``host/wire.js`` reads the kernel's structs by position.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, json, structs

from durable_primitives.kernel.record import DeadLetter, Item, Receipt, Record, Tally
from durable_primitives.kernel.transition import Claim, Outcome, Renewal, Transition

WORTH_LEAVING_OUT = 256
"""Bytes of a payload that the host has already."""


class CommitReply(Struct, frozen=True, array_like=True):
    """``commit``; null where the host cannot know what became of an earlier sending."""

    outcomes: list[Outcome]
    claims: list[Claim]
    nearest: int | None
    """The alarm that came nearer, if one did."""
    head: int | None
    """The earliest alarm of the partition."""


class LoadReply(Struct, frozen=True, array_like=True):
    """``load``"""

    record: Record | None
    receipts: list[Receipt]
    letters: list[DeadLetter]


encode = json.Encoder().encode
read_commit = json.Decoder(CommitReply | None).decode
read_load = json.Decoder(LoadReply).decode
read_items = json.Decoder(tuple[list[Item], bool]).decode
read_letters = json.Decoder(tuple[list[DeadLetter], bool]).decode
read_records = json.Decoder(list[Record]).decode
read_tally = json.Decoder(Tally).decode
read_renewals = json.Decoder(list[Renewal]).decode
read_settings = json.Decoder(list[tuple[str, str]]).decode
read_alarms = json.Decoder(list[int]).decode
read_alarm = json.Decoder(int | None).decode
read_count = json.Decoder(int).decode
read_usage = json.Decoder(dict[str, int]).decode


def packed(transition: Transition) -> bytes:
    """A transition as it travels: items that the host has go without their payloads."""
    if transition.remove or transition.reschedule or transition.mark or transition.bury:
        transition = structs.replace(
            transition,
            remove=tuple(structs.replace(one, item=_light(one.item)) for one in transition.remove),
            reschedule=tuple(structs.replace(one, item=_light(one.item)) for one in transition.reschedule),
            mark=tuple(_light(item) for item in transition.mark),
            bury=tuple(
                one if one.item is None else structs.replace(one, item=_light(one.item)) for one in transition.bury
            ),
        )
    return encode(transition)


def joined(transitions: Sequence[bytes], request: bytes) -> bytes:
    """A commit of packed transitions."""
    return b"[[%b],%b]" % (b",".join(transitions), request)


def _light(item: Item) -> Item:
    return structs.replace(item, payload=b"") if len(item.payload) > WORTH_LEAVING_OUT else item
