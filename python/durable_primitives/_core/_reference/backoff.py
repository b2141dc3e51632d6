"""How long to wait after a failed attempt.

Delays are persisted behaviour, pinned by golden vectors. Only IEEE 754 basic operations in a fixed order are used (no
``**``, whose last bits differ between platforms), so every implementation floors to the same millisecond.
"""

from __future__ import annotations

from math import floor, inf
from sys import float_info

from durable_primitives._core._reference.invalid_argument import invalid_argument

# The largest float up to which every whole number is exact.
_LONGEST_MS = 2**53

_KINDS = {"constant", "linear", "exponential", "decorrelated"}
_JITTERS = {"full", "equal", "none"}


def delay_ms(
    kind: str,
    base_ms: int,
    factor: float,
    increment_ms: int,
    max_ms: int,
    jitter: str | float,
    attempt: int,
    draw: float,
) -> int:
    """Return how many whole milliseconds to wait after try number `attempt`; the same arguments give the same delay.

    ============== ================================================================================
    kind           the delay after attempt k, before the cap `max_ms`
    ============== ================================================================================
    constant       base
    linear         base + increment * (k - 1)
    exponential    base * factor ^ (k - 1)
    decorrelated   base + draw * (base * 3 ^ (k - 1) - base); spreads by itself, `jitter` is not applied
    ============== ================================================================================

    ============== ================================================================================
    jitter         what becomes of the capped delay
    ============== ================================================================================
    full           anything from zero to the delay: draw * delay
    equal          half of it, and up to the other half: delay / 2 + draw * delay / 2
    none           the delay
    a fraction f   f less to f more, never above the cap: delay * (1 - f + 2 * f * draw)
    ============== ================================================================================

    Full, equal and decorrelated jitter are those of Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture
    Blog, 2015); decorrelated is made stateless by its upper bound after k attempts.

    Args:
        kind: One of the kinds above.
        base_ms: The delay after the first attempt, 0 to 2^53.
        factor: Finite, 1.0 or more; read by exponential only.
        increment_ms: 0 to 2^53; read by linear only.
        max_ms: The cap, 0 to 2^53.
        jitter: "full", "equal", "none", or a fraction above 0.0 and up to 1.0.
        attempt: How many tries have finished, 1 or more; however many, the delay stays in range.
        draw: A random number, 0.0 or more and below 1.0.

    Raises:
        ValueError: An argument is out of range; the message says which, what it may be and what it was.

    Example:
        >>> delay_ms("exponential", 1_000, 2.0, 0, 300_000, "none", attempt=3, draw=0.0)
        4000
    """
    _check_policy(kind, base_ms, factor, increment_ms, max_ms, jitter)
    if attempt < 1:
        raise invalid_argument("attempt", "1 or more", attempt)
    if not 0.0 <= draw < 1.0:
        raise invalid_argument("draw", "0.0 or more and below 1.0", draw)
    base, retries = float(base_ms), attempt - 1
    if kind == "decorrelated":
        delay = base + draw * (_grow(base, 3.0, retries) - base)
        return floor(min(delay, max_ms))
    if kind == "exponential":
        base = _grow(base, factor, retries)
    elif kind == "linear":
        base += increment_ms * float(retries)
    return floor(min(_spread(min(base, max_ms), jitter, draw), max_ms))


def _check_policy(kind: str, base_ms: int, factor: float, increment_ms: int, max_ms: int, jitter: str | float) -> None:
    if kind not in _KINDS:
        raise invalid_argument("kind", "constant, linear, exponential or decorrelated", kind)
    if kind == "linear":
        _check_ms("increment_ms", increment_ms)
    if kind == "exponential" and not 1.0 <= factor < inf:
        raise invalid_argument("factor", "a finite number, 1.0 or more", factor)
    if not (jitter in _JITTERS if isinstance(jitter, str) else 0.0 < jitter <= 1.0):
        raise invalid_argument("jitter", "full, equal, none or a fraction above 0.0 and up to 1.0", jitter)
    _check_ms("base_ms", base_ms)
    _check_ms("max_ms", max_ms)


def _check_ms(name: str, ms: int) -> None:
    if not 0 <= ms <= _LONGEST_MS:
        raise invalid_argument(name, f"0 to {_LONGEST_MS}", ms)


def _grow(start: float, factor: float, times: int) -> float:
    """Return start * factor ^ times by repeated squaring, at most the largest float: infinity would turn into NaN."""
    grown, square, left = start, factor, times
    while left > 0:
        if left & 1:
            grown = min(grown * square, float_info.max)
        square = min(square * square, float_info.max)
        left >>= 1
    return grown


def _spread(delay: float, jitter: str | float, draw: float) -> float:
    if jitter == "full":
        return draw * delay
    if jitter == "equal":
        return delay / 2.0 + draw * delay / 2.0
    if jitter == "none":
        return delay
    share = float(jitter)
    return delay * (1.0 - share + 2.0 * share * draw)
