"""Schemas that pydantic reads, one per kind of shape."""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import pathlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NotRequired, TypeVar
from uuid import UUID, uuid4

import annotated_types
import pydantic
import pydantic.dataclasses
from pydantic import UUID4, AwareDatetime, BaseModel, ConfigDict, Field, Json, NaiveDatetime, PastDate, PastDatetime
from typing_extensions import TypedDict

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Numbers(BaseModel):
    any_int: int
    positive: pydantic.PositiveInt
    small: Annotated[int, Field(ge=-3, lt=4)]
    dozens: int = Field(ge=10, le=100, multiple_of=12)
    ratio: Annotated[float, annotated_types.Interval(ge=0, lt=1)]
    finite: pydantic.FiniteFloat
    price: Annotated[Decimal, Field(gt=0, max_digits=6, decimal_places=2)]
    money: Decimal
    strict: pydantic.StrictInt


class Texts(BaseModel):
    free: str
    short: Annotated[str, Field(min_length=1, max_length=4)]
    code: Annotated[str, Field(pattern=r"^[A-Z]{2}-[0-9]+$")]
    stripped: Annotated[str, pydantic.StringConstraints(strip_whitespace=True, to_lower=True, max_length=5)]
    blob: bytes
    few: Annotated[bytes, Field(max_length=3)]


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    blob: bytes


class Moments(BaseModel):
    at: dt.datetime
    aware: AwareDatetime
    naive: NaiveDatetime
    before: PastDatetime
    day_before: PastDate
    after: pydantic.FutureDatetime
    since: Annotated[dt.datetime, Field(ge=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))]
    clock: dt.time
    day: Annotated[dt.date, Field(gt=dt.date(2020, 1, 1))]
    length: Annotated[dt.timedelta, Field(ge=dt.timedelta(0), lt=dt.timedelta(days=2))]


class Collections(BaseModel):
    items: Annotated[list[int], Field(min_length=1, max_length=3)]
    pair: tuple[int, str]
    row: tuple[int, ...]
    names: set[str]
    frozen: frozenset[int]
    table: dict[str, list[int]]
    by_id: dict[UUID, float]
    sequence: Annotated[Sequence[int], Field(max_length=3)]
    mapping: Mapping[str, int]
    last: deque[int]


class Choices(BaseModel):
    colour: Colour
    word: Literal["on", "off", 3]
    maybe: int | None
    several: list[bool] | None
    anything: Any
    version: UUID4
    address: ipaddress.IPv4Address
    path: pathlib.Path
    url: pydantic.HttpUrl
    data: Json[list[int]]


class Defaults(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=str.upper)
    name: str = "ada"
    tags: list[str] = []
    made: UUID = Field(default_factory=uuid4)
    aliased: int = Field(alias="other")


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(ge=1, le=9)


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    friends: list[Pet] = []


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Owner(BaseModel):
    pet: Pet


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: Page[T] | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree]
    named: dict[str, Tree]


class Even(BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("must be even")
        return number


class Range(BaseModel):
    low: int
    high: int

    @pydantic.model_validator(mode="after")
    def ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


class Root(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Dataclass:
    x: Annotated[int, Field(gt=3)]
    y: list[str] = Field(default_factory=list, max_length=2)


@dataclass
class FieldDefault:
    x: int = pydantic.Field(default=5, gt=3)


class Mixed(TypedDict):
    model: Even
    b: NotRequired[str]


@dataclass
class One:
    one: int


@dataclass
class Two:
    two: str


SHAPES: list[Any] = [
    *(Numbers, Texts, Base64, Moments, Collections, Choices, Defaults, Owner, Cat, Page[int], Page[Cat], Tree),
    *(Even, list[Even], Range, Root, Dataclass, FieldDefault, Mixed, One | Two, pydantic.PositiveInt),
]
