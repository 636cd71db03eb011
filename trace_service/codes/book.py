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
        out = merged(span for entry in self.entries for span in entry.excluded)
        self._out_firsts = np.array([first for first, _ in out], dtype=np.int64)
        self._out_lasts = np.array([last for _, last in out], dtype=np.int64)

    def places(self, epoch: int, counters: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which of the entries holds each counter, or -1."""
        places = np.searchsorted(self._firsts, counters, side="right") - 1
        held = (places >= 0) & (counters >= 0)
        held &= (counters <= self._lasts[places]) & (self._epochs[places] == epoch)
        if self._out_firsts.size:
            nearest = np.searchsorted(self._out_firsts, counters, side="right") - 1
            held &= (nearest < 0) | (counters > self._out_lasts[nearest])
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


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges, each from first to last, in order and apart: what overlaps or touches becomes one."""
    apart: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if apart and first <= apart[-1][1] + 1:
            apart[-1] = apart[-1][0], max(apart[-1][1], last)
        else:
            apart.append((first, last))
    return apart


def is_within(ranges: Sequence[tuple[int, int]], counter: int) -> bool:
    """Whether a counter lies in one of some ranges, which are in order and apart."""
    place = bisect_right(ranges, counter, key=lambda each: each[0]) - 1
    return place >= 0 and counter <= ranges[place][1]
