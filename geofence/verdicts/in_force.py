"""Which version of a territory was in force, for whole columns of moments."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from geofence.coordinates import BoolArray
from geofence.territory import Seller, TerritoryVersion
from geofence.verdicts.columns import NONE, Indexes, Scans, Times, microseconds

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
        stated = [self._stated(each) for each in scans.sellers]
        # Most sellers have a single version: all of these in one go.
        only = np.array([each[0] if len(each) == 1 else NONE for each in stated], dtype=np.intp)
        found = only[scans.seller] if len(only) else np.full(len(scans), NONE, dtype=np.intp)
        found[~self._speaks(found, scans.valid_at, scans.known_at)] = NONE
        several = np.array([len(each) > 1 for each in stated], dtype=np.bool_)
        rows = np.flatnonzero(several[scans.seller]) if several.any() else np.empty(0, dtype=np.intp)
        # Numbers of two bytes are sorted in one pass.
        numbers = scans.seller[rows].astype(np.uint16 if len(stated) <= np.iinfo(np.uint16).max else np.intp)
        order = np.argsort(numbers, kind="stable")
        sellers, starts = np.unique(numbers[order], return_index=True)
        for seller, some in zip(sellers.tolist(), np.split(rows[order], starts[1:]), strict=False):
            found[some] = self._of(stated[seller], scans.valid_at[some], scans.known_at[some])
        return found

    def _stated(self, seller: Seller) -> list[int]:
        """Return the versions that may hold for a seller; later ones in the list take the place of earlier ones."""
        dealer, channel, line = seller
        return [
            number
            for each in dict.fromkeys((None, line))
            for number in self._by_seller.get((dealer, channel, each), ())
        ]

    def _of(self, stated: list[int], valid_at: Times, known_at: Times) -> Indexes:
        found = np.full(len(valid_at), NONE, dtype=np.intp)
        for number in stated:
            found[self._speaks(number, valid_at, known_at)] = number
        return found

    def _speaks(self, numbers: Indexes | int, valid_at: Times, known_at: Times) -> BoolArray:
        if not len(self._from):
            return np.zeros(len(valid_at), dtype=np.bool_)
        known = self._recorded[numbers] <= known_at
        found: BoolArray = known & (self._from[numbers] <= valid_at) & (valid_at < self._to[numbers])
        return found
