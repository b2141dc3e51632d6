"""What to do about a violation, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from durable_primitives.testing.laws import LAWS

HINTS: Mapping[str, str] = {
    "handler_is_repeatable": "a handler runs at least once: ask before you act, or act under ctx.idempotency_key",
    "effect_is_not_lost": "a retry must do what the attempt before it did not get to do",
    "send_is_not_lost": "let the error of a send fail the handler: it runs again, and sends nothing twice",
    "sends_once": "leave the id of what a handler sends out: the one that it gets is the same in every attempt",
    "memory_is_lost": "variables do not survive a process: keep what matters in the state or in a store",
    "accepts_events": "the schema allows it: make the code handle it, or the schema refuse it",
    "hook_does_not_raise": "whatever failed may be the error: expect any exception, and no error of its own",
    "honours_cancellation": "let asyncio.CancelledError pass: clean up in `finally`, and catch Exception only",
    "leaves_no_tasks": "await what you start, in an asyncio.TaskGroup for example",
    "real_world": "time comes from the context, chance from a random.Random seeded by ctx.idempotency_key",
    "comes_to_rest": "count, and end: raise DeadLetter or Cancel, keep retries bounded, schedule later than now",
    "state_is_set": "a change in place is not stored: call ctx.set_state(...) with the new state",
    "state_fits_schema": "what is set must fit the state's schema: a run that sets anything else fails",
    "state_round_trips": "declare the type that you store: what the schema leaves open comes back as JSON has it",
    "state_is_bounded": "keep the last few, or a sum: a state is loaded and stored as a whole each time",
    "reducer_is_pure": "a reducer may be called again: it must make a new state from its input, and from nothing else",
    "partition_key_is_pure": "the key must be the same for one event in every process, and exist for each of them",
    "schedule_is_pure": "the function (previous, now) must answer the same to the same, and accept every pair",
    "invariant": "one of the invariants that were given to check does not hold of a stored state",
}


def hint(law: str) -> str:
    """The line; for a law of the library itself, what it promises."""
    if law in HINTS:
        return HINTS[law]
    promise = (LAWS[law].__doc__ or "").strip()
    return f"{promise} This is a promise of the library: please report it"
