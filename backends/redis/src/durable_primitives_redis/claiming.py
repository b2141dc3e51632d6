"""Claims on a cluster: each partition is asked by itself, and one that does not answer holds up no other.

What was granted is never let go of: claims that come too late for their caller, or whose call failed in another
partition, are the answer to the next claim.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from msgspec import structs

from durable_primitives.kernel.transition import Claim, ClaimRequest
from durable_primitives.spi import raise_failure
from durable_primitives_redis import wire
from durable_primitives_redis.patience import has_result, until_the_rest_is_held_up

Trip = asyncio.Task[wire.CommitReply]


class Claiming:
    """The claims of one process.

    Args:
        look: The alarms that have come, by partition: (time, limit).
        claim: Claim in one partition.
        is_held_up: Whether a partition cannot answer now.
    """

    def __init__(
        self,
        look: Callable[[int, int], Awaitable[Mapping[int, Sequence[int]]]],
        claim: Callable[[int, ClaimRequest], Coroutine[Any, Any, wire.CommitReply]],
        is_held_up: Callable[[int], bool],
    ) -> None:
        self._look, self._claim, self._is_held_up = look, claim, is_held_up
        self._kept: dict[str, list[Claim]] = {}
        """By owner."""
        self.on_late: Callable[[], None] = lambda: None
        """Called when there are claims that nobody waits for."""

    def kept(self, request: ClaimRequest) -> tuple[list[Claim], ClaimRequest]:
        """What was granted earlier, and what is left to ask for."""
        found = self._kept.pop(request.owner, [])
        given, rest = found[: request.limit], found[request.limit :]
        if rest:
            self._kept[request.owner] = rest
        return given, limited(request, request.limit - len(given))

    async def anywhere(self, request: ClaimRequest) -> list[wire.CommitReply]:
        """Claim in the partitions that have the earliest alarms, until nothing more is due."""
        replies: list[wire.CommitReply] = []
        left = request.limit
        while left > 0:
            alarms = await self._look(request.at, left)
            due = sorted((alarm, place) for place, found in alarms.items() for alarm in found)
            if not due:
                break
            # Another worker may be quicker in some of them: then the next look shows it.
            shares = Counter(place for _, place in due[:left])
            trips = {
                place: asyncio.ensure_future(self._claim(place, limited(request, n))) for place, n in shares.items()
            }
            got = await self.replies(trips, {place: place for place in trips}, needed=set())
            if not got and not replies:
                raise_failure([trip.exception() for trip in trips.values() if trip.done()])
            replies += got.values()
            left -= sum(len(reply.claims) for reply in got.values())
            if len(got) < len(trips):
                break
        return replies

    async def replies(
        self, trips: Mapping[int, Trip], places: Mapping[int, int], needed: set[int]
    ) -> dict[int, wire.CommitReply]:
        """The replies of the needed trips, and of those others that are not held up.  Raises what a needed one raised.

        `places` are the partitions of the trips.
        """
        try:
            if needed:
                await asyncio.wait([trips[key] for key in needed])
            await until_the_rest_is_held_up(trips, lambda key: self._is_held_up(places[key]))
        except asyncio.CancelledError:
            for trip in trips.values():
                trip.cancel()
            raise
        for trip in trips.values():
            if not trip.done():
                trip.add_done_callback(self._came_late)
        found = {key: trip.result() for key, trip in trips.items() if has_result(trip)}
        try:
            raise_failure([found.get(key, trips[key].exception()) for key in needed])
        except BaseException:
            for reply in found.values():
                self.keep(reply.claims)
            raise
        return found

    def _came_late(self, trip: Trip) -> None:
        if has_result(trip):
            self.keep(trip.result().claims)

    def keep(self, claims: Sequence[Claim]) -> None:
        """Claims that nobody waits for are the answer to the next one."""
        for claim in claims:
            self._kept.setdefault(str(claim.record.owner), []).append(claim)
        if claims:
            self.on_late()


def limited(request: ClaimRequest, limit: int) -> ClaimRequest:
    """The same claim, for so many instances."""
    return structs.replace(request, limit=limit)
