"""Who may sell at a place: the dealers entitled on the spot, or else the nearest one."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from geofence.coordinates import FloatArray
from geofence.fences import Fence
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from geofence.verdicts.columns import NONE, Indexes, Pairs, Scans, Times, microseconds, moment_of
from geofence.verdicts.covering import Covering, parts

_MARKETS_KEPT: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Legal:
    """Dealers by scan: those of scan i are `dealers[starts[i]:starts[i + 1]]`, numbers of `names`, ascending.

    `nearest` is the nearest of all and `metres` how far its territory is: 0 where somebody is entitled on the spot, and
    then it is the scan's own seller if that is among them. `NONE` and infinity where nobody has a territory.
    """

    names: tuple[str, ...]
    starts: Indexes
    dealers: Indexes
    nearest: Indexes
    metres: FloatArray


def legal(book: TerritoryBook, scans: Scans) -> Legal:
    """Return who may sell where each scan was seen, in its channel and product line and at its time."""
    return book.kept(_Directory).legal(scans)


class _Directory:
    """The markets of a book that were asked for last. A market lasts from one change of any version to the next."""

    def __init__(self, book: TerritoryBook) -> None:
        self._book = book
        self._names = tuple(sorted({each.dealer for each in book.versions}))
        self._numbers = {name: number for number, name in enumerate(self._names)}
        ends = {each.valid_to for each in book.versions if each.valid_to is not None}
        self._changes = np.array(
            sorted({microseconds(each) for each in ends | {each.valid_from for each in book.versions}}), dtype=np.int64
        )
        recorded = {microseconds(each.recorded_at) for each in book.versions}
        self._recorded = np.array(sorted(recorded), dtype=np.int64)
        self._markets: OrderedDict[tuple[str, str | None, int, int], _Market] = OrderedDict()
        self._turn = threading.Lock()

    def legal(self, scans: Scans) -> Legal:
        nearest, metres = np.full(len(scans), NONE, dtype=np.intp), np.full(len(scans), np.inf)
        order, starts = self._grouped(scans)
        grouped = scans.taken(order)
        covering = Covering.of(self._book, grouped.lon, grouped.lat)
        found: list[Pairs] = []
        for part in parts(starts, len(scans)):
            market = self._market(grouped, part.start)
            rows = order[part]
            here = market.dealers(covering.part(part))
            found.append(Pairs(rows[here.scans], here.things))
            lost = rows[np.bincount(here.scans, minlength=len(rows)) == 0]
            nearest[lost], metres[lost] = market.nearest(scans.lon[lost], scans.lat[lost])
        pairs = _sorted(found)
        first = np.searchsorted(pairs.scans, np.arange(len(scans) + 1))
        self._entitled(scans, pairs, nearest, metres)
        return Legal(self._names, first, pairs.things, nearest, metres)

    def _entitled(self, scans: Scans, pairs: Pairs, nearest: Indexes, metres: FloatArray) -> None:
        """Enter the first of the dealers on the spot, and in its place the scan's own."""
        own = np.array([self._numbers.get(dealer, NONE) for dealer, _, _ in scans.sellers], dtype=np.intp)
        nearest[pairs.scans[::-1]] = pairs.things[::-1]
        metres[pairs.scans] = 0.0
        mine = pairs.scans[pairs.things == own[scans.seller[pairs.scans]]] if len(own) else pairs.scans
        nearest[mine] = own[scans.seller[mine]]

    def _grouped(self, scans: Scans) -> tuple[Indexes, Indexes]:
        """Return the order of scans by market, and where each market starts in it."""
        sorts = list(dict.fromkeys((channel, line or "") for _, channel, line in scans.sellers))
        sort = np.array([sorts.index((channel, line or "")) for _, channel, line in scans.sellers], dtype=np.intp)
        valid = np.searchsorted(self._changes, scans.valid_at, side="right")
        known = np.searchsorted(self._recorded, scans.known_at, side="right")
        key = (sort[scans.seller] * (len(self._changes) + 1) + valid) * (len(self._recorded) + 1) + known
        order = np.argsort(key, kind="stable")
        return order, np.unique(key[order], return_index=True)[1]

    def _market(self, scans: Scans, row: int) -> "_Market":
        dealer, channel, line = scans.sellers[int(scans.seller[row])]
        valid, known = int(scans.valid_at[row]), int(scans.known_at[row])
        key = (channel, line, _after(self._changes, valid), _after(self._recorded, known))
        with self._turn:
            market = self._markets.get(key)
        if market is None:
            asked = Query(dealer, moment_of(valid), moment_of(known), channel, line)
            market = _Market(self._book, self._book.all_in_force(asked), self._numbers)
        with self._turn:
            self._markets[key] = market
            self._markets.move_to_end(key)
            if len(self._markets) > _MARKETS_KEPT:
                self._markets.popitem(last=False)
        return market


