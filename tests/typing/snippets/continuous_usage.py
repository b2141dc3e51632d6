"""A Continuous knows the type of its state from its schema, in the handler, in the client and in the decorator form."""

from datetime import datetime, timedelta
from typing import Any, assert_type

from msgspec import Struct

from durable_primitives.client import PrimitivesClient
from durable_primitives.kernel.page import Page
from durable_primitives.logs import Logger
from durable_primitives.primitives.continuous import (
    Continuous,
    ContinuousClient,
    ContinuousContext,
    ContinuousDefinition,
    ContinuousStatus,
    ContinuousSummary,
    StartResult,
)


class TokenState(Struct):
    token: str
    expires_at: datetime


async def refresh(ctx: ContinuousContext[TokenState]) -> None:
    assert_type(ctx.state, TokenState)
    assert_type(ctx.run_count, int)
    assert_type(ctx.scheduled_for, datetime)
    assert_type(ctx.now(), datetime)
    assert_type(ctx.cancelled, bool)
    assert_type(ctx.log, Logger)
    assert_type(ctx.client, PrimitivesClient)
    ctx.set_state(TokenState("new", ctx.state.expires_at + timedelta(hours=1)))
    ctx.set_state("new")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.update_state(lambda state: TokenState(state.token, ctx.now()))
    await ctx.checkpoint()
    ctx.schedule("25 minutes")
    ctx.schedule(ctx.state.expires_at)
    ctx.schedule(25)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def refresh_in_thread(ctx: ContinuousContext[TokenState]) -> None:
    if ctx.is_retry:
        ctx.stop("gave up")


async def count(ctx: ContinuousContext[int]) -> None:
    ctx.set_state(ctx.state + 1)


async def complain(error: Exception, ctx: ContinuousContext[TokenState]) -> None:
    ctx.log.warning(str(error))


token_refresher = Continuous.make(
    "token_refresher",
    state_schema=TokenState,
    schedule=Continuous.every("30 minutes", jitter=timedelta(minutes=1)),
    execute=refresh,
    on_error=complain,
)
assert_type(token_refresher, ContinuousDefinition[TokenState])

in_thread = Continuous.make(
    "in_thread",
    state_schema=TokenState,
    schedule=lambda previous, now: now + timedelta(hours=1),
    execute=refresh_in_thread,
)
assert_type(in_thread, ContinuousDefinition[TokenState])


@Continuous.make("heartbeat", state_schema=dict[str, int], schedule=Continuous.every("30 seconds"), max_runs=10)
async def heartbeat(ctx: ContinuousContext[dict[str, int]]) -> None:
    assert_type(ctx.state["beats"], int)


assert_type(heartbeat, ContinuousDefinition[dict[str, int]])

Continuous.make(
    "wrong_context",
    state_schema=TokenState,
    schedule=Continuous.every("30 minutes"),
    execute=count,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
)

Continuous.make(  # type: ignore[call-overload]
    "wrong_option",
    state_schema=TokenState,
    schedule=Continuous.every("30 minutes"),
    execute=refresh,
    misfire="twice",  # pyright: ignore[reportArgumentType]
)

Continuous.every(30)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def use(client: PrimitivesClient) -> None:
    typed = client.continuous(token_refresher)
    assert_type(typed, ContinuousClient[TokenState])
    assert_type(await typed.start("user-42", TokenState("t", datetime.max)), StartResult)
    await typed.start("user-42", "t")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await typed.get_state("user-42"), TokenState | None)
    assert_type(await typed.status("user-42"), ContinuousStatus)
    assert_type(await typed.list(prefix="user-", status="paused"), Page[ContinuousSummary])
    await typed.list(status="asleep")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(client.continuous("token_refresher"), ContinuousClient[Any])
