"""Schedules: deviations by name, read and written as text, drawn from seeds, enumerated for sweeps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_primitives import DefinitionError
from durable_primitives.testing import Deviation
from durable_primitives.testing.simulation import FAULTS, KINDS, Choices, Point, Swarm, every_deviation

actors = st.sampled_from(["client", "worker 1", "worker 12", "loop"])
subjects = st.sampled_from(["", "queue:mails:0", "buffer:b:a b", "continuous:c:user 3 of 4"])


@st.composite
def deviations(draw: st.DrawFn) -> Deviation:
    site = draw(st.sampled_from(sorted(FAULTS)))
    fault = draw(st.sampled_from(sorted(FAULTS[site])))
    amount = draw(st.integers(1, 10**9)) if FAULTS[site][fault] else 0
    return Deviation(Point(site, draw(actors), draw(subjects), draw(st.integers(1, 999))), fault, amount)


@given(deviations())
def test_text_and_back(deviation: Deviation):
    assert Deviation.parse(str(deviation)) == deviation


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("crash", "is no deviation"),
        ("crash after lunch 1 by worker 1", "is no deviation"),
        ("crash after commit 2 of buffer:b:1", "is no deviation"),
        ("crash afer commit 2 of buffer:b:1 by worker 1", "did you mean 'crash after'"),
        ("refuse handler 1 by worker 1", "has no option 'refuse'"),
    ],
)
def test_what_cannot_be_read(text: str, why: str):
    with pytest.raises(DefinitionError, match=why):
        Deviation.parse(text)


def test_a_choice_is_named_by_its_occurrence():
    choices = Choices(["refuse commit 2 of queue:q:0 by worker 1"])

    def at(actor: str, subject: str) -> str | None:
        deviation = choices.at("commit", actor, subject)
        return None if deviation is None else deviation.fault

    assert at("worker 1", "queue:q:0") is None
    assert at("worker 2", "queue:q:0") is None
    assert at("worker 1", "queue:q:1") is None
    assert at("worker 1", "queue:q:0") == "refuse"
    assert at("worker 1", "queue:q:0") is None
    assert [str(one) for one in choices.taken] == ["refuse commit 2 of queue:q:0 by worker 1"]
    assert choices.missed == []


def test_a_planned_deviation_that_never_came_up_is_known():
    choices = Choices(["refuse commit 2 of queue:q:0 by worker 1"])
    choices.at("commit", "worker 1", "queue:q:0")
    assert [str(one) for one in choices.missed] == ["refuse commit 2 of queue:q:0 by worker 1"]


def draws(swarm: Swarm) -> list[str]:
    choices = Choices(swarm=swarm)
    for n in range(500):
        choices.at("commit", "worker 1", f"queue:q:{n % 3}")
        choices.at("turn", "loop", options=2 + n % 3)
        choices.at("handler", "worker 1", "queue:q:0")
    return [str(one) for one in choices.taken]


def test_a_swarm_draws_the_same_from_the_same_seed():
    assert draws(Swarm(7)) == draws(Swarm(7))
    assert len({tuple(draws(Swarm(seed))) for seed in range(20)}) > 15


def test_a_swarm_keeps_to_its_kinds_and_its_limit():
    for seed in range(20):
        drawn = draws(Swarm(seed, kinds=["crash"], limit=3))
        assert len(drawn) <= 3
        assert all(one.startswith("crash ") for one in drawn)


def test_a_swarm_crashes_no_client():
    swarm = Swarm(1, kinds=["crash"], rate=1.0, limit=1000)
    assert swarm.kinds == () or all(swarm.draw(Point("commit", "client", "x", n), 0) is None for n in range(100))


def test_every_fault_has_a_kind():
    for site, faults in FAULTS.items():
        assert set(faults) == {fault for kind in KINDS.values() for fault in kind.get(site, ())}


def test_a_sweep_tries_every_fault_at_every_point():
    points = [Point("commit", "worker 1", "queue:q:0", 1), Point("wait", "worker 1", "", 3)]
    tried = list(every_deviation(points))
    assert {(one.point.site, one.fault) for one in tried} == {
        (site, fault) for site in ("commit", "wait") for fault in FAULTS[site]
    }
    assert len({str(one) for one in tried}) == len(tried)
    assert [one.fault for one in every_deviation(points, ["crash"])] == ["crash after", "crash before", "crash during"]
