"""What depends on hashes is another thing in another interpreter, and only that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from durable_primitives import Buffer
from durable_primitives.testing.checking.elsewhere import Elsewhere, Question, may_differ
from tests.testing.checking import hashed

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WORDS = ["ada", "bob", "eve", "joe", "kim", "lea", "mia", "tom"]


@pytest.fixture
def elsewhere() -> Iterator[Callable[[Any], Elsewhere]]:
    started: list[Elsewhere] = []

    def start(definition: Any) -> Elsewhere:
        started.append(Elsewhere(definition, hashed.__name__))
        return started[-1]

    yield start
    for one in started:
        one.close()


def made_of(elsewhere: Elsewhere, definition: Any) -> list[list[str]]:
    """A state of eight words, as the two interpreters make it."""
    state = definition.gathering.state
    question = Question(definition.event.encode(WORDS[-1]), state.encode(WORDS[:-1]), "x", None, 8, NOW)
    return [state.decode(answer) for answer in elsewhere.ask(question)]


def test_a_set_has_an_order_of_its_own_in_each(elsewhere) -> None:
    one, other = made_of(elsewhere(hashed.unordered), hashed.unordered)
    assert one != other
    assert sorted(one) == sorted(other) == WORDS


def test_a_sorted_set_has_the_same(elsewhere) -> None:
    assert made_of(elsewhere(hashed.ordered), hashed.ordered) == [WORDS, WORDS]


def test_a_definition_of_no_module_gets_no_answer(elsewhere) -> None:
    local = Buffer.make(
        "local",
        event_schema=str,
        state_schema=list[str],
        on_event=hashed.in_order,
        execute=hashed.handler,
        max_events=9,
    )
    assert made_of(elsewhere(local), local) == []


def test_only_code_that_uses_hashes_is_asked_about() -> None:
    def plain(ctx: Any) -> Any:
        return [*ctx.state, ctx.event]

    assert may_differ([hashed.in_any_order], [str])
    assert may_differ([plain], [dict[str, frozenset[str]]])
    assert not may_differ([plain], [list[str]])
