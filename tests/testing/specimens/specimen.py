"""One specimen: a definition, what its author passes to `check`, and the laws that its bug breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

D = TypeVar("D")


@dataclass(frozen=True)
class Specimen:
    """A definition with the arguments of its `check`."""

    primitive: Any
    laws: frozenset[str]
    """The laws that name its bug; empty for a correct one."""
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def name(self) -> str:
        """Stable: the name of its definition."""
        name: str = self.primitive.name
        return name


class Collection(list[Specimen]):
    """The specimens of one module, in order."""

    def breaks(self, *laws: str, **options: Any) -> Callable[[D], D]:
        """Note a buggy definition, which breaks one of these laws."""

        def note(definition: D) -> D:
            self.append(Specimen(definition, frozenset(laws), options))
            return definition

        return note

    def keeps(self, **options: Any) -> Callable[[D], D]:
        """Note a correct definition."""
        return self.breaks(**options)
