"""What `Continuous.make` accepts, refuses and means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_primitives.errors import DefinitionError
from durable_primitives.primitives.continuous import Continuous, ContinuousContext, ContinuousDefinition
from durable_primitives.retry import Backoff, RetryPolicy
from durable_primitives.services.schedule import Custom, Every, Spaced


async def handler(ctx: ContinuousContext[int]) -> None:
    """Does nothing."""


def make(**options: Any) -> ContinuousDefinition[Any]:
    defaults: dict[str, Any] = {"state_schema": int, "schedule": Continuous.every("1 hour"), "execute": handler}
    return Continuous.make("job", **(defaults | options))


def test_without_execute_make_is_a_decorator() -> None:
    @Continuous.make("job", state_schema=int, schedule=Continuous.every("1 hour"))
    async def job(ctx: ContinuousContext[int]) -> None:
        """Does nothing."""

    assert isinstance(job, ContinuousDefinition)
    assert repr(job) == "Continuous.make('job', schedule=Every(interval_ms=3600000, jitter_ms=0))"


def test_every_option_has_the_documented_default() -> None:
    definition = make()
    plan = definition.lifecycle.plan
    assert (plan.misfire, plan.catchup_limit, plan.until_ms) == ("run_once", 100, None)
    assert definition.lifecycle.start_immediately
    assert definition.lifecycle.on_exhausted == "continue"
    assert definition.lifecycle.max_runs is None
    assert definition.retry == RetryPolicy(max_attempts=3, backoff=Backoff.exponential(base="1 second"))
    assert (definition.timeout_ms, definition.retention_ms) == (None, 7 * 86_400_000)
    assert definition.aliases == ()


def test_schedules() -> None:
    assert Continuous.every(timedelta(minutes=30)) == Every(1_800_000)
    assert Continuous.every("PT30M", anchor="finish", jitter="1 minute") == Spaced(1_800_000, 60_000)
    assert isinstance(make(schedule=lambda previous, now: None).lifecycle.plan.schedule, Custom)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: Continuous.cron("0 9 * * MON-FRI", tz="Europe/Oslo"), "cron"),
        (lambda: Continuous.at([datetime(2030, 1, 1, tzinfo=UTC)]), "at"),
        (lambda: make(migrate={1: lambda raw: raw}), "migrate"),
    ],
)
def test_what_comes_later_is_refused_and_not_ignored(call: Any, what: str) -> None:
    with pytest.raises(DefinitionError, match=rf"{what} is not available in this release"):
        call()


def test_empty_migrate_is_nothing_to_refuse() -> None:
    assert make(migrate={}).name == "job"


def test_unknown_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'max_runs'") as refused:
        make(max_run=3)
    assert refused.value.did_you_mean == "max_runs"


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "30 minutes"},
        {"schedule": 60_000},
        {"schedule": timedelta(minutes=30)},
        {"schedule": handler},
        {"execute": "handler"},
        {"on_error": 3},
        {"retry": 3},
        {"on_exhausted": "delete"},
        {"misfire": "coalesce"},
        {"catchup_limit": 0},
        {"max_runs": 0},
        {"max_runs": True},
        {"until": datetime(2030, 1, 1)},
        {"until": "tomorrow"},
        {"timeout": 30},
        {"timeout": "0s"},
        {"retention": 7},
        {"schema_version": 0},
        {"aliases": "old"},
    ],
    ids=str,
)
def test_option_that_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        make(**options)


def test_name_with_a_colon_is_refused() -> None:
    with pytest.raises(DefinitionError, match="the name of a continuous"):
        Continuous.make("a:b", state_schema=int, schedule=Continuous.every("1 hour"), execute=handler)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Continuous.every(60_000),
        lambda: Continuous.every("0 minutes"),
        lambda: Continuous.every("1 hour", anchor="middle"),
        lambda: Continuous.every("1 hour", jitter="2 hours"),
        lambda: Continuous.every("1 hour", jitter=5),
    ],
)
def test_interval_that_cannot_be_meant_is_refused(call: Any) -> None:
    with pytest.raises(DefinitionError):
        call()
