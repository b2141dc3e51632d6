"""Where the rows of an instance are."""

from __future__ import annotations

from durable_primitives.spi import xxh3_64

_KNOWN_PLACES = 100_000


class Partitions:
    """Groups of keys with one hash tag each, over which the instances are spread.

    A script sees one group of partitions: all of them on a standalone server, on a cluster each by itself (`spread`).

    Args:
        stem: The beginning of the hash tags.
        count: How many there are.

    Example:
        >>> partitions = Partitions("dp:shop", 16, spread=True)
        >>> partitions.key(partitions.place("queue:mails:0"), "alarm")
        '{dp:shop:2}:alarm'
    """

    def __init__(self, stem: str, count: int, *, spread: bool) -> None:
        self.stem, self.count, self.spread = stem, count, spread
        everything = tuple(range(count))
        self.groups = [(one,) for one in everything] if spread else [everything]
        self._places: dict[str, int] = {}

    def place(self, instance: str) -> int:
        """The partition of an instance, for as long as the store exists."""
        place = self._places.get(instance)
        if place is None:
            if len(self._places) >= _KNOWN_PLACES:
                self._places.clear()
            place = self._places[instance] = xxh3_64(instance.encode()) % self.count
        return place

    def group(self, place: int) -> int:
        """The group of a partition."""
        return place if self.spread else 0

    def key(self, place: int, name: str = "any") -> str:
        """A key of a partition."""
        return f"{{{self.stem}:{place}}}:{name}"
