"""What every tracking event is: small, immutable, and free of payloads and state."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

Severity = Literal["debug", "info", "warning", "error"]
"""How loud an event is in a log: "debug" is steady traffic, "warning" will be tried again, "error" needs somebody."""

MAX_TEXT_BYTES = 4096
"""No text in an event is longer than this, in bytes of UTF-8."""


class PrimitiveEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type"):
    """One thing that happened to one instance.  Subclass it once per transition.

    Events say that work was done, when and how it ended, never what was in it: payloads and state have no field here.
    Encoded, an event is a flat map whose `type` names the class and whose defaults are left out.

    Example:
        >>> import msgspec
        >>> class TimerFired(PrimitiveEvent, frozen=True, kw_only=True, tag="timer.fired"):
        ...     late_ms: int
        >>> event = TimerFired(
        ...     at_ms=1893456000000, namespace="default", kind="timer", name="egg", instance_id="timer:egg:1", late_ms=3
        ... )
        >>> event.type
        'timer.fired'
        >>> msgspec.json.decode(msgspec.json.encode(event))["late_ms"]
        3
    """

    severity: ClassVar[Severity] = "info"

    at_ms: int
    """When it happened, by the runtime's clock: milliseconds since the epoch, UTC."""
    namespace: str
    kind: str
    """Which primitive: "continuous", "buffer", "queue", or one that was added later."""
    name: str
    """The registered name of the definition."""
    instance_id: str
    """``{kind}:{name}:{id}``."""

    @property
    def type(self) -> str:
        """The name of the transition, for example "queue.completed"."""
        return event_type(self.__class__)


def event_type(event_class: type[PrimitiveEvent]) -> str:
    """The name under which `event_class` is encoded, for example "queue.completed"."""
    return str(event_class.__struct_config__.tag)


class ErrorInfo(Struct, frozen=True, gc=False):
    """What went wrong, as text: the error itself stays in the process that raised it."""

    type: str
    """Qualified class name, for example "httpx.ConnectTimeout"; builtins without a module."""
    message: str
    """What the error said, at most `MAX_TEXT_BYTES`.  User code wrote it, so keep secrets out of exception messages."""

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """Describe `error`, whatever its ``__str__`` does.

        Example:
            >>> ErrorInfo.of(ValueError("no such user"))
            ErrorInfo(type='ValueError', message='no such user')
        """
        return cls(type=_class_name(error.__class__), message=_message(error))


def bounded(text: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """`text` cut to at most `limit_bytes` of valid UTF-8; unpaired surrogates become question marks.

    Example:
        >>> bounded("naïve", limit_bytes=3)
        'na'
    """
    if len(text) <= limit_bytes and text.isascii():
        return text
    return text[:limit_bytes].encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


def _class_name(error_class: type) -> str:
    if error_class.__module__ == "builtins":
        return error_class.__qualname__
    return f"{error_class.__module__}.{error_class.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return bounded(str(error))
    except Exception as unprintable:
        return f"<__str__ raised {_class_name(unprintable.__class__)}>"
