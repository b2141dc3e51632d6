"""Values of one schema to stored bytes and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from durable_primitives.errors import DefinitionError, Issue, SerializationError, ValidationError, describe_issues
from durable_primitives.schema import envelope
from durable_primitives.schema.envelope import SIZE, Format
from durable_primitives.schema.msgspec_body import MsgspecBody
from durable_primitives.schema.parts import name_of
from durable_primitives.schema.routing import route

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")

Migration = Callable[[Any], Any]
"""From the builtin values of one schema version (dict, list, str …) to those of the next."""

_READ: Mapping[Format, Callable[[bytes], Any]] = {"msgpack": msgspec.msgpack.decode, "json": json.loads}
_WRITE: Mapping[Format, Callable[[Any], bytes]] = {
    "msgpack": msgspec.msgpack.encode,
    "json": lambda raw: json.dumps(raw).encode(),
}
_MALFORMED = {"malformed", "json_invalid"}


class Body(Protocol[T]):
    """What a library contributes: bytes without a header, and the meaning of its errors."""

    @property
    def format(self) -> Format: ...
    @property
    def errors(self) -> tuple[type[Exception], ...]: ...
    @property
    def dump(self) -> Callable[[T], bytes]: ...
    @property
    def load(self) -> Callable[[bytes], T]: ...
    @property
    def check(self) -> Callable[[T, bytes, T], None] | None:
        """Raises if ``(value, body, decoded)`` show that the body does not hold the value; None if it always does."""

    def issues(self, error: Exception) -> tuple[Issue, ...]: ...
    def json_schema(self) -> dict[str, Any]: ...


class Codec(Generic[T]):
    """Encodes and decodes values of one schema; made by `codec_for`.

    Attributes:
        schema: The type.
        name: What errors call it.
        version: The schema version that it writes.
        format: The format of the body, ``"msgpack"`` or ``"json"``.
    """

    __slots__ = ("_body", "_check", "_dump", "_header", "_load", "_migrate", "format", "name", "schema", "version")

    def __init__(
        self, schema: TypeForm[T], body: Body[T], *, name: str, version: int, migrate: Mapping[int, Migration]
    ) -> None:
        self.schema = schema
        self.name = name
        self.version = version
        self.format: Format = body.format
        self._body = body
        self._dump = body.dump
        self._load = body.load
        self._check = body.check
        self._header = envelope.write(body.format, version)
        self._migrate = migrate

    def __repr__(self) -> str:
        return f"Codec({self.name!r}, version={self.version}, format={self.format!r})"

    def encode(self, value: T) -> bytes:
        """The bytes to store for `value`.

        A value is valid if and only if what it encodes to decodes as the schema, and that is how it is checked: what
        gets stored is known to be readable.  So a mapping may stand for a record, with the stored names of its fields
        as keys, and what the schema does not declare is not read back.

        Raises:
            ValidationError: It is not valid.
        """
        try:
            body = self._dump(value)
            decoded = self._load(body)
            if self._check is not None:
                self._check(value, body, decoded)
        except MemoryError:
            raise
        except Exception as error:
            raise ValidationError(self.name, self._body.issues(error)) from self._cause(error)
        return self._header + body

    def decode(self, data: bytes) -> T:
        """The value that was stored as `data`, made anew on every call.

        An older schema version is first brought forward by the migrations of the codec.

        Raises:
            SerializationError: It cannot be read; `code` says why.
        """
        if data[:SIZE] != self._header:
            data = self._current(data)
        try:
            return self._load(data[SIZE:])
        except MemoryError:
            raise
        except Exception as error:
            raise self._unreadable(error) from self._cause(error)

    def decode_many(self, items: Iterable[bytes]) -> list[T]:
        """`decode` each of the separately encoded `items`."""
        decode = self.decode
        return [decode(item) for item in items]

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the values, with field names as they are stored.

        Raises:
            DefinitionError: The schema holds a type that JSON Schema cannot describe.
        """
        try:
            return self._body.json_schema()
        except Exception as error:
            raise DefinitionError(
                f"{self.name} has no JSON Schema: {error}", help="use types that exist in JSON"
            ) from error

    def _current(self, data: bytes) -> bytes:
        """`data` with a header of another version, as this version would have written it."""
        stored = envelope.read(data, self.name)
        if stored.version > self.version:
            raise SerializationError(
                self.name,
                expected=f"schema version {self.version} or older",
                found=f"schema version {stored.version}",
                code="newer_schema",
                help="deploy the code that wrote it, or newer code, to this process; the bytes are left untouched",
            )
        steps = [self._migrate[version] for version in range(stored.version, self.version) if version in self._migrate]
        if steps:
            return self._header + self._upgrade(data[SIZE:], stored, steps)
        if stored.format != self.format:
            raise SerializationError(
                self.name,
                expected=self.format,
                found=stored.format,
                code="wrong_codec",
                help="the schema moved between msgspec and pydantic: raise schema_version and add "
                f"migrate={{{stored.version}: lambda raw: raw}}",
            )
        return data

    def _upgrade(self, body: bytes, stored: envelope.Envelope, steps: list[Migration]) -> bytes:
        """Bring `body` forward through the builtin values of its schema version."""
        try:
            raw = _READ[stored.format](body)
        except Exception:
            raise SerializationError(
                self.name, expected=stored.format, found=f"{len(body)} damaged bytes", code="corrupted"
            ) from None
        try:
            for step in steps:
                raw = step(raw)
            return _WRITE[self.format](raw)
        except MemoryError:
            raise
        except Exception as error:
            raise SerializationError(
                self.name,
                expected=f"a migration from schema version {stored.version} to {self.version}",
                found=f"a failure with {type(error).__name__}",
                code="migration_failed",
                help="correct the migration (it takes and returns dict, list, str, …); the bytes are left untouched",
            ) from error

    def _unreadable(self, error: Exception) -> SerializationError:
        issues = self._body.issues(error)
        return SerializationError(
            self.name,
            expected=f"schema version {self.version}",
            found=describe_issues(issues),
            code="corrupted" if issues[0].code in _MALFORMED else "wrong_schema",
            issues=issues,
        )

    def _cause(self, error: Exception) -> Exception | None:
        """What to chain: an error of user code, to debug it; none of the library's, whose text may quote the value."""
        return None if isinstance(error, self._body.errors) else error


