"""Errors are values with fields, a stable code and a line of help; signals pass through ``except Exception``."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from durable_primitives import errors, signals
from durable_primitives.errors import (
    BackendUnavailableError,
    CrashLoopError,
    DefinitionError,
    DurablePrimitivesError,
    ExecutionError,
    InstanceNotFoundError,
    InvalidStateError,
    Issue,
    LeaseLostError,
    PayloadTooLargeError,
    PrimitiveNotFoundError,
    QueueFullError,
    ReducerError,
    RetryExhaustedError,
    SchedulerError,
    SerializationError,
    StorageBusyError,
    StorageCorruptedError,
    StorageError,
    StorageFullError,
    StorageNotRecognizedError,
    StorageReadOnlyError,
    StorageSchemaTooNewError,
    ValidationError,
    unknown_option,
)

ISSUE = Issue(path="$.token", message="expected `str`, got `int`", code="type")

# Each error with its code and its fields.
CASES = [
    (DurablePrimitivesError("it broke"), "durable_primitives", {}),
    (DefinitionError("no such unit", did_you_mean="ms"), "definition", {"did_you_mean": "ms"}),
    (
        PrimitiveNotFoundError("queue", "delivries", ["deliveries", "webhooks"]),
        "primitive_not_found",
        {"primitive_type": "queue", "primitive_name": "delivries", "did_you_mean": "deliveries"},
    ),
    (InstanceNotFoundError("queue:a:0"), "instance_not_found", {"instance_id": "queue:a:0"}),
    (
        InvalidStateError("scheduled", "stopped", "pause"),
        "invalid_state",
        {"expected": ("scheduled",), "actual": "stopped", "operation": "pause"},
    ),
    (ValidationError("TokenState", [ISSUE]), "validation", {"schema_name": "TokenState", "issues": (ISSUE,)}),
    (PayloadTooLargeError(2_000, 1_000), "payload_too_large", {"size": 2_000, "limit": 1_000}),
    (QueueFullError(10, 10), "queue_full", {"pending": 10, "limit": 10}),
    (ReducerError("buffer:b:1", "evt-1"), "reducer", {"instance_id": "buffer:b:1", "event_id": "evt-1"}),
    (
        ExecutionError("queue", "deliveries", "queue:deliveries:3"),
        "execution",
        {"primitive_type": "queue", "primitive_name": "deliveries", "instance_id": "queue:deliveries:3"},
    ),
    (
        CrashLoopError("queue", "deliveries", "queue:deliveries:3", 5),
        "crash_loop",
        {
            "primitive_type": "queue",
            "primitive_name": "deliveries",
            "instance_id": "queue:deliveries:3",
            "deliveries": 5,
        },
    ),
    (
        RetryExhaustedError("evt-1", 3, "ValueError: no"),
        "retry_exhausted",
        {"event_id": "evt-1", "attempts": 3, "last_error": "ValueError: no"},
    ),
    (LeaseLostError("queue:a:0"), "lease_lost", {"instance_id": "queue:a:0"}),
    (StorageError("it failed", backend="sqlite"), "storage", {"backend": "sqlite", "outcome": "unknown"}),
    (BackendUnavailableError("refused"), "backend_unavailable", {"backend": None, "outcome": "unknown"}),
    (StorageBusyError("locked"), "storage_busy", {"outcome": "not_applied"}),
    (StorageFullError("full"), "storage_full", {"outcome": "unknown"}),
    (StorageReadOnlyError("read-only"), "storage_read_only", {"outcome": "not_applied"}),
    (StorageNotRecognizedError("a text file"), "storage_not_recognized", {"outcome": "not_applied"}),
    (StorageCorruptedError("page 3"), "storage_corrupted", {"outcome": "unknown"}),
    (
        StorageSchemaTooNewError(found=9, supported=2),
        "storage_schema_too_new",
        {"found": 9, "supported": 2, "outcome": "not_applied"},
    ),
    (SchedulerError("no claim"), "scheduler", {}),
    (
        SerializationError("TokenState", expected="schema version 1", found="schema version 2", code="newer_schema"),
        "newer_schema",
        {"schema_name": "TokenState", "expected": "schema version 1", "found": "schema version 2", "issues": ()},
    ),
]
every_error = pytest.mark.parametrize(
    ("error", "code", "fields"), CASES, ids=[type(case[0]).__name__ for case in CASES]
)


def test_every_error_of_the_package_is_covered_here():
    defined = {
        item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, DurablePrimitivesError)
    }

    assert {type(error) for error, _, _ in CASES} == defined


def test_no_two_errors_share_a_code():
    codes = [type(error).code for error, _, _ in CASES]

    assert len(set(codes)) == len(codes)


@every_error
def test_an_error_has_its_code_and_its_fields(error: DurablePrimitivesError, code: str, fields: dict[str, object]):
    assert error.code == code
    assert {name: getattr(error, name) for name in fields} == fields


@every_error
def test_the_text_says_what_happened_and_then_what_to_do(
    error: DurablePrimitivesError, code: str, fields: dict[str, object]
):
    assert error.message
    assert error.help
    assert str(error) == f"{error.message}; {error.help}"
    assert error.message in repr(error)


@every_error
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_same_fields(duplicate, error: DurablePrimitivesError, code: str, fields: dict[str, object]):
    twin = duplicate(error)

    assert type(twin) is type(error)
    assert twin is not error
    assert str(twin) == str(error)
    assert (twin.code, vars(twin)) == (code, vars(error))


def test_a_copy_keeps_the_cause_and_has_a_traceback_of_its_own():
    with pytest.raises(StorageError) as caught:
        raise StorageError("it failed") from OSError("disk")

    twin = copy.copy(caught.value)

    assert twin.__cause__ is caught.value.__cause__
    assert twin.__traceback__ is None


@pytest.mark.parametrize(
    "make",
    [
        lambda cause: ExecutionError("queue", "deliveries", "queue:deliveries:3", cause=cause),
        lambda cause: ReducerError("buffer:b:1", "evt-1", cause=cause),
        lambda cause: RetryExhaustedError("evt-1", 3, cause),
    ],
)
def test_an_error_of_user_code_names_its_type_and_keeps_it_as_the_cause_without_its_text(make):
    cause = KeyError("card 4111 1111")

    error = make(cause)

    assert error.__cause__ is cause
    assert "KeyError" in str(error)
    assert "4111" not in str(error)
    assert "4111" not in repr(error)


def test_an_outcome_is_what_the_storage_says_where_it_knows():
    assert StorageFullError("full", outcome="not_applied").outcome == "not_applied"
    assert StorageFullError.outcome == "unknown"


def test_an_unavailable_backend_is_a_storage_error():
    assert issubclass(BackendUnavailableError, StorageError)


def test_several_expected_states_read_as_alternatives():
    error = InvalidStateError(["scheduled", "running"], "stopped", "pause")

    assert error.message == "pause needs the state scheduled or running, and the state is stopped"
    assert error.expected == ("scheduled", "running")


def test_an_unknown_option_shows_the_nearest_valid_one():
    error = unknown_option("concurency", {"ordering", "concurrency"}, "Queue.make('deliveries')")

    assert isinstance(error, DefinitionError)
    assert error.did_you_mean == "concurrency"
    assert str(error) == (
        "Queue.make('deliveries') has no option 'concurency'; "
        "did you mean 'concurrency'? Valid options: concurrency, ordering"
    )


def test_an_unknown_option_that_is_near_to_none_lists_them_all():
    error = unknown_option("zzz", ["ordering", "concurrency"], "Queue.make")

    assert error.did_you_mean is None
    assert error.help == "valid options: concurrency, ordering"


def test_a_primitive_that_is_near_to_none_lists_what_is_registered():
    error = PrimitiveNotFoundError("queue", "zzz", ["webhooks", "deliveries"])

    assert error.did_you_mean is None
    assert "registered: deliveries, webhooks" in error.help
    assert "no buffer is registered" in PrimitiveNotFoundError("buffer", "zzz").help


def test_many_issues_are_counted_and_the_first_are_shown():
    issues = [Issue(f"$.f{n}", "missing", "missing") for n in range(5)]

    assert ValidationError("Order", issues).message == (
        "Order is not valid: $.f0: missing, $.f1: missing, $.f2: missing and 2 more"
    )


def test_an_issue_at_the_root_has_no_path_in_its_text():
    assert str(Issue("$", "must not be empty", "invalid_id")) == "must not be empty"


def test_the_detail_of_an_issue_is_in_no_text():
    issue = Issue("$", "refused by a validator", "value_error", detail="card 4111 1111")

    assert issue.detail == "card 4111 1111"
    for text in (
        str(issue),
        repr(issue),
        str(ValidationError("Order", [issue])),
        repr(ValidationError("Order", [issue])),
    ):
        assert "4111" not in text


@pytest.mark.parametrize(
    "signal",
    [
        signals.Retry(),
        signals.Retry(after="10 seconds"),
        signals.Snooze("1 minute"),
        signals.Cancel("gone"),
        signals.DeadLetter("poison"),
    ],
    ids=repr,
)
def test_a_signal_passes_a_handlers_own_except_exception(signal: signals.Signal):
    def handler():
        try:
            raise signal
        except Exception:
            return "swallowed"

    with pytest.raises(signals.Signal) as caught:
        handler()

    assert caught.value is signal


def test_signals_carry_what_the_handler_said():
    assert signals.Retry().after is None
    assert signals.Retry(after="10 seconds").after == timedelta(seconds=10)
    assert signals.Retry(after=timedelta()).after == timedelta()
    assert signals.Snooze(timedelta(minutes=1)).after == timedelta(minutes=1)
    assert signals.Cancel().reason is None
    assert signals.Cancel("gone").reason == "gone"
    assert signals.DeadLetter("poison").reason == "poison"


@pytest.mark.parametrize(
    "make", [lambda: signals.Retry(after=10), lambda: signals.Snooze(30.0), lambda: signals.Snooze("0s")]
)
def test_a_signal_refuses_a_duration_that_cannot_be_meant(make):
    with pytest.raises(DefinitionError):
        make()


@pytest.mark.parametrize(
    "signal", [signals.Retry("1s"), signals.Snooze("1s"), signals.Cancel("gone"), signals.DeadLetter()], ids=repr
)
def test_a_copied_signal_says_the_same(signal: signals.Signal):
    twin = copy.copy(signal)

    assert vars(twin) == vars(signal)
    assert str(twin) == str(signal)
