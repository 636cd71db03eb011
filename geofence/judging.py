"""Whole columns of scans judged at once; `check` puts what is found here into words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from geofence.border import Border
from geofence.columns import INSIDE, NONE, OUTSIDE, UNCERTAIN, Codes, Indexes, Judged, Pairs, Scans
from geofence.coordinates import BoolArray, FloatArray
from geofence.covering import Covering, parts
from geofence.disc import REACH
from geofence.finding import Policy
from geofence.in_force import Timeline
from geofence.probability import Discs, even_within, normal_within
from geofence.territory import TerritoryBook, TerritoryVersion

# A coast or a land border ends the map, not the error disc. Goods are rarely scanned beyond it, and maps draw quays
# and filled land late, so a place out there weighs a tenth of a place on the map.
OFF_MAP_WEIGHT: Final = 0.1
_TINY: Final = np.finfo(np.float64).tiny


def judge(book: TerritoryBook, scans: Scans, policy: Policy) -> Judged:
    """Judge each scan against the territory of its seller.

    Raises UnknownAdcodeError for a version that the map does not know.
    """
    version = book.kept(timeline).in_force(scans)
    order = np.argsort(version, kind="stable")
    grouped = scans.taken(order)
    p_inside, distance = np.full(len(scans), np.nan), np.full(len(scans), np.nan)
    covering = Covering.of(book, grouped.lon, grouped.lat)
    county = _first(covering.counties, len(scans))
    numbers, starts = np.unique(version[order], return_index=True)
    for number, part in zip(numbers.tolist(), parts(starts, len(scans)), strict=True):
        if number != NONE:
            held = _Held(book, number)
            inside, favoured = held.inside(covering.part(part))
            p_inside[part], distance[part] = held.p_inside(grouped.taken(part), inside)
            # On a shared border the county in the dealer's favour is named: the border counts as inside.
            county[part] = np.where(favoured == NONE, county[part], favoured)
    back = np.empty(len(scans), dtype=np.intp)
    back[order] = np.arange(len(scans))
    p_inside = p_inside[back]
    return Judged(verdicts(p_inside, scans, policy), p_inside, distance[back], version, county[back])


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


@dataclass(frozen=True, slots=True)
class _Held:
    """What one version holds."""

    book: TerritoryBook
    number: int

    @property
    def version(self) -> TerritoryVersion:
        """The version itself."""
        return self.book.versions[self.number]

    def inside(self, covering: Covering) -> tuple[BoolArray, Indexes]:
        """Tell which points lie in the territory, and in which of its counties."""
        counties = covering.counties
        mine = counties.matching(self.book.mask(self.version)[counties.things])
        favoured = _first(mine, covering.count)
        inside = favoured != NONE
        inside[covering.drawn.scans[covering.drawn.things == self.number]] = True
        return inside, favoured

    def p_inside(self, scans: Scans, inside: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of each error disc in the territory, and the signed distance of its centre."""
        border = self.book.outline(self.version)
        metres = border.nearest(scans.lon, scans.lat).metres
        share = inside.astype(np.float64)
        even = scans.even_m > 0
        for rows, unit, within in (
            (np.flatnonzero(~even & (metres < REACH * scans.sigma_m)), scans.sigma_m, normal_within),
            (np.flatnonzero(even & (metres < scans.even_m)), scans.even_m, even_within),
        ):
            if len(rows):
                discs = Discs(scans.lon[rows], scans.lat[rows], unit[rows]).off_border(metres[rows])
                share[rows] = self._share(border, discs, within)
        return share, np.where(inside, -metres, metres)

    def _share(
        self, border: Border, discs: Discs, within: Callable[[Border, Discs, BoolArray], FloatArray]
    ) -> FloatArray:
        covering = Covering.of(self.book, discs.lon, discs.lat)
        share = within(border, discs, self.inside(covering)[0])
        if self.version.polygon is not None:
            return share  # who draws a border says how far out to sea it goes
        on_map = np.bincount(covering.counties.scans, minlength=covering.count) > 0
        known = within(self.book.atoms.outline(), discs, on_map)
        return share / np.maximum(known + OFF_MAP_WEIGHT * (1.0 - known), np.maximum(share, _TINY))
