"""Past scans under another book of territories: which verdicts change.

Where the error of a position reaches no edge that is part of one territory's border and not of the other's, either both
hold the same of it, or one holds all of it and the other nothing: that is a look-up. Only the rest is judged again.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from geofence.finding import DEFAULT_POLICY
from geofence.geometry.disc import REACH
from geofence.maps.boundary import Segments
from geofence.proposed.clearance import Clearance
from geofence.territory import Seller, TerritoryBook, TerritoryVersion
from geofence.verdicts.columns import INSIDE, NONE, OUTSIDE, UNCERTAIN, Codes, Indexes, Scans
from geofence.verdicts.covering import Covering
from geofence.verdicts.judging import judge, timeline

_CHUNK: Final = 1 << 19
# A raster takes some milliseconds: fewer scans are judged sooner.
_FEW: Final = 2_000
Side: TypeAlias = tuple[TerritoryBook, int]


class Changes(NamedTuple):
    """Scans whose verdict is another one: their rows, ascending, and both verdicts as numbers of `VERDICTS`.

    `judged` is how many had to be judged again to know.
    """

    rows: Indexes
    before: Codes
    after: Codes
    judged: int


def recheck(before: TerritoryBook, after: TerritoryBook, scans: Scans) -> Changes:
    """Return the scans that two books over one map judge differently: the same as judging all of them twice."""
    pair = _Pair(before, after)
    concerned = np.array([pair.differs(each) for each in scans.sellers], dtype=np.bool_)
    none = np.empty(0, dtype=np.uint8)
    found = [Changes(np.empty(0, dtype=np.intp), none, none, 0)]
    for start in range(0, len(scans), _CHUNK):
        rows = start + np.flatnonzero(concerned[scans.seller[start : start + _CHUNK]])
        if len(rows):
            found += [each._replace(rows=rows[each.rows]) for each in pair.changes(scans.taken(rows))]
    rows, was, now = (np.concatenate(columns) for columns in list(zip(*found, strict=True))[:3])
    order = np.argsort(rows, kind="stable")
    return Changes(rows[order], was[order], now[order], sum(each.judged for each in found))


@dataclass(frozen=True, slots=True, eq=False)
class _Difference:
    """Two versions: what each says of positions that reach none of the edges in which their borders differ."""

    sides: tuple[Side, Side]
    clearance: Clearance

    @classmethod
    def of(cls, sides: tuple[Side, Side]) -> "_Difference":
        versions = [book.versions[number] if number != NONE else None for book, number in sides]
        return cls(sides, Clearance(_edges(sides[0][0], versions)))

    def codes(self, covering: Covering, count: int) -> list[Codes]:
        """Return both verdicts."""
        found = []
        for book, number in self.sides:
            code = np.full(count, UNCERTAIN if number == NONE else OUTSIDE, dtype=np.uint8)
            if number != NONE:
                code[covering.counties.scans[book.mask(book.versions[number])[covering.counties.things]]] = INSIDE
            found.append(code)
        return found


def _edges(book: TerritoryBook, versions: list[TerritoryVersion | None]) -> Segments:
    """Return the edges of one border that are not, or the other way round, those of the other."""
    if any(each is not None and each.polygon is not None for each in versions):
        return np.concatenate([np.empty((0, 4)), *(book.border(each) for each in versions if each is not None)])
    lines = book.atoms.lines()
    first, second = (
        lines.bounding(book.mask(each)) if each is not None else np.empty(0, dtype=np.int32) for each in versions
    )
    edges = np.setxor1d(first, second)
    found: Segments = lines.ends[np.where(edges < 0, ~edges, edges) - 1]
    return found


class _Pair:
    """Two books, and the differences between their versions that were met so far."""

    def __init__(self, before: TerritoryBook, after: TerritoryBook) -> None:
        self._books = (before, after)
        self._differences: dict[tuple[int, int], _Difference] = {}
        self._met: dict[tuple[int, int], int] = defaultdict(int)
        # In their order: of two statements recorded at one moment the later one counts.
        self._names: list[dict[Seller, list[str]]] = []
        for book in self._books:
            names: dict[Seller, list[str]] = defaultdict(list)
            for each in book.versions:
                names[each.dealer, each.channel, each.product_line].append(each.sha256)
            self._names.append(names)
        digests = [each.sha256 for book in self._books for each in book.versions]
        same = {digest: number for number, digest in enumerate(dict.fromkeys(digests))}
        # The same statement in both books gets the same number.
        self._same = [np.array([*(same[each.sha256] for each in book.versions), NONE]) for book in self._books]

    def differs(self, seller: Seller) -> bool:
        """Tell whether the books say different things of a seller."""
        dealer, channel, line = seller
        first, second = self._names
        return any(first.get(key) != second.get(key) for key in ((dealer, channel, line), (dealer, channel, None)))

    def changes(self, scans: Scans) -> list[Changes]:
        """Return what changes, in no order; rows are those of `scans`."""
        was, now = (book.kept(timeline).in_force(scans) for book in self._books)
        differ = np.flatnonzero(self._same[0][was] != self._same[1][now])
        key = was[differ] * (len(self._books[1].versions) + 1) + now[differ] + 1
        found = []
        for each in np.unique(key).tolist():
            rows = differ[key == each]
            found.append(self._of(scans, rows, (int(was[rows[0]]), int(now[rows[0]]))))
        return found

    def _of(self, scans: Scans, rows: Indexes, numbers: tuple[int, int]) -> Changes:
        self._met[numbers] += len(rows)
        drawn = any(
            number != NONE and book.versions[number].polygon is not None
            for book, number in zip(self._books, numbers, strict=True)
        )
        if drawn or self._met[numbers] < _FEW:
            return self._judged(scans, rows)
        if numbers not in self._differences:
            self._differences[numbers] = _Difference.of(((self._books[0], numbers[0]), (self._books[1], numbers[1])))
        difference = self._differences[numbers]
        some = scans.taken(rows)
        near = difference.clearance.reached(some.lon, some.lat, np.maximum(REACH * some.sigma_m, some.even_m))
        covering = Covering.of(self._books[0], some.lon, some.lat)
        was, now = difference.codes(covering, len(rows))
        moved = np.flatnonzero((was != now) & ~near)
        again = self._judged(scans, rows[near])
        return Changes(
            np.concatenate([rows[moved], again.rows]),
            np.concatenate([was[moved], again.before]),
            np.concatenate([now[moved], again.after]),
            again.judged,
        )

    def _judged(self, scans: Scans, rows: Indexes) -> Changes:
        some = scans.taken(rows)
        was, now = (judge(book, some, DEFAULT_POLICY).verdict for book in self._books)
        moved = np.flatnonzero(was != now)
        return Changes(rows[moved], was[moved], now[moved], len(rows))
