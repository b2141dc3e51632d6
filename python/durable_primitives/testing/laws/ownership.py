"""Who may do what: leases, fencing tokens, generations, and no two at the same work."""

from __future__ import annotations

from durable_primitives.kernel.record import Record
from durable_primitives.kernel.transition import Claim, Outcome, Transition
from durable_primitives.testing.laws.history import History
from durable_primitives.testing.laws.observing import Observer, Report
from durable_primitives.testing.simulation import Execution


class OneOwner(Observer):
    """Only the owner of the newest lease changes what an owner changes, under the token of that lease."""

    law = "one_owner"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._owners: dict[str, tuple[int, str]] = {}

    def claimed(self, actor: str, claim: Claim) -> None:
        self._owners[claim.record.instance] = claim.record.token, actor

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        t = transition
        token = None if t.guard is None else t.guard.token
        if token is not None:
            newest, owner = self._owners.get(t.instance, (0, ""))
            if token != newest or actor != owner:
                self.violated(t.instance, f"{actor} committed under lease {token}; the newest is {newest}, of {owner}")
        elif t.remove or t.reschedule or t.bury or t.mark or t.give_back or t.take > 0 or t.release != "no" or t.retire:
            self.violated(t.instance, f"{actor} settled work without a lease in hand")


class FreshToken(Observer):
    """Every lease has a token that is higher than that of any lease before it."""

    law = "fresh_token"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._highest: dict[str, int] = {}

    def claimed(self, actor: str, claim: Claim) -> None:
        record = claim.record
        highest = self._highest.get(record.instance, 0)
        if record.token <= highest:
            self.violated(record.instance, f"{actor} was given the lease {record.token} after {highest}")
        self._highest[record.instance] = max(highest, record.token)


class Generations(Observer):
    """Versions and generations only rise: what was terminated stays so, and no late write brings it back."""

    law = "generations"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._versions: dict[str, int] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        if transition.put is not None:
            self._put(transition.instance, outcome)
        before, after = self.history.before, self.history.after
        if before is None or after is None or after.created_at != before.created_at:
            return
        if after.generation < before.generation or after.version < before.version:
            self.violated(transition.instance, f"{_life(after)} after {_life(before)}")
        if transition.erase and after.generation == before.generation:
            self.violated(transition.instance, "it was terminated and its generation is the same")

    def _put(self, instance: str, outcome: Outcome) -> None:
        latest = 0 if outcome.created else self._versions.get(instance, 0)
        if outcome.version <= latest:
            self.violated(instance, f"a write left the version at {outcome.version}")
        self._versions[instance] = outcome.version


def _life(record: Record) -> str:
    return f"version {record.version} of generation {record.generation}"


class WrittenAsSeen(Observer):
    """A record is replaced only under the version that was read, so that nothing written meanwhile is undone."""

    law = "written_as_seen"

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        before, guard = self.history.before, transition.guard
        if transition.put is None or before is None or outcome.created:
            return
        seen = None if guard is None else guard.version
        if seen != before.version:
            self.violated(transition.instance, f"{actor} replaced version {before.version}, and had seen {seen}")


class CommittedOnce(Observer):
    """What an owner has committed it does not commit again: if it cannot know, the next owner looks."""

    law = "committed_once"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._applied: dict[str, Transition] = {}
        """The latest commit of an owner that the store took, by instance."""

    def arrived(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        if transition.guard is None or transition.guard.token is None:
            return
        if self._applied.get(transition.instance) is transition:
            self.violated(transition.instance, f"{actor} committed again what the store had taken")
        if outcome.verdict == "applied":
            self._applied[transition.instance] = transition


class NoOverlap(Observer):
    """No two executions of the same work overlap, unless the first one lost its lease or was terminated."""

    law = "no_overlap"

    def __init__(self, history: History, report: Report) -> None:
        super().__init__(history, report)
        self._running: dict[str, list[Execution]] = {}

    def committed(self, actor: str, transition: Transition, outcome: Outcome) -> None:
        if transition.erase:
            # What still runs of it is asked to end, and the next life need not wait for that.
            self._running.pop(transition.instance, None)

    def begun(self, execution: Execution) -> None:
        if execution.role != "execute":
            return
        history = self.history
        running = self._running.setdefault(execution.instance, [])
        running[:] = [one for one in running if not one.ended and one.process.alive]
        rivals = running
        definition = history.definition(execution.instance)
        if definition.kind == "queue":
            lane = execution.context.partition_key
            rivals = [
                one
                for one in running
                if one.process is not execution.process
                or one.context.sequence == execution.context.sequence
                or (lane is not None and one.context.partition_key == lane)
            ]
        for other in rivals:
            excused = history.leases_may_be_lost and (history.is_stale(execution) or history.is_stale(other))
            if not excused:
                name, rival = execution.process.name, other.process.name
                self.violated(execution.instance, f"{name} began what {rival} was still running")
        running.append(execution)
