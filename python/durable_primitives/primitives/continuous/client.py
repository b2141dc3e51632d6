"""The typed client of a Continuous."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from durable_primitives.errors import DefinitionError
from durable_primitives.events import bounded
from durable_primitives.kernel.ids import check_id
from durable_primitives.kernel.page import Page
from durable_primitives.kernel.primitive import Call
from durable_primitives.primitives.continuous.definition import ContinuousDefinition
from durable_primitives.primitives.continuous.queries import SCANNED
from durable_primitives.primitives.continuous.requests import EndRequest, ListRequest, PlainRequest, StartRequest
from durable_primitives.primitives.continuous.results import (
    IF_EXISTS,
    STATES,
    ContinuousState,
    ContinuousStatus,
    ContinuousSummary,
    IfExists,
    PauseResult,
    StartResult,
    StopResult,
    TerminateResult,
    TriggerResult,
)
from durable_primitives.services.limits import limited
from durable_primitives.services.options import choice, refuse_not_yet, text_or_none, whole_number
from durable_primitives.services.senders import Sender

S = TypeVar("S")

_PLAIN = PlainRequest()


class ContinuousClient(Generic[S]):
    """Starts, steers and looks at the instances of one definition.

    Every method returns when the store has made its change durable, and raises a `StorageError` that says whether the
    change was applied if it could not.  All are safe to repeat.
    """

    def __init__(
        self,
        definition: ContinuousDefinition[S],
        deliver: Callable[[Call], Awaitable[Any]],
        sender: Sender,
    ) -> None:
        self._definition = definition
        self._deliver = deliver
        self._encode = limited(definition.codec.encode, sender.max_payload, "input")

    async def start(self, id: str, input: S, *, if_exists: IfExists = "return_existing") -> StartResult:
        """Begin to repeat, with `input` as the state.

        A stopped instance goes on with the state that it has.  One that is live is left as it is.  With `if_exists`
        ``"restart"`` either begins a new life with `input`, and what a run in flight still does is ignored; with
        ``"raise"`` both are refused.

        Raises:
            ValidationError: `id` or `input` is not valid; nothing was written.
            InvalidStateError: It exists and `if_exists` is ``"raise"``.
        """
        mode: IfExists = choice(if_exists, IF_EXISTS, "if_exists")
        result: StartResult = await self._ask(id, "start", StartRequest(self._encode(input), mode))
        return result

    async def stop(self, id: str, reason: str | None = None) -> StopResult:
        """Repeat no more and keep the state; a run in flight is asked to end (`ctx.cancelled`)."""
        result: StopResult = await self._ask(id, "stop", EndRequest(_reason(reason)))
        return result

    async def terminate(self, id: str, reason: str | None = None) -> TerminateResult:
        """Delete the instance with its state; nothing that a run in flight still does can bring it back."""
        result: TerminateResult = await self._ask(id, "terminate", EndRequest(_reason(reason)))
        return result

    async def trigger(self, id: str) -> TriggerResult:
        """Run once more than the schedule says: now, or right after the run that is in flight.

        While a failed run waits for its retry, a new run takes its place at once.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        result: TriggerResult = await self._ask(id, "trigger", _PLAIN)
        return result

    async def pause(self, id: str) -> PauseResult:
        """Begin no run until `resume`; one that is in flight goes on to its end.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InvalidStateError: It is stopped.
        """
        result: PauseResult = await self._ask(id, "pause", _PLAIN)
        return result

    async def resume(self, id: str) -> PauseResult:
        """Go on; ticks of the gap are treated as `misfire` says.  A failed or orphaned instance is tried again at once.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InvalidStateError: It is stopped.
        """
        result: PauseResult = await self._ask(id, "resume", _PLAIN)
        return result

    async def status(self, id: str) -> ContinuousStatus:
        """What it is doing; ``"not_found"`` if there is no such instance."""
        result: ContinuousStatus = await self._ask(id, "status", _PLAIN)
        return result

    async def get_state(self, id: str) -> S | None:
        """Its state as of the last commit; None if there is no such instance.

        Raises:
            SerializationError: The stored bytes do not fit the schema.
        """
        data: bytes | None = await self._ask(id, "get_state", _PLAIN)
        return None if data is None else self._definition.codec.decode(data)

    async def history(self, id: str) -> None:
        """Not available in this release: raises `DefinitionError`."""
        refuse_not_yet("ContinuousClient", history=id)

    async def list(
        self,
        prefix: str | None = None,
        status: ContinuousState | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[ContinuousSummary]:
        """Instances in order of their ids, from those that begin with `prefix`.

        A page may hold fewer than `limit` (at most 1000) items, or none, and still have a `cursor`: one call looks at a
        bounded number of instances.
        """
        request = ListRequest(
            prefix=text_or_none(prefix, "prefix") or "",
            status=None if status is None else choice(status, STATES, "status"),
            limit=min(whole_number(limit, "limit"), SCANNED),
            cursor=text_or_none(cursor, "cursor") or "",
        )
        page: Page[ContinuousSummary] = await self._deliver(self._call("", "list", request))
        return page

    def _ask(self, id: str, operation: str, request: object) -> Awaitable[Any]:
        return self._deliver(self._call(check_id(id), operation, request))

    def _call(self, id: str, operation: str, request: object) -> Call:
        return Call(self._definition.kind, self._definition.name, id, operation, request)


def _reason(reason: str | None) -> str | None:
    if reason is not None and not isinstance(reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError(f"reason must be text, got {type(reason).__name__}")
    return None if reason is None else bounded(reason)
