"""What `Queue.make` accepts, refuses and means."""

from __future__ import annotations

from typing import Any

import pytest

from durable_primitives.errors import DefinitionError
from durable_primitives.primitives.queue import Queue, QueueDefinition, QueueExecuteContext
from durable_primitives.retry import Backoff, RetryPolicy

DAY = 86_400_000


async def handler(ctx: QueueExecuteContext[str]) -> None:
    """Does nothing."""


def make(name: str = "mails", **options: Any) -> QueueDefinition[Any]:
    defaults: dict[str, Any] = {"event_schema": str, "execute": handler}
    return Queue.make(name, **(defaults | options))


def test_without_execute_make_is_a_decorator():
    @Queue.make("mails", event_schema=str)
    async def mails(ctx: QueueExecuteContext[str]) -> None:
        """Does nothing."""

    assert isinstance(mails, QueueDefinition)
    assert (mails.kind, mails.name, repr(mails)) == ("queue", "mails", "Queue.make('mails', concurrency=1)")


def test_every_option_has_the_documented_default():
    queue = make()

    assert (queue.concurrency, queue.per_instance, queue.ordering, queue.on_full) == (1, 1, "strict", "reject")
    assert (queue.retry, queue.dedupe_ms, queue.aliases) == (RetryPolicy(max_attempts=3), DAY, ())
    assert queue.retry.backoff == Backoff.exponential(base="1 second", factor=2.0, max="5 minutes", jitter="full")
    assert (queue.max_pending, queue.timeout_s, queue.expires_ms) == (None, None, None)
    assert (queue.partition_key, queue.on_dead_letter) == (None, None)


@pytest.mark.parametrize("given", ["mails", 3, object()])
def test_what_cannot_be_called_is_no_handler(given: object):
    with pytest.raises(DefinitionError, match="execute must be a function"):
        make(execute=given)


def test_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(DefinitionError, match="did you mean 'concurrency'") as refused:
        make(concurency=5)

    assert refused.value.did_you_mean == "concurrency"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("concurrency", 0),
        ("concurrency", True),
        ("concurrency", 2.0),
        ("per_instance", 0),
        ("ordering", "fifo"),
        ("max_pending", 0),
        ("on_full", "flush"),
        ("timeout", "0s"),
        ("expires_after", "soon"),
        ("dedupe_window", "-1 day"),
    ],
)
def test_option_that_cannot_be_meant_is_refused(option: str, value: object):
    with pytest.raises(DefinitionError, match=option):
        make(**{option: value})


@pytest.mark.parametrize("name", ["", "a:b", "with space", "-", "ø", "n" * 129])
def test_name_that_cannot_be_one_is_refused(name: str):
    with pytest.raises(DefinitionError, match="the name of a queue"):
        make(name)


@pytest.mark.parametrize(
    ("max_pending", "concurrency", "rooms"),
    [(10, 3, [4, 3, 3]), (3, 3, [1, 1, 1]), (1, 3, [1, 1, 1]), (None, 2, [None] * 2)],
)
def test_max_pending_is_shared_out_over_the_instances(max_pending: Any, concurrency: int, rooms: list[Any]):
    """No instance knows how full the others are, and each must have room for one event."""
    queue = make(max_pending=max_pending, concurrency=concurrency)

    assert [queue.room(index) for index in range(concurrency)] == rooms
