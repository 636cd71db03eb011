"""The border of one area: how far away it is, and how much of an error disc lies beyond it.

Neighbouring edges lie in boxes, and those in larger ones, so that most edges are never looked at.
"""

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geofence.coordinates import FloatArray
from geofence.disc import Rule
from geofence.metric import metres_per_degree, segment_m

Segments: TypeAlias = NDArray[np.float64]
Indexes: TypeAlias = NDArray[np.intp]
_FAN: Final = 16
_LEAF: Final = np.arange(_FAN)
# So many comparisons at once stay in the caches.
_MOST_PAIRS: Final = 1 << 18
# What rounding and the bending of the metric between a box's corners could cost a lower bound.
_SAFE: Final = 0.98


class Nearest(NamedTuple):
    """Metres to the nearest edge for each point, and the (point, edge) pairs that are as near as that."""

    metres: FloatArray
    points: Indexes
    edges: Indexes


class Border:
    """Edges in degrees, shape (n, 4): lon, lat, lon, lat, walked with the interior on the left; neighbours adjoin."""

    def __init__(self, ends: Segments) -> None:
        self.count = len(ends)
        missing = -len(ends) % (_FAN * _FAN)
        # Edges of no length fill the last boxes: they are no nearer than the point that they repeat.
        padded = np.concatenate([ends, np.tile(ends[-1:, 2:], (missing, 2))]) if len(ends) else ends
        self._edges = np.ascontiguousarray(padded.T)
        low, high = np.minimum(self._edges[:2], self._edges[2:]), np.maximum(self._edges[:2], self._edges[2:])
        self._boxes = _boxes(low, high)
        self._large = _boxes(self._boxes[:2], self._boxes[2:])

    @property
    def ends(self) -> Segments:
        """The edges, as they were given."""
        return self._edges.T[: self.count]

    def nearest(self, lons: FloatArray, lats: FloatArray) -> Nearest:
        """Return how near the border is to WGS-84 points, shape (n,); without edges it is infinitely far."""
        if not self.count:
            none = np.empty(0, dtype=np.intp)
            return Nearest(np.full(len(lons), np.inf), none, none)
        parts = [self._nearest(lons[part], lats[part]) for part in self._parts(len(lons))]
        starts = np.cumsum([0, *(len(part.metres) for part in parts)])
        points = [part.points + start for part, start in zip(parts, starts[:-1], strict=True)]
        edges = np.concatenate([part.edges for part in parts])
        return Nearest(np.concatenate([part.metres for part in parts]), np.concatenate(points), edges)

    def beyond(self, place: tuple[FloatArray, FloatArray, FloatArray], rule: Rule, reach: float) -> FloatArray:
        """Return the sum of `rule` over all edges near each point, shape (n,).

        `place` is lon, lat in degrees and the unit in metres; edges further away than `reach` units are left out.
        The share of a disc within the area is 1 where its centre lies inside, 0 elsewhere, less this sum.
        """
        lon, lat, unit = place
        if not self.count:
            return np.zeros(len(lon))
        found = [self._beyond((lon[part], lat[part], unit[part]), rule, reach) for part in self._parts(len(lon))]
        return np.concatenate(found)

    def _parts(self, count: int) -> list[slice]:
        step = max(1, _MOST_PAIRS // self._large.shape[1])
        return [slice(start, start + step) for start in range(0, max(count, 1), step)]

    def _nearest(self, lon: FloatArray, lat: FloatArray) -> Nearest:
        every = np.arange(len(lon))
        lower = _lower_m(self._large, lon[:, None], lat[:, None])
        upper = np.full(len(lon), np.inf)
        first = lower.argmin(axis=1)
        # The nearest box of the nearest box gives a first bound, which leaves few others to look at.
        box = _leaves(first)
        inner = _lower_m(self._boxes[:, box], lon[:, None], lat[:, None])
        self._shorten(upper, (every, box[every, inner.argmin(axis=1)]), (lon, lat))
        point, large = np.nonzero(lower <= upper[:, None])
        boxes = _leaves(large)
        near = _lower_m(self._boxes[:, boxes], lon[point, None], lat[point, None]) <= upper[point, None]
        row, column = np.nonzero(near)
        pairs = point[row], boxes[row, column]
        edges, metres = self._shorten(upper, pairs, (lon, lat))
        at, which = np.nonzero(metres == upper[pairs[0], None])
        return Nearest(upper, pairs[0][at], np.minimum(edges[at, which], self.count - 1))

    def _shorten(
        self, upper: FloatArray, pairs: tuple[Indexes, Indexes], place: tuple[FloatArray, FloatArray]
    ) -> tuple[Indexes, FloatArray]:
        """Lower `upper` to the distances of the boxes' edges, which are returned too, shape (pairs, 16)."""
        point, box = pairs
        edges = _leaves(box)
        metres = segment_m((place[0][point, None], place[1][point, None]), self._edges[:, edges])
        np.minimum.at(upper, point, metres.min(axis=1))
        return edges, metres

    def _beyond(self, place: tuple[FloatArray, FloatArray, FloatArray], rule: Rule, reach: float) -> FloatArray:
        lon, lat, unit = place
        east, north = metres_per_degree(lat)
        window = (lon, lat, reach * unit / east, reach * unit / north)
        point, large = np.nonzero(_meets(self._large, window, np.arange(len(lon))[:, None]))
        box = _leaves(large)
        row, column = np.nonzero(_meets(self._boxes[:, box], window, point[:, None]))
        point, edge = point[row], _leaves(box[row, column])
        row, column = np.nonzero(_touches(self._edges[:, edge], window, point[:, None]))
        point, edge = point[row], edge[row, column]
        x_0, y_0, x_1, y_1 = self._edges[:, edge]
        x, y, right, up = lon[point], lat[point], (east / unit)[point], (north / unit)[point]
        start = _wrapped(x_0 - x)
        ends = start * right, (y_0 - y) * up, (start + x_1 - x_0) * right, (y_1 - y) * up
        found: FloatArray = np.bincount(point, weights=rule(ends), minlength=len(lon)).astype(np.float64)
        return found


Window: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _boxes(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the boxes around each 16 of those given, shape (4, n): west, south, east, north."""
    grouped = low.reshape(2, -1, _FAN).min(axis=2), high.reshape(2, -1, _FAN).max(axis=2)
    return np.concatenate(grouped) if low.size else np.empty((4, 0))


def _leaves(boxes: Indexes) -> Indexes:
    found: Indexes = boxes[:, None] * _FAN + _LEAF
    return found


def _wrapped(degrees: FloatArray) -> FloatArray:
    found: FloatArray = (degrees + 180.0) % 360.0 - 180.0
    return found


def _lower_m(boxes: FloatArray, lon: FloatArray, lat: FloatArray) -> FloatArray:
    """Return metres that no point of a box is nearer than."""
    west, south, east, north = boxes
    across = np.maximum(np.abs(_wrapped((west + east) / 2 - lon)) - (east - west) / 2, 0.0)
    along = np.maximum(np.maximum(south - lat, lat - north), 0.0)
    # A degree of longitude is shortest, and one of latitude longest, at the middle latitude nearest to a pole.
    highest = np.maximum(np.abs(lat + south), np.abs(lat + north)) / 2
    shortest = np.cos(np.radians(np.minimum(highest, 90.0))) * _EQUATOR_M
    found: FloatArray = _SAFE * np.hypot(across * shortest, along * _EQUATOR_M)
    return found


# Metres of a degree on the equator: along it 111,320, across it 110,574. The difference is within the safety margin.
_EQUATOR_M: Final = 111_000.0


def _meets(boxes: FloatArray, window: Window, point: Indexes) -> NDArray[np.bool_]:
    west, south, east, north = boxes
    lon, lat, across, along = (each[point] for each in window)
    beside = np.abs(_wrapped((west + east) / 2 - lon)) <= (east - west) / 2 + across
    found: NDArray[np.bool_] = beside & (south <= lat + along) & (north >= lat - along)
    return found


def _touches(edges: FloatArray, window: Window, point: Indexes) -> NDArray[np.bool_]:
    low, high = np.minimum(edges[:2], edges[2:]), np.maximum(edges[:2], edges[2:])
    return _meets(np.concatenate([low, high]), window, point)
