"""Every error of the SDK: one root, one class per cause that a caller can act on.

The text of an error says what was given, what was expected and, after a semicolon, what to do.  The same facts are
attributes, so nobody has to parse it.  It never holds a payload: types, paths and sizes only, so that an error may
be logged anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar

Outcome = Literal["applied", "not_applied", "unknown"]
"""What became of a write whose call failed.  ``unknown``: its reply was lost; repeating it with the same id is safe."""

_ErrorT = TypeVar("_ErrorT", bound="DurablePrimitivesError")

_SHOWN_ISSUES = 3


class DurablePrimitivesError(Exception):
    """The root of all errors raised by this package.

    Attributes:
        code: A stable name of the cause, for programs; it does not change between releases.
        message: What was given and what was expected.
        help: What to do about it.

    Example:
        >>> error = QueueFullError(pending=10, limit=10)
        >>> error.code, error.limit
        ('queue_full', 10)
        >>> error.message
        'the queue holds 10 pending events and its limit is 10'
    """

    code: str = "durable_primitives"
    help: str = "see the documentation of this error"

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if help is not None:
            self.help = help

    def __str__(self) -> str:
        return f"{self.message}; {self.help}"

    def __copy__(self) -> Self:
        """A twin with a traceback of its own and the same cause: one failure can be raised in many callers."""
        twin = _blank(type(self), self.args)
        twin.__dict__.update(self.__dict__)
        twin.__cause__ = self.__cause__
        return twin

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """How `copy.deepcopy` and process pools rebuild it: the default would call ``__init__`` with the message."""
        return _blank, (type(self), self.args), self.__dict__


def _blank(cls: type[_ErrorT], args: tuple[Any, ...]) -> _ErrorT:
    return cls.__new__(cls, *args)


# --- definitions and calls --------------------------------------------------------------------------------------------


class DefinitionError(DurablePrimitivesError):
    """A definition, an option, a duration or a time that cannot be meant.  Raised before anything is stored."""

    code = "definition"
    help = "correct the definition"

    def __init__(self, message: str, *, help: str | None = None, did_you_mean: str | None = None) -> None:
        super().__init__(message, help=help)
        self.did_you_mean = did_you_mean


def unknown_option(name: str, valid: Iterable[str], where: str) -> DefinitionError:
    """The error for an option that `where` does not have, with the nearest name that it does have.

    Example:
        >>> print(unknown_option("concurency", ["concurrency", "ordering"], "Queue.make"))
        Queue.make has no option 'concurency'; did you mean 'concurrency'? Valid options: concurrency, ordering
    """
    options = sorted(valid)
    near = nearest(name, options)
    listed = f"options: {', '.join(options)}" if options else "options: none"
    hint = f"did you mean {near!r}? Valid {listed}" if near else f"valid {listed}"
    return DefinitionError(f"{where} has no option {name!r}", help=hint, did_you_mean=near)


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The one of `valid` that `name` was probably meant to be."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(valid), n=1)), None)


class PrimitiveNotFoundError(DurablePrimitivesError):
    """No primitive of this type has this name.  `did_you_mean` is the nearest of the `known` names, or None."""

    code = "primitive_not_found"

    def __init__(self, primitive_type: str, primitive_name: str, known: Iterable[str] = ()) -> None:
        names = sorted(known)
        self.primitive_type = primitive_type
        self.primitive_name = primitive_name
        self.did_you_mean = nearest(primitive_name, names)
        registered = f"registered: {', '.join(names)}" if names else f"no {primitive_type} is registered"
        hint = f"did you mean {self.did_you_mean!r}? " if self.did_you_mean else ""
        super().__init__(
            f"no {primitive_type} is called {primitive_name!r}",
            help=f"{hint}pass its definition to create_durable_primitives ({registered})",
        )


class InstanceNotFoundError(DurablePrimitivesError):
    """The instance does not exist: it was never started, or it was terminated or purged."""

    code = "instance_not_found"
    help = "check the id, or start it first"

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"there is no instance {instance_id!r}")
        self.instance_id = instance_id


class InvalidStateError(DurablePrimitivesError):
    """The operation is not possible in the state that the instance is in.  Nothing was changed."""

    code = "invalid_state"
    help = "look at its status, and call this in one of the expected states"

    def __init__(self, expected: str | Iterable[str], actual: str, operation: str) -> None:
        self.expected = (expected,) if isinstance(expected, str) else tuple(expected)
        self.actual = actual
        self.operation = operation
        super().__init__(f"{operation} needs the state {' or '.join(self.expected)}, and the state is {actual}")


@dataclass(frozen=True, slots=True)
class Issue:
    """One reason why a value does not fit its schema.

    Attributes:
        path: Where, from the root ``$``: ``$.items[0].price``; a key of a mapping is data and shows as ``[...]``.
        message: What was expected there, without the value that was found.
        code: The kind of the problem, as the library that checks the schema names it.
        detail: The words of that library or of a validator where they may quote the value.  For debugging: it is in
            no message and no repr.
    """

    path: str
    message: str
    code: str
    detail: str | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.message if self.path == "$" else f"{self.path}: {self.message}"


class ValidationError(DurablePrimitivesError):
    """A value does not fit its schema.  Nothing was written."""

    code = "validation"
    help = "correct the value and call again; nothing was written"

    def __init__(self, schema_name: str, issues: Iterable[Issue]) -> None:
        self.schema_name = schema_name
        self.issues = tuple(issues)
        super().__init__(f"{schema_name} is not valid: {describe_issues(self.issues)}")


def describe_issues(issues: tuple[Issue, ...]) -> str:
    """The first few of them on one line."""
    shown = ", ".join(str(issue) for issue in issues[:_SHOWN_ISSUES])
    hidden = len(issues) - _SHOWN_ISSUES
    return f"{shown} and {hidden} more" if hidden > 0 else shown


class PayloadTooLargeError(DurablePrimitivesError):
    """An encoded payload is larger than the limit.  Nothing was written.  Sizes are in bytes."""

    code = "payload_too_large"
    help = "store the data elsewhere and send a reference to it, or raise the limit"

    def __init__(self, size: int, limit: int, what: str = "payload") -> None:
        super().__init__(f"the {what} is {size} bytes long and the limit is {limit}")
        self.size = size
        self.limit = limit


class QueueFullError(DurablePrimitivesError):
    """The queue holds as many pending events as `max_pending` allows.  Nothing was written."""

    code = "queue_full"
    help = 'wait for it to drain, raise max_pending, or choose on_full="drop_oldest"'

    def __init__(self, pending: int, limit: int) -> None:
        super().__init__(f"the queue holds {pending} pending events and its limit is {limit}")
        self.pending = pending
        self.limit = limit


# --- user code --------------------------------------------------------------------------------------------------------


class ReducerError(DurablePrimitivesError):
    """`on_event` raised, so the event was rejected and the buffer is as it was.  `__cause__` is what it raised."""

    code = "reducer"
    help = "correct on_event: it must be a pure function that accepts every valid event"

    def __init__(self, instance_id: str, event_id: str | None = None, *, cause: BaseException | None = None) -> None:
        event = "an event" if event_id is None else f"event {event_id!r}"
        super().__init__(f"on_event of {instance_id!r} refused {event}{_raised(cause)}")
        self.instance_id = instance_id
        self.event_id = event_id
        self.__cause__ = cause


class ExecutionError(DurablePrimitivesError):
    """A handler raised.  `__cause__` is what it raised."""

    code = "execution"
    help = "see the cause; the retry policy decides what happens next"

    def __init__(
        self, primitive_type: str, primitive_name: str, instance_id: str, *, cause: BaseException | None = None
    ) -> None:
        super().__init__(
            f"the handler of {primitive_type} {primitive_name!r} failed for {instance_id!r}{_raised(cause)}"
        )
        self.primitive_type = primitive_type
        self.primitive_name = primitive_name
        self.instance_id = instance_id
        self.__cause__ = cause


class CrashLoopError(DurablePrimitivesError):
    """Work was begun again and again, and each time its process vanished before there was an outcome."""

    code = "crash_loop"
    help = "find out what ends the process, or blocks it beyond its lease, then redrive the dead letter"

    def __init__(self, primitive_type: str, primitive_name: str, instance_id: str, deliveries: int) -> None:
        super().__init__(
            f"{deliveries} times in a row a process vanished, or lost its lease, while {primitive_type} "
            f"{primitive_name!r} ran for {instance_id!r}"
        )
        self.primitive_type = primitive_type
        self.primitive_name = primitive_name
        self.instance_id = instance_id
        self.deliveries = deliveries


class RetryExhaustedError(DurablePrimitivesError):
    """Every attempt that the retry policy allows has failed.  The event is kept as a dead letter."""

    code = "retry_exhausted"
    help = "correct the handler, then redrive the dead letter"

    def __init__(self, event_id: str, attempts: int, last_error: BaseException | str) -> None:
        cause = last_error if isinstance(last_error, BaseException) else None
        super().__init__(f"event {event_id!r} failed all {attempts} attempts{_raised(cause)}")
        self.event_id = event_id
        self.attempts = attempts
        self.last_error = last_error
        self.__cause__ = cause


def _raised(cause: BaseException | None) -> str:
    """Its type only: what user code puts into the text of an error may be a payload."""
    return "" if cause is None else f" with {type(cause).__name__}"


# --- storage and ownership --------------------------------------------------------------------------------------------


class LeaseLostError(DurablePrimitivesError):
    """This worker no longer owns the instance, so its commit changed nothing.  Another worker carries on."""

    code = "lease_lost"
    help = "nothing to do: the new owner runs it again; if it recurs, look for a process that is paused or starved"

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"the lease of {instance_id!r} was lost")
        self.instance_id = instance_id


class StorageError(DurablePrimitivesError):
    """The store did not do what it was asked.

    Attributes:
        backend: The kind of store, for example ``"sqlite"``; never its URL, which may hold a password.
        outcome: Whether the write took effect.  Anything but ``unknown`` is said only when it is known.
    """

    code = "storage"
    help = "see the cause; repeating the call with the same id is safe"
    outcome: Outcome = "unknown"

    def __init__(
        self, message: str, *, backend: str | None = None, outcome: Outcome | None = None, help: str | None = None
    ) -> None:
        super().__init__(message, help=help)
        self.backend = backend
        if outcome is not None:
            self.outcome = outcome


class BackendUnavailableError(StorageError):
    """The store cannot be reached."""

    code = "backend_unavailable"
    help = "check that the store runs and is reachable; repeating the call with the same id is safe"


class StorageBusyError(StorageError):
    """Somebody else held the store locked for longer than the busy timeout."""

    code = "storage_busy"
    help = "call again; if it recurs, find the program that keeps a write transaction open"
    outcome = "not_applied"


class StorageFullError(StorageError):
    """The disk, or the memory that the store may use, is full."""

    code = "storage_full"
    help = "free space or raise the store's limit, then call again"


class StorageReadOnlyError(StorageError):
    """The store accepts no writes: a read-only file or folder, or a replica."""

    code = "storage_read_only"
    help = "check the permissions of the file and of its folder, or connect to the primary"
    outcome = "not_applied"


class StorageNotRecognizedError(StorageError):
    """What was opened is not a store of this kind, for example a file that is not a database."""

    code = "storage_not_recognized"
    help = "check the path or URL; nothing was changed"
    outcome = "not_applied"


class StorageCorruptedError(StorageError):
    """The store is damaged.

    Attributes:
        instance_id: The instance whose rows cannot be read, if it is known to be those alone: all others go on.
    """

    code = "storage_corrupted"
    help = "stop all workers, keep a copy of the store, and restore a backup"

    def __init__(
        self,
        message: str,
        *,
        backend: str | None = None,
        outcome: Outcome | None = None,
        help: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        super().__init__(message, backend=backend, outcome=outcome, help=help)
        self.instance_id = instance_id


class StorageSchemaTooNewError(StorageError):
    """The store was written by a newer release than this one, which must not touch it."""

    code = "storage_schema_too_new"
    help = "upgrade durable-primitives in this process to the release that wrote the store; nothing was changed"
    outcome = "not_applied"

    def __init__(self, found: int, supported: int, *, backend: str | None = None) -> None:
        super().__init__(
            f"the store has schema version {found} and this release knows {supported} and older", backend=backend
        )
        self.found = found
        self.supported = supported


class SchedulerError(DurablePrimitivesError):
    """Due work could not be claimed or renewed.  Nothing is lost: every due time is in the store."""

    code = "scheduler"
    help = "see the cause; the worker tries again by itself"


class SerializationError(DurablePrimitivesError):
    """Stored bytes cannot be read with this schema.  They are left untouched.

    Attributes:
        code: ``not_an_envelope``, ``wrong_codec``, ``newer_schema``, ``corrupted``, ``wrong_schema`` or
            ``migration_failed``.
        schema_name: The schema they were read with.
        expected: What can be read.
        found: What is there, without its content.
        issues: Where it does not fit, with the codes ``corrupted`` and ``wrong_schema``.
    """

    code = "serialization"
    help = "deploy code that can read it; the bytes are left untouched"

    def __init__(
        self,
        schema_name: str,
        *,
        expected: str,
        found: str,
        code: str | None = None,
        help: str | None = None,
        issues: tuple[Issue, ...] = (),
    ) -> None:
        super().__init__(f"stored {schema_name} cannot be read: expected {expected}, found {found}", help=help)
        self.schema_name = schema_name
        self.expected = expected
        self.found = found
        self.issues = issues
        if code is not None:
            self.code = code
