"""Borders of many areas: how far away each is, and how much of an error disc lies beyond it.

Neighbouring edges lie in boxes, and those in larger ones, so that most edges are never looked at. The points of a call
may each ask about another area's border: the steps are taken for all of them together.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geofence.coordinates import FloatArray
from geofence.geometry.disc import Rule
from geofence.geometry.metric import metres_per_degree, segment_m

Segments: TypeAlias = NDArray[np.float64]
Indexes: TypeAlias = NDArray[np.intp]
Ids: TypeAlias = NDArray[np.int32]
_FAN: Final = 16
_LEAF: Final = np.arange(_FAN)
# So many points at once stay in the caches.
_CHUNK: Final = 1 << 13
# A border takes some 5 kB where territories are as large as cities.
_MOST_TREES: Final = 1 << 14
# What rounding and the bending of the metric between a box's corners could cost a lower bound.
_SAFE: Final = 0.98
# Metres of a degree on the equator: along it 111,320, across it 110,574. The difference is within that margin.
_EQUATOR_M: Final = 111_000.0
_HALF_TURN: Final = 180.0
# What fills up a box: so far beyond the pole that it is never met nor the nearest.
_FAR_AWAY: Final = np.array([[0.0], [1e6], [0.0], [1e6]])


class Nearest(NamedTuple):
    """Metres to the nearest edge for each point, and the (point, edge) pairs that are as near as that.

    Edges are numbered as in `Forest`.
    """

    metres: FloatArray
    points: Indexes
    edges: Ids


class Discs(NamedTuple):
    """Centres in WGS-84 degrees, and the unit in metres: a normal's sigma per axis, or an even disc's radius."""

    lon: FloatArray
    lat: FloatArray
    unit_m: FloatArray

    def part(self, part: slice) -> "Discs":
        """Return some of the discs."""
        return Discs(self.lon[part], self.lat[part], self.unit_m[part])


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One area's border: numbers of edges, complemented where the interior is on their right, with their boxes."""

    edges: Ids
    boxes: FloatArray
    large: FloatArray

    @classmethod
    def of(cls, table: FloatArray, edges: Ids) -> "Tree":
        """Return the border made of some columns of a table; those that follow one another are near to each other."""
        rows = table[:, np.where(edges < 0, ~edges, edges)]
        boxes = _boxes(np.minimum(rows[:2], rows[2:]), np.maximum(rows[:2], rows[2:]))
        large = _boxes(boxes[:2], boxes[2:])
        missing = large.shape[1] * _FAN - boxes.shape[1]
        boxes = np.concatenate([boxes, np.repeat(_FAR_AWAY, missing, axis=1)], axis=1)
        return cls(np.append(edges, np.zeros(boxes.shape[1] * _FAN - len(edges), dtype=np.int32)), boxes, large)


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """The borders of areas over one table of edges, shape (4, n): lon, lat, lon, lat in degrees.

    Edges are numbered from 1; the first column of the table is `table_of`'s own.
    """

    table: FloatArray
    _edges: Ids
    _boxes: FloatArray
    _large: FloatArray
    _starts: Indexes

    @classmethod
    def of(cls, table: FloatArray, trees: Sequence[Tree]) -> "Forest":
        """Return the borders numbered as they are listed."""
        none = np.empty((4, 0))
        starts = np.cumsum([0, *(tree.large.shape[1] for tree in trees)])
        return cls(
            table,
            np.concatenate([np.empty(0, dtype=np.int32), *(tree.edges for tree in trees)]),
            np.concatenate([none, *(tree.boxes for tree in trees)], axis=1),
            np.concatenate([none, *(tree.large for tree in trees)], axis=1),
            starts,
        )

    def nearest(self, trees: Indexes, lons: FloatArray, lats: FloatArray) -> Nearest:
        """Return how near the border `trees[i]` is to WGS-84 point i; without edges it is infinitely far."""
        parts = [self._nearest(trees[part], lons[part], lats[part]) for part in _parts(len(lons))]
        starts = np.cumsum([0, *(len(part.metres) for part in parts)])
        points = [part.points + start for part, start in zip(parts, starts[:-1], strict=True)]
        edges = np.concatenate([part.edges for part in parts])
        return Nearest(np.concatenate([part.metres for part in parts]), np.concatenate(points), edges)

    def beyond(self, trees: Indexes, discs: Discs, rule: Rule, reach: float) -> FloatArray:
        """Return for each disc the sum of `rule` over the edges of its border that are within `reach` units.

        The share of a disc within an area is 1 where its centre lies inside, 0 elsewhere, less this sum.
        """
        found = [self._beyond(trees[part], discs.part(part), rule, reach) for part in _parts(len(trees))]
        return np.concatenate(found)

    def _roots(self, trees: Indexes) -> tuple[Indexes, Indexes]:
        """Return (point, large box) pairs of all large boxes that each point has to do with."""
        first = self._starts[trees]
        count = self._starts[trees + 1] - first
        point = np.repeat(np.arange(len(trees)), count)
        return point, np.arange(len(point)) + np.repeat(first - np.cumsum(count) + count, count)

    def _nearest(self, trees: Indexes, lon: FloatArray, lat: FloatArray) -> Nearest:
        upper = np.full(len(lon), np.inf)
        point, large = self._roots(trees)
        lower = _lower_m(self._large[:, large], lon[point], lat[point])
        # The nearest box of the nearest box gives a first bound, which leaves few others to look at.
        first = _least(lower, point, len(lon))
        some, box = point[first], _leaves(large[first])
        inner = _lower_m(self._boxes[:, box], lon[some, None], lat[some, None])
        self._shorten(upper, some, box[np.arange(len(box)), inner.argmin(axis=1)], (lon, lat))
        near = lower <= upper[point]
        point, box = point[near], _leaves(large[near])
        row, column = np.nonzero(
            _lower_m(self._boxes[:, box], lon[point, None], lat[point, None]) <= upper[point, None]
        )
        point, box = point[row], box[row, column]
        edges, metres = self._shorten(upper, point, box, (lon, lat))
        at, which = np.nonzero(metres == upper[point, None])
        return Nearest(upper, point[at], edges[at, which])

    def _shorten(
        self, upper: FloatArray, point: Indexes, box: Indexes, place: tuple[FloatArray, FloatArray]
    ) -> tuple[Ids, FloatArray]:
        """Lower `upper` to the distances of the boxes' edges, which are returned too, shape (pairs, 16)."""
        edges = self._edges[_leaves(box)]
        ends = self.table[:, np.where(edges < 0, ~edges, edges)]
        metres = segment_m((place[0][point, None], place[1][point, None]), ends)
        np.minimum.at(upper, point, metres.min(axis=1))
        return edges, metres

    def _beyond(self, trees: Indexes, discs: Discs, rule: Rule, reach: float) -> FloatArray:
        lon, lat, unit = discs
        east, north = metres_per_degree(lat)
        window = (lon, lat, reach * unit / east, reach * unit / north)
        point, large = self._roots(trees)
        near = np.flatnonzero(_meets(self._large[:, large], window, point))
        point, box = point[near], _leaves(large[near])
        row, column = np.nonzero(_meets(self._boxes[:, box], window, point[:, None]))
        point, edge = np.repeat(point[row], _FAN), self._edges[_leaves(box[row, column])].ravel()
        turned = edge < 0
        ends = self.table[:, np.where(turned, ~edge, edge)]
        met = np.flatnonzero(_touches(ends, window, point))
        point, ends = point[met], ends[:, met]
        x, y, right, up = lon[point], lat[point], (east / unit)[point], (north / unit)[point]
        start = _wrapped(ends[0] - x)
        seen = start * right, (ends[1] - y) * up, (start + ends[2] - ends[0]) * right, (ends[3] - y) * up
        shares = np.where(turned[met], -1.0, 1.0) * rule(seen)
        return np.bincount(point, weights=shares, minlength=len(lon)).astype(np.float64, copy=False)