def _after(changes: Times, time: int) -> int:
    return int(np.searchsorted(changes, time, side="right"))


class _Market:
    """The versions in force at one moment, by county."""

    def __init__(self, book: TerritoryBook, versions: Sequence[TerritoryVersion], numbers: dict[str, int]) -> None:
        self._book = book
        self._versions = versions
        self._numbers = numbers
        counties = [np.flatnonzero(book.mask(each)) for each in versions]
        county = np.concatenate([np.empty(0, dtype=np.intp), *counties])
        dealer = np.repeat([numbers[each.dealer] for each in versions], [len(each) for each in counties])
        order = np.argsort(county, kind="stable")  # dealers come in their order
        self._members = dealer[order].astype(np.intp)
        self._starts = np.searchsorted(county[order], np.arange(book.atoms.atom_count + 1))
        # Who drew a polygon, by the number of the version; NONE for versions that are not in force.
        self._drawers = np.full(len(book.versions), NONE, dtype=np.intp)
        in_force = {id(each) for each in versions if each.polygon is not None}
        for number, each in enumerate(book.versions if in_force else ()):
            if id(each) in in_force:
                self._drawers[number] = numbers[each.dealer]

    def dealers(self, covering: Covering) -> Pairs:
        """Return (point, dealer) numbers of everyone entitled, each once, in order."""
        counties, drawn = covering.counties, covering.drawn
        first = self._starts[counties.things]
        count = self._starts[counties.things + 1] - first
        place = np.repeat(np.arange(len(count)), count)
        within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
        by_county = Pairs(counties.scans[place], self._members[first[place] + within])
        drawers = Pairs(drawn.scans, self._drawers[drawn.things])
        return _sorted([by_county, drawers.matching(drawers.things != NONE)])

    def nearest(self, lon: FloatArray, lat: FloatArray) -> tuple[Indexes, FloatArray]:
        """Return for points where nobody is entitled the nearest dealer and the metres to its territory."""
        found, metres = np.full(len(lon), NONE, dtype=np.intp), np.full(len(lon), np.inf)
        if not len(lon):
            return found, metres
        forest, (tree,) = self._book.atoms.borders([np.diff(self._starts) > 0])
        near = forest.nearest(np.full(len(lon), tree), lon, lat)
        metres[:] = near.metres
        dealers = self._members[self._starts[self._book.atoms.lines().inner(near.edges)]]
        order = np.lexsort((-dealers, near.points))  # the least number is written last
        found[near.points[order]] = dealers[order]
        for dealer, drawn in self._drawn:
            far = drawn.distance_m(lon, lat)
            closer = (far < metres) | ((far == metres) & (dealer < found))
            found[closer], metres[closer] = dealer, far[closer]
        return found, metres

    @cached_property
    def _drawn(self) -> list[tuple[int, Fence]]:
        return [
            (self._numbers[each.dealer], Fence(each.polygon)) for each in self._versions if each.polygon is not None
        ]


def _sorted(found: Sequence[Pairs]) -> Pairs:
    """Return all pairs once each, in order."""
    none = np.empty(0, dtype=np.intp)
    scans = np.concatenate([none, *(each.scans for each in found)])
    things = np.concatenate([none, *(each.things for each in found)])
    order = np.lexsort((things, scans))
    scans, things = scans[order], things[order]
    fresh = np.ones(len(scans), dtype=np.bool_)
    fresh[1:] = (np.diff(scans) != 0) | (np.diff(things) != 0)
    return Pairs(scans[fresh], things[fresh])
