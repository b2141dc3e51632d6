"""What depends on hashes is another thing in another interpreter, and only that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest

from durable_primitives import Buffer, BufferEventContext, Queue
from durable_primitives.testing.checking.elsewhere import Elsewhere, Question, may_differ

WORDS = ["ada", "bob", "eve", "joe", "kim", "lea", "mia", "tom"]


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
hashed = Queue.make("hashed", event_schema=str, execute=handler, partition_key=lambda event: str(hash(event)))
plain = Queue.make("plain", event_schema=str, execute=handler, partition_key=lambda event: event[:1])


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Any], Elsewhere]]:
    started: list[Elsewhere] = []

    def start(definition: Any) -> Elsewhere:
        started.append(Elsewhere(definition, __name__))
        return started[-1]

    yield start
    for one in started:
        one.close()


def here_and_there(definition: Any, elsewhere: Elsewhere) -> tuple[bytes, bytes | None]:
    """A state of eight words, as it is made here and there."""
    codec = definition.gathering.state
    state, event = codec.encode(WORDS[:-1]), definition.event.encode(WORDS[-1])
    context: Any = BufferEventContext("x", WORDS[-1], None, codec.decode(state), 8, None)  # type: ignore[arg-type]
    return codec.encode(definition.gathering.reducer(context)), elsewhere.ask(
        Question(event, state, "x", event_count=8)
    )


def test_a_set_has_another_order(elsewhere) -> None:
    here, there = here_and_there(unordered, elsewhere(unordered))
    codec: Any = unordered.gathering.state  # type: ignore[attr-defined]
    assert there is not None
    assert codec.decode(here) != codec.decode(there)
    assert sorted(codec.decode(there)) == sorted(WORDS)


def test_a_sorted_set_has_the_same(elsewhere) -> None:
    here, there = here_and_there(ordered, elsewhere(ordered))
    assert here == there


@pytest.mark.parametrize(("definition", "same"), [(hashed, False), (plain, True)])
def test_a_partition_key(definition: Any, same: bool, elsewhere) -> None:
    there = elsewhere(definition).ask(Question(definition.codec.encode("push")))
    assert there is not None
    assert (there.decode() == definition.partition_key("push")) is same


def test_a_definition_of_no_module_gets_no_answer(elsewhere) -> None:
    local = Queue.make("local", event_schema=str, execute=handler, partition_key=lambda event: str(hash(event)))
    assert elsewhere(local).ask(Question(local.codec.encode("push"))) is None


def test_only_code_that_uses_hashes_is_asked_about() -> None:
    def function(definition: Any) -> FunctionType:
        return definition.partition_key

    assert may_differ([function(hashed)], [])
    assert not may_differ([function(plain)], [str])
    assert may_differ([function(plain)], [dict[str, frozenset[str]]])
    assert may_differ([in_any_order], [])