class Grove:
    """A forest that grows as borders are asked for; threads may share it."""

    def __init__(self, ends: Segments) -> None:
        self._table = table_of(ends)
        self._trees: list[Tree] = []
        self._numbers: dict[Hashable, int] = {}
        self._forest = Forest.of(self._table, [])
        self._turn = threading.Lock()

    def borders(self, keys: Sequence[Hashable], make: Callable[[int], Ids | Segments]) -> tuple[Forest, Indexes]:
        """Return a forest and the numbers of some borders in it.

        `make` is asked for those that are new, by their place in `keys`: for numbers of edges, or for edges of their
        own, shape (n, 4), walked with the interior on the left.
        """
        with self._turn:
            if len(self._trees) > _MOST_TREES:
                self._trees, self._numbers = [], {}
            known = len(self._trees)
            for place, key in enumerate(keys):
                if key not in self._numbers:
                    self._trees.append(self._planted(make(place)))
                    self._numbers[key] = len(self._trees) - 1
            if len(self._trees) > known:
                self._forest = Forest.of(self._table, self._trees)
            return self._forest, np.array([self._numbers[key] for key in keys], dtype=np.intp)

    def _planted(self, made: Ids | Segments) -> Tree:
        if made.ndim == 1:
            return Tree.of(self._table, made.astype(np.int32))
        first = self._table.shape[1]
        self._table = np.concatenate([self._table, made.T], axis=1)
        return Tree.of(self._table, np.arange(first, first + len(made), dtype=np.int32))


