"""The leases of this process, so that they can be void together.

A server that comes back without its last moments (a log that was not on disk yet, a replica that was behind) gives
away tokens that it gave away before.  A fence cannot tell the two owners apart, so the earlier one must know by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from durable_primitives.kernel.transition import Claim, Outcome, Transition


class Leases:
    """What was claimed here and not given back, as far as is known."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}
        self.void: dict[str, int] = {}
        """Tokens that are worth nothing any more, by instance."""

    def note(self, transitions: Sequence[Transition], outcomes: Sequence[Outcome], claims: Sequence[Claim]) -> None:
        """Take note of what a commit did."""
        for transition, outcome in zip(transitions, outcomes, strict=True):
            if outcome.released or outcome.verdict == "fenced":
                self._held.pop(transition.instance, None)
        for claim in claims:
            instance = claim.record.instance
            self._held[instance] = claim.record.token
            # Whoever had it before has been told by now that it is not his.
            self.void.pop(instance, None)

    def forget(self) -> None:
        """The store has forgotten some of them, nobody knows which."""
        self.void.update(self._held)
        self._held.clear()

    def is_void(self, instance: str, token: int | None) -> bool:
        """Whether this token is one that was forgotten."""
        return token is not None and self.void.get(instance) == token
