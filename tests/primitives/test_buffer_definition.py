"""`Buffer.make`: what it accepts, what it refuses, and what the refusal says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durable_primitives.errors import DefinitionError
from durable_primitives.primitives.buffer import Buffer, BufferExecuteContext, Reduce


async def ignore(ctx: BufferExecuteContext[Any]) -> None:
    """A handler that nobody calls."""


def make(**options: Any) -> Any:
    any_make: Any = Buffer.make
    return any_make("b", **({"event_schema": str, "flush_after": "1 minute", "execute": ignore} | options))


def test_durations_are_parsed_once() -> None:
    definition = make(flush_after=timedelta(seconds=5), dedupe_window="2 hours", timeout="1500ms")

    assert (definition.flush_after_ms, definition.dedupe_ms, definition.timeout_s) == (5_000, 7_200_000, 1.5)


def test_without_a_handler_it_is_a_decorator() -> None:
    @Buffer.make("mails", event_schema=str, max_events=20, aliases=("letters",))
    async def mails(ctx: BufferExecuteContext[list[str]]) -> None: ...

    assert (mails.kind, mails.name, mails.aliases, mails.max_events) == ("buffer", "mails", ("letters",), 20)
    assert repr(mails) == "Buffer.make('mails', event_schema=str)"


def test_something_must_make_a_batch_due() -> None:
    with pytest.raises(DefinitionError, match=r"nothing makes a batch of buffer 'b' due; give flush_after="):
        make(flush_after=None)


@pytest.mark.parametrize("option", ["debounce", "max_wait", "max_bytes", "history"])
def test_options_of_later_releases_are_refused_by_name(option: str) -> None:
    with pytest.raises(DefinitionError, match=f"Buffer.make: {option} is not available in this release"):
        make(**{option: "1 minute" if option in ("debounce", "max_wait") else 10})


@pytest.mark.parametrize("call", [Reduce.count, Reduce.merge, lambda: Reduce.distinct(len)])
def test_reducers_of_later_releases_are_refused_by_name(call: Any) -> None:
    with pytest.raises(DefinitionError, match=r"Reduce\.\w+\(\w*\) is not available in this release"):
        call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flush_aftr": "1 minute"}, "did you mean 'flush_after'"),
        ({"flush_after": 5000}, "a number alone has no unit"),
        ({"flush_after": "0s"}, "longer than zero"),
        ({"timeout": 5}, "a number alone has no unit"),
        ({"dedupe_window": 60}, "a number alone has no unit"),
        ({"max_events": 0}, "max_events must be a whole number of at least 1, got 0"),
        ({"max_events": True}, "max_events must be a whole number of at least 1, got True"),
        ({"on_full": "reject"}, "on_full must be one of 'flush'; got 'reject'"),
        ({"retry": 3}, "retry must be a RetryPolicy, got int"),
        ({"execute": "notify"}, "execute must be a function, got str"),
        ({"on_dead_letter": 1}, "on_dead_letter must be a function, got int"),
        ({"state_schema": int}, "state_schema was given without a function that makes such a state"),
        ({"state_schema": int, "on_event": Reduce.append()}, "leave state_schema out"),
        ({"state_schema": int, "on_event": Reduce.latest()}, "leave state_schema out"),
        ({"on_event": ignore}, "on_event must be a plain function or a Reduce"),
        ({"on_event": "latest"}, "on_event must be a plain function or a Reduce, got 'latest'"),
        ({"schema_version": 0}, "the schema version of str is 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        make(**options)


def test_a_name_is_checked_before_there_is_a_handler() -> None:
    with pytest.raises(DefinitionError, match="the name of a buffer must be 1 to 128 letters"):
        Buffer.make("no spaces", event_schema=str, max_events=2)
