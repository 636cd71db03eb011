"""Which version of a territory was in force, for whole columns of moments."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from geofence.columns import NONE, Indexes, Scans, Times, microseconds
from geofence.territory import Seller, TerritoryVersion

_ENDLESS: Final = np.iinfo(np.int64).max


class Timeline:
    """The versions of each seller in the order in which they were recorded."""

    def __init__(self, versions: Sequence[TerritoryVersion]) -> None:
        self._recorded = np.array([microseconds(each.recorded_at) for each in versions], dtype=np.int64)
        self._from = np.array([microseconds(each.valid_from) for each in versions], dtype=np.int64)
        self._to = np.array(
            [microseconds(each.valid_to) if each.valid_to else _ENDLESS for each in versions], dtype=np.int64
        )
        self._by_seller: dict[Seller, list[int]] = {}
        for number in np.argsort(self._recorded, kind="stable").tolist():
            version = versions[number]
            self._by_seller.setdefault((version.dealer, version.channel, version.product_line), []).append(number)

    def in_force(self, scans: Scans) -> Indexes:
        """Return for each scan the number of the version that `TerritoryBook.in_force` would find, or NONE."""
        found = np.full(len(scans), NONE, dtype=np.intp)
        # Numbers of two bytes are sorted in one pass.
        numbers = scans.seller.astype(np.uint16 if len(scans.sellers) <= np.iinfo(np.uint16).max else np.intp)
        order = np.argsort(numbers, kind="stable")
        sellers, starts = np.unique(numbers[order], return_index=True)
        for seller, rows in zip(sellers.tolist(), np.split(order, starts[1:]), strict=False):
            found[rows] = self._of(scans.sellers[seller], scans.valid_at[rows], scans.known_at[rows])
        return found

    def _of(self, seller: Seller, valid_at: Times, known_at: Times) -> Indexes:
        dealer, channel, line = seller
        found = np.full(len(valid_at), NONE, dtype=np.intp)
        # Later statements take the place of earlier ones, those for the product line that of those for all lines.
        for each in dict.fromkeys((None, line)):
            for number in self._by_seller.get((dealer, channel, each), ()):
                known = self._recorded[number] <= known_at
                found[known & (self._from[number] <= valid_at) & (valid_at < self._to[number])] = number
        return found
