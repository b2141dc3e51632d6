"""Reducers that use sets, for interpreters to import: as little as possible comes with them."""

from __future__ import annotations

from typing import Any

from durable_primitives import Buffer, BufferEventContext


def in_any_order(ctx: BufferEventContext[str, list[str]]) -> list[str]:
    return list({*(ctx.state or []), ctx.event})


def in_order(ctx: BufferEventContext[str, list[str]]) -> list[str]:
    print("what it prints is no answer")
    return sorted({*(ctx.state or []), ctx.event})


def handler(ctx: Any) -> None: ...


unordered = Buffer.make(
    "unordered", event_schema=str, state_schema=list[str], on_event=in_any_order, execute=handler, max_events=9
)
ordered = Buffer.make(
    "ordered", event_schema=str, state_schema=list[str], on_event=in_order, execute=handler, max_events=9
)
