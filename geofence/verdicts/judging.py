"""Whole columns of scans judged at once; `check` puts what is found here into words."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from geofence.coordinates import BoolArray, FloatArray
from geofence.finding import Policy
from geofence.geometry.border import Discs, Forest
from geofence.geometry.disc import REACH
from geofence.geometry.probability import EVEN, NORMAL, Kind, off_border, share_within
from geofence.territory import TerritoryBook
from geofence.verdicts.columns import INSIDE, NONE, OUTSIDE, UNCERTAIN, Codes, Indexes, Judged, Pairs, Scans
from geofence.verdicts.covering import Covering
from geofence.verdicts.in_force import Timeline

# A coast or a land border ends the map, not the error disc. Goods are rarely scanned beyond it, and maps draw quays
# and filled land late, so a place out there weighs a tenth of a place on the map.
OFF_MAP_WEIGHT: Final = 0.1
_TINY: Final = np.finfo(np.float64).tiny
# What is held in memory at once.
_CHUNK: Final = 1 << 16


def judge(book: TerritoryBook, scans: Scans, policy: Policy) -> Judged:
    """Judge each scan against the territory of its seller.

    Raises UnknownAdcodeError for a version that the map does not know.
    """
    starts = range(0, max(len(scans), 1), _CHUNK)
    found = [_judge(book, scans.taken(slice(start, start + _CHUNK)), policy) for start in starts]
    names = ("verdict", "p_inside", "distance_m", "version", "county")
    return Judged(*(np.concatenate([getattr(each, name) for each in found]) for name in names))


def _judge(book: TerritoryBook, scans: Scans, policy: Policy) -> Judged:
    version = book.kept(timeline).in_force(scans)
    covering = Covering.of(book, scans.lon, scans.lat)
    p_inside, distance = np.full(len(scans), np.nan), np.full(len(scans), np.nan)
    county = _first(covering.counties, len(scans))
    held = _Held.of(book, version)
    inside, favoured = held.inside(covering, version)
    # On a shared border the county in the dealer's favour is named: the border counts as inside.
    county = np.where(favoured == NONE, county, favoured)
    for drawn in (False, True):
        rows = np.flatnonzero((version != NONE) & (held.drawn[version] == drawn))
        if len(rows):
            p_inside[rows], distance[rows] = held.p_inside(scans.taken(rows), version[rows], inside[rows])
    return Judged(verdicts(p_inside, scans, policy), p_inside, distance, version, county)


def timeline(book: TerritoryBook) -> Timeline:
    """Return which versions of a book are in force when."""
    return Timeline(book.versions)


def verdicts(p_inside: FloatArray, scans: Scans, policy: Policy) -> Codes:
    """Return the verdict for each probability; NaN is uncertain.

    The area of a base station accuses only where no part of it lies in the territory.
    """
    found = np.full(len(p_inside), UNCERTAIN, dtype=np.uint8)
    found[p_inside >= policy.inside_at] = INSIDE
    found[p_inside <= np.where(scans.even_m > 0, 0.0, policy.outside_at)] = OUTSIDE
    return found


def _first(pairs: Pairs, count: int) -> Indexes:
    found = np.full(count, NONE, dtype=np.intp)
    found[pairs.scans[::-1]] = pairs.things[::-1]  # the first of several is written last
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What the versions of a book hold; `place` leads from a version's number to its row of `masks`."""

    book: TerritoryBook
    place: Indexes
    masks: BoolArray
    drawn: BoolArray

    @classmethod
    def of(cls, book: TerritoryBook, version: Indexes) -> "_Held":
        """Return it for the versions that are asked about; the last row stands for none."""
        numbers = np.unique(version[version != NONE])
        place = np.full(len(book.versions) + 1, len(numbers), dtype=np.intp)
        place[numbers] = np.arange(len(numbers))
        masks = np.zeros((len(numbers) + 1, book.atoms.atom_count), dtype=np.bool_)
        drawn = np.zeros(len(book.versions) + 1, dtype=np.bool_)
        for row, number in enumerate(numbers.tolist()):
            masks[row] = book.mask(book.versions[number])
            drawn[number] = book.versions[number].polygon is not None
        return cls(book, place, masks, drawn)

    def inside(self, covering: Covering, version: Indexes) -> tuple[BoolArray, Indexes]:
        """Tell which points lie in their territory, and in which of its counties."""
        counties, drawn = covering.counties, covering.drawn
        mine = counties.matching(self.masks[self.place[version[counties.scans]], counties.things])
        favoured = _first(mine, len(version))
        inside = favoured != NONE
        inside[drawn.scans[drawn.things == version[drawn.scans]]] = True
        return inside, favoured

    def p_inside(self, scans: Scans, version: Indexes, inside: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of each error disc in its territory, and the signed distance of its centre.

        The versions all hold counties alone, or all have a polygon.
        """
        numbers, at = np.unique(version, return_inverse=True)
        forest, trees = self.book.borders([self.book.versions[number] for number in numbers.tolist()])
        metres = forest.nearest(trees[at], scans.lon, scans.lat).metres
        share = inside.astype(np.float64)
        even = scans.even_m > 0
        for rows, unit, kind in (
            (np.flatnonzero(~even & (metres < REACH * scans.sigma_m)), scans.sigma_m, NORMAL),
            (np.flatnonzero(even & (metres < scans.even_m)), scans.even_m, EVEN),
        ):
            if len(rows):
                discs = off_border(Discs(scans.lon[rows], scans.lat[rows], unit[rows]), metres[rows])
                share[rows] = self._share((forest, trees[at[rows]]), discs, version[rows], kind)
        return share, np.where(inside, -metres, metres)

    def _share(self, borders: tuple[Forest, Indexes], discs: Discs, version: Indexes, kind: Kind) -> FloatArray:
        covering = Covering.of(self.book, discs.lon, discs.lat)
        share = share_within(borders, discs, self.inside(covering, version)[0], kind)
        if self.drawn[version[0]]:
            return share  # who draws a border says how far out to sea it goes
        known = np.clip(self._on_map(discs, covering, kind), share, 1.0)
        return share / np.maximum(known + OFF_MAP_WEIGHT * (1.0 - known), _TINY)

    def _on_map(self, discs: Discs, covering: Covering, kind: Kind) -> FloatArray:
        """Return the share of each disc that lies on the map."""
        atoms, count = self.book.atoms, len(discs.lon)
        forest, (coast,) = atoms.borders([np.ones(atoms.atom_count, dtype=np.bool_)])
        known = (np.bincount(covering.counties.scans, minlength=count) > 0).astype(np.float64)
        near = np.flatnonzero(forest.beyond(np.full(count, coast), discs, *kind))
        if len(near):
            tree = np.full(len(near), coast)
            some = Discs(*(each[near] for each in discs))
            some = off_border(some, forest.nearest(tree, some.lon, some.lat).metres)
            points, _ = atoms.covering(some.lon, some.lat)
            known[near] = share_within((forest, tree), some, np.bincount(points, minlength=len(near)) > 0, kind)
        return known