def table_of(ends: Segments) -> FloatArray:
    """Return edges, shape (n, 4), as the table of a forest."""
    return np.concatenate([_FAR_AWAY, ends.T], axis=1)


Window: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, max(count, 1), _CHUNK)]


def _boxes(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the boxes around each 16 of those given, shape (4, n): west, south, east, north."""
    starts = np.arange(0, low.shape[1], _FAN)
    if not len(starts):
        return np.empty((4, 0))
    return np.concatenate([np.minimum.reduceat(low, starts, axis=1), np.maximum.reduceat(high, starts, axis=1)])


def _leaves(boxes: Indexes) -> Indexes:
    found: Indexes = boxes[:, None] * _FAN + _LEAF
    return found


def _least(values: FloatArray, group: Indexes, count: int) -> Indexes:
    """Return the places of the least values of each group."""
    least = np.full(count, np.inf)
    np.minimum.at(least, group, values)
    return np.flatnonzero(values == least[group])


def _wrapped(degrees: FloatArray) -> FloatArray:
    if np.abs(degrees).max(initial=0.0) <= _HALF_TURN:
        return degrees  # nearly always, and a division is slow
    found: FloatArray = (degrees + 180.0) % 360.0 - 180.0
    return found


def _lower_m(boxes: FloatArray, lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Return metres that no point of a box is nearer than."""
    west, south, east, north = boxes
    across = np.maximum(np.abs(_wrapped((west + east) / 2 - lon)) - (east - west) / 2, 0.0)
    along = np.maximum(np.maximum(south - lat, lat - north), 0.0)
    # A degree of longitude is shortest at the middle latitude that is nearest to a pole.
    highest = np.maximum(np.abs(lat + south), np.abs(lat + north)) / 2
    across *= np.cos(np.radians(np.minimum(highest, 90.0)))
    found: FloatArray = _SAFE * _EQUATOR_M * np.sqrt(across * across + along * along)
    return found


def _meets(boxes: FloatArray, window: Window, point: Indexes) -> NDArray[np.bool_]:
    west, south, east, north = boxes
    lon, lat, across, along = (each[point] for each in window)
    beside = np.abs(_wrapped((west + east) / 2 - lon)) <= (east - west) / 2 + across
    found: NDArray[np.bool_] = beside & (south <= lat + along) & (north >= lat - along)
    return found


def _touches(ends: FloatArray, window: Window, point: Indexes) -> NDArray[np.bool_]:
    return _meets(np.concatenate([np.minimum(ends[:2], ends[2:]), np.maximum(ends[:2], ends[2:])]), window, point)
