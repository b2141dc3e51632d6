"""`ContinuousMachine`: programs against a Continuous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from durable_primitives.primitives.continuous.results import IF_EXISTS
from durable_primitives.services.schedule import Every, Spaced
from durable_primitives.testing.checking.programs import Step
from durable_primitives.testing.machines.base import IDS, PrimitiveMachine, Strategy


class ContinuousMachine(PrimitiveMachine):
    """Programs against a Continuous: its calls, time, and failures, under all laws.

    Example:
        >>> from durable_primitives import Continuous
        >>> from hypothesis import settings
        >>> every = Continuous.every("1 minute")
        >>> job = Continuous.make("job", state_schema=int, schedule=every, execute=lambda ctx: None)
        >>> class Job(ContinuousMachine, of=job): ...
        >>> TestJob = Job.TestCase
        >>> TestJob.settings = settings(TestJob.settings, max_examples=5, stateful_step_count=10)
    """

    kind = "continuous"

    @classmethod
    def _pauses(cls, definition: Any) -> list[int]:
        schedule = definition.lifecycle.plan.schedule
        interval = schedule.interval_ms if isinstance(schedule, (Every, Spaced)) else 3_600_000
        return [interval, 3 * interval + 1]

    @classmethod
    def _rules(cls, definition: Any, values: Strategy) -> Mapping[str, Mapping[str, Strategy]]:
        some = {"id": IDS}
        return {
            "start": {"id": IDS, "input": values, "if_exists": st.sampled_from(IF_EXISTS)},
            "stop": some,
            "terminate": some,
            "trigger": some,
            "pause": some,
            "resume": some,
        }

    def start(self, id: str, input: Any, if_exists: str) -> None:
        """Start an instance."""
        self._take(Step("start", id, input, has_value=True, options={"if_exists": if_exists}))

    def stop(self, id: str) -> None:
        """Repeat no more."""
        self._take(Step("stop", id))

    def terminate(self, id: str) -> None:
        """Delete an instance."""
        self._take(Step("terminate", id))

    def trigger(self, id: str) -> None:
        """Run once more than the schedule says."""
        self._take(Step("trigger", id))

    def pause(self, id: str) -> None:
        """Hold the runs."""
        self._take(Step("pause", id))

    def resume(self, id: str) -> None:
        """Go on."""
        self._take(Step("resume", id))
