"""One page of a listing."""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Some items and where to go on: pass `cursor` to the same call again; None means that this was the last page."""

    items: tuple[T, ...]
    cursor: str | None
