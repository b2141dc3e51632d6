"""Random histories, by Hypothesis.  Nothing else in the suite needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from durable_primitives.kernel.transition import Due
from durable_primitives.testing.conformance import _twins as steps
from durable_primitives.testing.conformance._store import ONE, Store

HISTORIES = 60
STEPS = 40
HOOKS = "buffer:webhooks:acct-7"

event_ids = st.sampled_from(["a", "b", "c", "d", "e", "f"])
some_ids = st.lists(event_ids, min_size=1, max_size=3)
dues = st.lists(
    st.builds(
        Due,
        name=st.sampled_from(["run", "quiet"]),
        how=st.sampled_from(["set", "set_if_unset", "earlier", "clear"]),
        at=st.integers(0, 150),
    ),
    max_size=2,
).map(tuple)

vanish = st.builds(steps.Vanish, ms=st.sampled_from([steps.LEASE_MS, 7]), take=st.integers(0, 2))
change = st.builds(
    steps.Change,
    wish=st.sampled_from(
        ["none", "version", "old version", "generation", "old generation", "segment", "old segment", "exists", "absent"]
    ),
    held=st.sampled_from([False, False, True]),
    linger=st.sampled_from([steps.LINGER_MS, None]),
    dues=dues,
    later=st.booleans(),
)
turn = st.builds(
    steps.Turn, st.sampled_from(["remember", "clear", "erase", "restart", "begin anew"]), later=st.booleans()
)
house = st.one_of(
    st.builds(steps.Renew, st.booleans()),
    st.builds(steps.Sweep, st.sampled_from([0, steps.LINGER_MS])),
    st.builds(steps.Reopen),
)
enqueue = st.builds(
    steps.Enqueue,
    ids=st.lists(event_ids | st.none(), min_size=1, max_size=4),
    lane=st.sampled_from(["L", "M", None]),
    delay=st.sampled_from([0, 0, 0, 10]),
    rank=st.sampled_from([0, 0, -3, -1]),
    blocks=st.booleans(),
    room=st.sampled_from([None, None, 4]),
    on_full=st.sampled_from(["reject", "drop_oldest"]),
    dues=dues,
    later=st.booleans(),
)
work = st.builds(
    steps.Work,
    fates=st.permutations(["done", "retry", "dead", "back", "mark", "keep"]),
    delay=st.sampled_from([5, 0]),
    blocks=st.booleans(),
    take=st.integers(0, 3),
    release=st.sampled_from(["no", "idle", "yes"]),
    stale=st.sampled_from([False, False, False, True]),
    progress=st.booleans(),
    dues=dues,
    ms=st.sampled_from([1, 5]),
)
name = st.builds(steps.Name, st.sampled_from(["cancel", "redrive", "discard"]), some_ids, later=st.booleans())
add = st.builds(steps.Add, ids=some_ids, seal=st.booleans(), dues=dues, later=st.booleans())
flush = st.builds(
    steps.Flush,
    outcome=st.sampled_from(["done", "dead", "retry"]),
    release=st.sampled_from(["yes", "idle", "no"]),
    ms=st.sampled_from([steps.WINDOW_MS, 1]),
)
discard = st.builds(
    steps.Name,
    st.just("discard"),
    st.lists(st.sampled_from(["flush-1-1", "flush-1-2", "flush-2-1"]), min_size=1, max_size=2),
    later=st.booleans(),
)


def weighted(often: list[SearchStrategy[Any]], seldom: list[SearchStrategy[Any]]) -> SearchStrategy[steps.Step]:
    """Three steps of the first kind for one of the second: a history goes deep only while work goes on."""
    kinds = [*often * 3 * len(seldom), *seldom * len(often)]
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


INSTANCES = {
    "queue": (ONE, weighted([enqueue, work, name], [vanish, change, turn, house])),
    "buffer": (HOOKS, weighted([add, flush], [discard, vanish, change, turn, house])),
}


async def play(store: Store, instance: str, history: list[steps.Step]) -> None:
    """One history on a store of its own."""
    twins = steps.Twins(await store.fresh(), instance)
    try:
        await twins.live(history)
    finally:
        await twins.store.backend.close()


def search(kind: str, store: Store, loop: asyncio.AbstractEventLoop) -> None:
    """Look for a history on which the backend and the reference disagree; fail with a short one."""
    instance, step = INSTANCES[kind]

    def failure(history: list[steps.Step]) -> BaseException | None:
        return asyncio.run_coroutine_threadsafe(play(store, instance, history), loop).exception()

    try:
        history = find(
            st.lists(step, min_size=STEPS // 2, max_size=STEPS),
            lambda history: failure(history) is not None,
            settings=settings(max_examples=HISTORIES, database=None, deadline=None, phases=[Phase.generate]),
        )
    except NoSuchExample:
        return
    history = shortened(history, failure)
    told = "\n".join(f"    {step!r}" for step in history)
    raise AssertionError(f"{failure(history)}\nafter the steps\n{told}")


def shortened(
    history: list[steps.Step], failure: Callable[[list[steps.Step]], BaseException | None]
) -> list[steps.Step]:
    """Leave out what is not needed to fail, from the end: a few dozen runs, where Hypothesis would try for minutes."""
    for index in reversed(range(len(history))):
        shorter = history[:index] + history[index + 1 :]
        if failure(shorter) is not None:
            history = shorter
    return history
