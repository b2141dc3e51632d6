"""Repeating jobs with a bug in their state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypedDict

from hypothesis import strategies as st
from msgspec import Struct, structs
from pydantic import BaseModel

from durable_primitives import Continuous, ContinuousContext
from tests.testing.specimens.specimen import Collection

specimens = Collection()


class Log(Struct):
    lines: list[str] = []


@specimens.breaks("state_is_bounded")
@Continuous.make("logged", state_schema=Log, schedule=Continuous.every("1 minute"))
async def logged(ctx: ContinuousContext[Log]) -> None:
    """Keeps a line about every run for ever: after a month each run loads and stores megabytes."""
    ctx.set_state(Log([*ctx.state.lines, f"{ctx.scheduled_for:%x %X} run {ctx.run_count}"]))


class Ratings(BaseModel):
    total: float = 0.0
    number: int = 0
    average: float = 0.0


@specimens.breaks("state_fits_schema", inputs=st.just(Ratings()))
@Continuous.make("rated", state_schema=Ratings, schedule=Continuous.every("1 minute"))
async def rated(ctx: ContinuousContext[Ratings]) -> None:
    """The average of nothing is NaN, which cannot be stored: a shop without ratings never gets past its first run."""
    total, number = ctx.state.total, ctx.state.number
    ctx.set_state(Ratings(total=total, number=number, average=total / number if number else float("nan")))


@specimens.breaks("state_round_trips", inputs=st.just({}))
@Continuous.make("visitors", state_schema=dict[str, Any], schedule=Continuous.every("1 minute"))
async def visitors(ctx: ContinuousContext[dict[str, Any]]) -> None:
    """Stores a set where anything may stand, and a list comes back: `|` fails from the second run on."""
    ctx.set_state({"seen": ctx.state.get("seen", set()) | {f"visitor {ctx.run_count % 5}"}})


class Window(TypedDict):
    bounds: Any
    moved: int


@specimens.breaks("state_round_trips")
@Continuous.make("windows", state_schema=Window, schedule=Continuous.every("1 minute"))
async def windows(ctx: ContinuousContext[Window]) -> None:
    """Compares a stored tuple, which comes back as a list: it finds a change each time."""
    bounds = (0, 10)
    if ctx.state["bounds"] != bounds:
        ctx.set_state({"bounds": bounds, "moved": min(ctx.state["moved"], 1_000) + 1})


class Scores(BaseModel):
    by_level: dict[Any, int] = {}


@specimens.breaks("state_round_trips", inputs=st.just(Scores()))
@Continuous.make("scores", state_schema=Scores, schedule=Continuous.every("1 minute"))
async def scores(ctx: ContinuousContext[Scores]) -> None:
    """Its keys are numbers, and come back as texts: level 1 begins at zero again after each run."""
    by_level = dict(ctx.state.by_level)
    by_level[1] = by_level.get(1, 0) + 1
    ctx.set_state(Scores(by_level=by_level))


@specimens.breaks("state_fits_schema", inputs=st.just({}))
@Continuous.make("probes", state_schema=dict[str, Any], schedule=Continuous.every("1 minute"))
async def probes(ctx: ContinuousContext[dict[str, Any]]) -> None:
    """Stores the exception instead of its text: the run that should note a failure fails itself."""
    try:
        await _probe(ctx.state.get("host", ""))
    except ValueError as error:
        ctx.set_state({"last_error": error})


async def _probe(host: str) -> None:
    raise ValueError(f"no host {host!r}")


@dataclass
class Price:
    net: int
    gross: int = 0

    def __post_init__(self) -> None:
        self.net = self.net * 100 if self.gross == 0 else self.net
        self.gross += self.net // 4


@specimens.breaks("state_round_trips")
@Continuous.make("prices", state_schema=Price, schedule=Continuous.every("1 hour"))
async def prices(ctx: ContinuousContext[Price]) -> None:
    """Its state adds the tax whenever it is made, and reading it makes it: prices rise by a quarter with each run."""
    ctx.set_state(ctx.state)


@dataclass
class Visits:
    number: int = 0


@specimens.breaks("state_is_set")
@Continuous.make("visits", state_schema=Visits, schedule=Continuous.every("1 minute"))
async def visits(ctx: ContinuousContext[Visits]) -> None:
    """Changes the state in place and does not set it: nothing is stored, and the count stays where it was."""
    ctx.state.number = ctx.state.number % 1_000 + 1


class Members(Struct):
    owner: str = ""
    ids: list[str] = []


def collect(id: str, into: list[str] = []) -> list[str]:  # noqa: B006 - that is the bug
    if id not in into:
        into.append(id)
    return into


def only_its_own(members: Members) -> bool:
    return set(members.ids) <= {members.owner}


@specimens.breaks("invariant", "memory_is_lost", inputs=st.just(Members()), invariants=[only_its_own])
@Continuous.make("members", state_schema=Members, schedule=Continuous.every("1 minute"))
async def members(ctx: ContinuousContext[Members]) -> None:
    """A default argument that is shared by all calls: the members of one club show up in every other one."""
    ctx.set_state(Members(ctx.id, collect(ctx.id)))


class Savings(Struct):
    balance: float = 0.0
    deposits: int = 0


def balance_is_right(savings: Savings) -> bool:
    return savings.balance == savings.deposits * 0.1


@specimens.breaks("invariant", inputs=st.just(Savings()), invariants=[balance_is_right])
@Continuous.make("savings", state_schema=Savings, schedule=Continuous.every("1 day"))
async def savings(ctx: ContinuousContext[Savings]) -> None:
    """Adds up money in floats: after six deposits of 10 cents the balance is not 60 cents."""
    ctx.set_state(Savings(ctx.state.balance + 0.1, ctx.state.deposits + 1))


class Accounts(Struct):
    giro: int = 100
    savings: int = 0


def nothing_gets_lost(accounts: Accounts) -> bool:
    return accounts.giro + accounts.savings == 100


@specimens.breaks("invariant", inputs=st.just(Accounts()), invariants=[nothing_gets_lost])
@Continuous.make("transfers", state_schema=Accounts, schedule=Continuous.every("1 day"), max_runs=100)
async def transfers(ctx: ContinuousContext[Accounts]) -> None:
    """Stores a transfer when it is half done: a crash at this moment, and the money is gone."""
    ctx.update_state(lambda accounts: structs.replace(accounts, giro=accounts.giro - 1))
    await ctx.checkpoint()
    await asyncio.sleep(1)
    ctx.update_state(lambda accounts: structs.replace(accounts, savings=accounts.savings + 1))


class Import(Struct):
    run: int = 0
    pages: int = 0


PAGES = 3


def no_page_twice(state: Import) -> bool:
    return state.pages <= PAGES


@specimens.breaks("invariant", inputs=st.just(Import()), invariants=[no_page_twice])
@Continuous.make("imports", state_schema=Import, schedule=Continuous.every("1 day"))
async def imports(ctx: ContinuousContext[Import]) -> None:
    """Stores each page, and begins at the first one when it is retried: pages are counted, and imported, twice."""
    if ctx.state.run != ctx.run_count:
        ctx.set_state(Import(run=ctx.run_count))
    for _ in range(PAGES):
        ctx.update_state(lambda state: structs.replace(state, pages=state.pages + 1))
        await ctx.checkpoint()
        await asyncio.sleep(1)
