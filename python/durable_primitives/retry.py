"""How often and how long after a failure user code is tried again: policies as data, the arithmetic in the core."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from durable_primitives._core import delay_ms
from durable_primitives.durations import Duration, parse_ms
from durable_primitives.errors import DefinitionError

Jitter = Literal["full", "equal", "none"] | float
_DEFAULT_MAX = "5 minutes"


class Backoff(Struct, frozen=True):
    """The delay before the next try: a pure function of the policy, the finished tries and one random draw.

    Full jitter is the default: a random share of the delay, so that many failures do not come back together
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    >>> Backoff.exponential(base="1 second", jitter="none").delay_ms(attempt=3, draw=0.5)
    4000
    """

    kind: Literal["constant", "linear", "exponential", "decorrelated"]
    base_ms: int
    factor: float
    increment_ms: int
    max_ms: int
    jitter: Jitter

    @classmethod
    def constant(cls, delay: Duration, *, jitter: Jitter = "full") -> Backoff:
        """The same delay after every try."""
        base = parse_ms(delay, what="delay", allow_zero=True)
        return _backoff("constant", base, 1.0, 0, base, jitter)

    @classmethod
    def linear(
        cls, initial: Duration, increment: Duration, max: Duration = _DEFAULT_MAX, *, jitter: Jitter = "full"
    ) -> Backoff:
        """`initial`, then `increment` more after each further try, up to `max`."""
        first, step = parse_ms(initial, what="initial", allow_zero=True), parse_ms(increment, what="increment")
        return _backoff("linear", first, 1.0, step, parse_ms(max, what="max"), jitter)

    @classmethod
    def exponential(
        cls,
        base: Duration = "1 second",
        factor: float = 2.0,
        max: Duration = _DEFAULT_MAX,
        *,
        jitter: Jitter = "full",
    ) -> Backoff:
        """`base`, then `factor` times as long after each further try, up to `max`."""
        if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 1.0 <= factor <= 1000.0:
            raise DefinitionError(f"factor must be a number from 1 to 1000, got {factor!r}")
        return _backoff("exponential", parse_ms(base, what="base"), float(factor), 0, parse_ms(max, what="max"), jitter)

    @classmethod
    def decorrelated(cls, base: Duration = "1 second", max: Duration = _DEFAULT_MAX) -> Backoff:
        """A random delay between `base` and a bound that triples with each try, up to `max`."""
        return _backoff("decorrelated", parse_ms(base, what="base"), 3.0, 0, parse_ms(max, what="max"), "none")

    def delay_ms(self, attempt: int, draw: float) -> int:
        """Milliseconds to wait after the `attempt`-th finished try; `draw` is in [0, 1)."""
        return delay_ms(
            self.kind, self.base_ms, self.factor, self.increment_ms, self.max_ms, self.jitter, attempt, draw
        )


def _backoff(kind: str, base: int, factor: float, increment: int, limit: int, jitter: Jitter) -> Backoff:
    share = not isinstance(jitter, (str, bool)) and isinstance(jitter, (int, float)) and 0.0 < jitter <= 1.0
    if not share and jitter not in ("full", "equal", "none"):
        raise DefinitionError(f'jitter must be "full", "equal", "none" or a fraction in (0, 1], got {jitter!r}')
    return Backoff(kind, base, factor, increment, limit, jitter)  # type: ignore[arg-type]


class RetryPolicy(Struct, frozen=True):
    """How failures are met.  `max_attempts` is the total number of executions, the first one included.

    `retry_on` (if not empty) names the only exceptions that are tried again; `give_up_on` those that never are.
    """

    max_attempts: int = 3
    backoff: Backoff = Backoff("exponential", 1000, 2.0, 0, 300_000, "full")
    retry_on: tuple[type[BaseException], ...] = ()
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        attempts = self.max_attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise DefinitionError(f"max_attempts must be a whole number of at least 1, got {attempts!r}")
        if not isinstance(self.backoff, Backoff):
            raise DefinitionError(
                f"backoff must be a Backoff, got {type(self.backoff).__name__}",
                help='use Backoff.exponential(base="1 second"), .linear(...), .constant(...) or .decorrelated(...)',
            )

    def gives_up(self, error: BaseException) -> bool:
        """Whether `error` is one after which there is no further attempt, however many are left."""
        if isinstance(error, self.give_up_on):
            return True
        return bool(self.retry_on) and not isinstance(error, self.retry_on)
