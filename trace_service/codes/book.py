"""The book of batches: which counters of a product were issued, looked up for thousands of codes at once."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ConfigurationError


class BookError(ConfigurationError):
    """Batches that cannot be what was issued: they overlap, or the file that lists them is malformed."""

    code = "BATCHES_INVALID"


class Entry(NamedTuple):
    """One batch: counters `first` to `last` of a GTIN-14, without the `excluded` ranges, each from first to last."""

    batch: str
    gtin: str
    epoch: int
    first: int
    last: int
    excluded: tuple[tuple[int, int], ...] = ()


class _Shelf:
    """The batches of one product, in the order of their counters."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = sorted(entries, key=lambda entry: entry.first)
        for one, other in pairwise(self.entries):
            if other.first <= one.last:
                raise BookError(
                    f"batches {one.batch} and {other.batch} of {one.gtin} overlap at counter {other.first}",
                    advice="Correct the ranges: every counter belongs to one batch.",
                )
        self._firsts = np.array([entry.first for entry in self.entries], dtype=np.int64)
        self._lasts = np.array([entry.last for entry in self.entries], dtype=np.int64)
        self._epochs = np.array([entry.epoch for entry in self.entries], dtype=np.int64)
        self._excluded = [sorted(entry.excluded) for entry in self.entries]

    def places(self, epoch: int, counters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which of the entries holds each counter, or -1."""
        places = np.searchsorted(self._firsts, counters, side="right") - 1
        held = (places >= 0) & (counters >= 0)
        held &= (counters <= self._lasts[places]) & (self._epochs[places] == epoch)
        for index in np.flatnonzero(held):
            excluded = self._excluded[places[index]]
            if excluded and _within(excluded, int(counters[index])):
                held[index] = False
        return np.where(held, places, -1)


class Book:
    """All batches of one tenant."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Sort the batches by product; raises `BookError` where two of a product overlap."""
        by_gtin: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            by_gtin[entry.gtin].append(entry)
        self._shelves = {gtin: _Shelf(each) for gtin, each in by_gtin.items()}

    @property
    def gtins(self) -> Sequence[str]:
        """Every product that has a batch."""
        return tuple(self._shelves)

    def batches(self, gtin: str, epoch: int, counters: NDArray[np.int64]) -> list[str | None]:
        """Return the batch that issued each counter, or None: not issued, in another epoch, or scrapped."""
        shelf = self._shelves.get(gtin)
        if shelf is None:
            return [None] * counters.size
        places: list[int] = shelf.places(epoch, counters).tolist()
        return [shelf.entries[place].batch if place >= 0 else None for place in places]


def _within(ranges: Sequence[tuple[int, int]], counter: int) -> bool:
    place = bisect_right(ranges, counter, key=lambda each: each[0]) - 1
    return place >= 0 and counter <= ranges[place][1]
