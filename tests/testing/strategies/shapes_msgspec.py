"""Schemas that msgspec reads, one per kind of shape."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID, uuid4

import attrs
import msgspec
from msgspec import Meta, Struct

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Numbers(Struct):
    any_int: int
    positive: Annotated[int, Meta(gt=0)]
    small: Annotated[int, Meta(ge=-3, lt=4)]
    dozens: Annotated[int, Meta(ge=10, le=100, multiple_of=12)]
    ratio: Annotated[float, Meta(ge=0.0, lt=1.0)]
    steps: Annotated[float, Meta(multiple_of=0.5, gt=1)]
    price: Decimal
    above: Annotated[int, Meta(gt=2**62)]


class Texts(Struct):
    free: str
    short: Annotated[str, Meta(min_length=1, max_length=4)]
    code: Annotated[str, Meta(pattern=r"^[A-Z]{2}-\d+$")]
    code_of_five: Annotated[str, Meta(pattern=r"^[a-z]+$", min_length=5, max_length=5)]
    blob: bytes
    key: Annotated[bytes, Meta(min_length=2, max_length=2)]
    array: bytearray
    view: memoryview


class Moments(Struct):
    at: dt.datetime
    aware: Annotated[dt.datetime, Meta(tz=True)]
    naive: Annotated[dt.datetime, Meta(tz=False)]
    clock: dt.time
    clock_utc: Annotated[dt.time, Meta(tz=True)]
    day: dt.date
    length: dt.timedelta


class Collections(Struct):
    items: Annotated[list[int], Meta(min_length=1, max_length=3)]
    pair: tuple[int, str]
    row: tuple[int, ...]
    names: set[str]
    frozen: frozenset[int]
    table: dict[str, list[int]]
    few: Annotated[dict[int, bool], Meta(max_length=2)]
    by_id: dict[UUID, float]
    sequence: Sequence[int]
    mapping: Mapping[str, int]


class Choices(Struct):
    colour: Colour
    access: Access
    word: Literal["on", "off", 3, None]
    maybe: int | None
    several: int | str | list[bool] | None
    anything: Any
    raw: msgspec.Raw
    ext: msgspec.msgpack.Ext


class Defaults(Struct, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    first_name: str = "ada"
    tags: list[str] = []
    made: UUID = msgspec.field(default_factory=uuid4)
    count: int | msgspec.UnsetType = msgspec.UNSET
    by_name: dict[str, int] = msgspec.field(default_factory=dict)


class Frozen(Struct, frozen=True, kw_only=True, array_like=True):
    x: int
    y: int = 0


class Get(Struct, tag="get"):
    path: str


class Post(Struct, tag="post"):
    body: bytes
    answers: list[Request]


Request = Get | Post


class Page(Struct, Generic[T]):
    items: list[T]
    next: Page[T] | None = None


class Tree(Struct):
    name: str
    children: list[Tree]
    named: dict[str, Tree]


class Left(Struct):
    right: Right | None


class Right(Struct):
    lefts: tuple[Left, ...]


class Even(Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("must be even")


class Point(NamedTuple):
    x: int
    y: Annotated[int, Meta(ge=0)] = 3


@dataclass
class Plain:
    name: str
    size: Annotated[int, Meta(le=9)] = 1
    tags: list[str] = field(default_factory=list)
    double: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.double = self.size * 2


@attrs.define
class Attrs:
    name: str
    count: int = attrs.field(validator=attrs.validators.ge(0))


class Partial(TypedDict, total=False):
    a: int
    b: str


class Mixed(TypedDict):
    a: int
    b: NotRequired[Annotated[str, Meta(max_length=2)]]


UserId = NewType("UserId", int)

SHAPES: list[Any] = [
    *(int, float, bool, str, bytes, None, Any, Decimal, UUID, UserId, Colour),
    *(dt.datetime, dt.date, dt.time, dt.timedelta),
    *(list[int], dict[str, Any], tuple[int, ...], set[str], int | None, Literal["a", 1]),
    *(Numbers, Texts, Moments, Collections, Choices, Defaults, Frozen, Get, Request, list[Request]),
    *(Page[int], Page[Frozen], Tree, Left, Even, list[Even], Point, Plain, Attrs, Partial, Mixed),
]
