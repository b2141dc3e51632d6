"""Bodies that msgspec reads and writes, as MessagePack: Structs, dataclasses, attrs classes, TypedDicts, builtins."""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec.inspect import CustomType, type_info

from durable_primitives.errors import DefinitionError, Issue
from durable_primitives.schema.envelope import Format
from durable_primitives.schema.parts import Part, is_record, name_of, parts

T = TypeVar("T")

_ERROR = re.compile(r"(?P<text>.*?)(?: - at (?:`key` in )?`(?P<path>\$[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<field>[^`]*)`")

# The texts of msgspec that hold no part of the value.  Any other text quotes it, or was written by a validator.
_SAFE: Final = (
    (re.compile(r"Expected `[^`]+`, got `[^`]+`"), "type"),
    (re.compile(r"Expected `[^`]+`.*|(Integer value|Number|Timestamp|Duration) (is )?out of range"), "constraint"),
    (re.compile(r"Invalid (RFC3339|ISO8601|UUID|base64|decimal|epoch|MessagePack)\b.*"), "format"),
    (re.compile(r"Encoding objects of type \S+ is unsupported"), "unsupported_type"),
)
_REDACTED: Final = (
    (re.compile(r"Invalid enum value .*", re.DOTALL), "enum", "not one of the allowed values"),
    (re.compile(r"Invalid value .*", re.DOTALL), "tag", "an unknown tag"),
)


class MsgspecBody(Generic[T]):
    """Encoder, decoder and the meaning of their errors."""

    format: Format = "msgpack"
    errors: tuple[type[Exception], ...] = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
    """What msgspec itself raises; anything else comes from the user's ``__post_init__``, properties and the like."""

    def __init__(self, schema: Any) -> None:
        try:
            decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(schema)
        except Exception as error:
            raise DefinitionError(
                f"{name_of(schema)} is no schema: {error}",
                help="use a msgspec Struct (tagged, inside a union), a pydantic model, a dataclass, a TypedDict or "
                "a builtin type",
            ) from error
        for part in parts(schema):
            _refuse_unsupported(part)
        self._schema = schema
        self.dump = msgspec.msgpack.Encoder().encode
        self.load = decoder.decode
        self.check = None

    def issues(self, error: Exception) -> tuple[Issue, ...]:
        """What an exception of `dump` or `load` says, without the value."""
        text, path = _parse(str(error))
        if isinstance(error, RecursionError):
            return (Issue(path, "nested too deeply", "too_deep"),)
        if isinstance(error, OverflowError):
            return (Issue(path, "an integer of more than 64 bits", "constraint"),)
        if isinstance(error, UnicodeError):
            return (Issue(path, "text that is not valid Unicode", "format"),)
        if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
            return (Issue(path, "not a complete MessagePack value", "malformed"),)
        return (_issue(text, path),)

    def json_schema(self) -> dict[str, Any]:
        """The schema as JSON Schema."""
        return msgspec.json.schema(self._schema)


def _refuse_unsupported(part: Part) -> None:
    """Refuse now what msgspec would refuse, or drop, only when a value is stored."""
    if _is_unsupported(part.form):
        raise DefinitionError(
            f"{part.place} has the type {name_of(part.form)}, which cannot be stored",
            help="use a msgspec Struct, a pydantic model, a dataclass, a TypedDict or a builtin type",
        )
    for field in getattr(part.form, "__attrs_attrs__", ()):
        if field.name.startswith("_"):
            raise DefinitionError(
                f"{part.place}.{field.name} would not be stored: msgspec leaves private fields of attrs classes out",
                help="rename the field without the underscore",
            )


def _is_unsupported(form: Any) -> bool:
    # UnsetType stands for the absence of a field, and is never stored.
    if not isinstance(form, type) or is_record(form) or form is msgspec.UnsetType:
        return False
    return isinstance(type_info(form), CustomType)


def _parse(error: str) -> tuple[str, str]:
    match = _ERROR.fullmatch(error)
    return (match["text"], match["path"] or "$") if match else (error, "$")


def _issue(text: str, path: str) -> Issue:
    field = _FIELD.fullmatch(text)
    if field:
        missing = field["what"] == "missing required"
        where = f"{path}.{field['field']}"
        return Issue(where, "missing", "missing") if missing else Issue(where, "unknown field", "unknown_field")
    for pattern, code in _SAFE:
        if pattern.fullmatch(text):
            return Issue(path, text[0].lower() + text[1:], code)
    for pattern, code, message in _REDACTED:
        if pattern.fullmatch(text):
            return Issue(path, message, code, detail=text)
    return Issue(path, "refused by a validator (see the issue's detail)", "validator", detail=text)
