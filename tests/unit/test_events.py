"""Tracking events: complete, small, and free of what users store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from durable_primitives import events
from durable_primitives.events import (
    EVENT_TYPES,
    BufferFlushed,
    BufferFlushFailed,
    ContinuousExecuted,
    ContinuousFailed,
    ErrorInfo,
    PrimitiveEvent,
    QueueCompleted,
    QueueFailed,
    Severity,
    bounded,
)
from durable_primitives.events.model import MAX_TEXT_BYTES

WHO: dict[str, Any] = {
    "at_ms": 1_893_456_000_000,
    "namespace": "default",
    "kind": "queue",
    "name": "deliveries",
    "instance_id": "queue:deliveries:3",
}
VALUES: dict[type, Any] = {int: 7, str: "text", bool: True, ErrorInfo: ErrorInfo(type="ValueError", message="no")}


def filled(event_class: type[PrimitiveEvent]) -> PrimitiveEvent:
    """An event with a value in every field."""
    chosen = {field.name: VALUES[plain(field.type)] for field in structs.fields(event_class) if field.name not in WHO}
    return event_class(**WHO, **chosen)


def plain(annotation: Any) -> type:
    """`X` of `X | None`."""
    return next((part for part in get_args(annotation) if part is not type(None)), annotation)


def subclasses(of: type) -> Iterator[type]:
    for subclass in of.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


every_event = pytest.mark.parametrize("event_class", EVENT_TYPES.values(), ids=EVENT_TYPES.keys())


def test_every_transition_has_its_event():
    assert set(EVENT_TYPES) == {
        *(f"continuous.{what}" for what in ("started", "executed", "failed", "retry_scheduled", "retry_exhausted")),
        *(f"continuous.{what}" for what in ("triggered", "paused", "resumed", "stopped", "terminated")),
        *(f"buffer.{what}" for what in ("event_received", "duplicate", "rejected", "flush_requested", "flushed")),
        *(f"buffer.{what}" for what in ("flush_failed", "dead_lettered", "redriven", "discarded", "cleared")),
        *(f"queue.{what}" for what in ("enqueued", "duplicate", "rejected", "started", "completed", "failed")),
        *(f"queue.{what}" for what in ("retry_scheduled", "snoozed", "cancelled", "expired", "dead_lettered")),
        *(f"queue.{what}" for what in ("redriven", "discarded", "paused", "resumed", "cleared")),
        *(f"instance.{what}" for what in ("orphaned", "parked", "recovered", "lease_lost", "purged")),
    }


def test_the_catalog_and_the_package_hold_every_event_class():
    public = {
        c for c in subclasses(PrimitiveEvent) if c.__module__.startswith("durable_primitives.") and c.__name__[0] != "_"
    }

    assert set(EVENT_TYPES.values()) == public
    assert {c.__name__ for c in public} <= set(events.__all__)


@every_event
def test_an_event_reads_back_from_json(event_class: type[PrimitiveEvent]):
    event = filled(event_class)

    encoded = msgspec.json.encode(event)

    assert msgspec.json.decode(encoded)["type"] == event.type
    assert msgspec.json.decode(encoded, type=EVENT_TYPES[event.type]) == event


@every_event
def test_an_event_has_no_room_for_payloads_or_state(event_class: type[PrimitiveEvent]):
    allowed = {int, str, bool, ErrorInfo}

    assert {plain(field.type) for field in structs.fields(event_class)} <= allowed
    assert not {"event", "payload", "state", "input", "body", "result"} & set(event_class.__struct_fields__)


@every_event
def test_an_event_can_not_be_changed(event_class: type[PrimitiveEvent]):
    event = filled(event_class)

    with pytest.raises(AttributeError):
        event.at_ms = 0  # type: ignore[misc]
    hash(event)


@every_event
def test_an_event_says_how_loud_it_is(event_class: type[PrimitiveEvent]):
    assert event_class.severity in get_args(Severity)


ENDS_OF_A_RUN = (ContinuousExecuted, ContinuousFailed, BufferFlushed, BufferFlushFailed, QueueCompleted, QueueFailed)


@pytest.mark.parametrize("event_class", ENDS_OF_A_RUN, ids=lambda event_class: event_class.__name__)
def test_the_end_of_a_run_says_which_attempt_it_was_and_how_long_it_took(event_class: type[PrimitiveEvent]):
    assert {"attempt", "duration_ms"} <= set(event_class.__struct_fields__)


def test_what_has_its_default_is_not_sent():
    event = QueueCompleted(**WHO, event_id="evt-1", attempt=1, duration_ms=12)

    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "type": "queue.completed",
        **WHO,
        "event_id": "evt-1",
        "attempt": 1,
        "duration_ms": 12,
    }


def test_a_new_primitive_needs_only_a_class():
    class TimerFired(PrimitiveEvent, frozen=True, kw_only=True, tag="timer.fired"):
        late_ms: int

    event = TimerFired(**{**WHO, "kind": "timer"}, late_ms=3)

    assert event.type == "timer.fired"
    assert msgspec.json.decode(msgspec.json.encode(event), type=TimerFired) == event


# --- errors and texts -------------------------------------------------------------------------------------------------


class PaymentRefused(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "type_name", "message"),
    [
        (ValueError("no such user"), "ValueError", "no such user"),
        (PaymentRefused("card expired"), f"{__name__}.PaymentRefused", "card expired"),
        (KeyError("missing"), "KeyError", "'missing'"),
        (TimeoutError(), "TimeoutError", ""),
        (OSError("bad name \udcff"), "OSError", "bad name ?"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_described_by_its_class_and_its_words(error: Exception, type_name: str, message: str):
    assert ErrorInfo.of(error) == ErrorInfo(type=type_name, message=message)


def test_an_error_that_can_not_be_printed_is_described_all_the_same():
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert ErrorInfo.of(Broken()).message == "<__str__ raised RuntimeError>"


def test_a_long_message_is_cut():
    info = ErrorInfo.of(ValueError("x" * 1_000_000))

    assert info.message == "x" * MAX_TEXT_BYTES


@given(st.text(st.characters(exclude_categories=())), st.integers(0, 40))
def test_a_bounded_text_is_valid_and_short_enough(text: str, limit_bytes: int):
    cut = bounded(text, limit_bytes)

    assert len(cut.encode()) <= limit_bytes
    assert text.encode("utf-8", "replace").decode().startswith(cut)


@given(st.text(max_size=20))
def test_a_short_text_is_left_as_it_is(text: str):
    assert bounded(text) == text