def codec_for(
    schema: TypeForm[T],
    *,
    name: str | None = None,
    version: int = 1,
    migrate: Mapping[int, Migration] | None = None,
) -> Codec[T]:
    """The codec of a schema: a msgspec Struct, pydantic model, dataclass, TypedDict or any form of builtin types.

    Args:
        schema: The type.  Which library reads it follows from the rules in it, see `routing`.
        name: What errors call it; the name of the type by default.
        version: Raised by the user when stored values change in a way that old ones do not fit.  New fields with
            defaults and fields that go away need no new version.
        migrate: ``{1: from_1_to_2}`` brings the builtin values of older versions forward when they are read.

    Raises:
        DefinitionError: The type cannot be stored, mixes pydantic with msgspec, or needs pydantic where it is not
            installed; or a version is out of range.

    Example:
        >>> codec = codec_for(dict[str, int], name="Counters")
        >>> codec.decode(codec.encode({"clicks": 3}))
        {'clicks': 3}
    """
    name = name or name_of(schema)
    migrations = dict(migrate or {})
    if version not in range(1, envelope.MAX_VERSION + 1):
        raise DefinitionError(f"the schema version of {name} is {version!r}, outside 1 to {envelope.MAX_VERSION}")
    unreachable = sorted(set(migrations) - set(range(1, version)))
    if unreachable:
        raise DefinitionError(
            f"{name} has schema version {version} and a migration from version {unreachable[0]}",
            help="migrate={k: fn} brings version k to k + 1: give the versions before schema_version only",
        )
    return Codec(schema, _body_for(schema), name=name, version=version, migrate=migrations)


def _body_for(schema: Any) -> Body[Any]:
    claim = route(schema)
    if claim is None or claim.library == "msgspec":
        return MsgspecBody(schema)
    try:
        from durable_primitives.schema.pydantic_body import PydanticBody
    except ImportError as error:
        raise DefinitionError(
            f"{claim.place} uses {claim.what}, which needs pydantic 2.11 or newer ({error})",
            help="install durable-primitives[pydantic]",
        ) from error
    body: PydanticBody[Any] = PydanticBody(schema)
    return body
