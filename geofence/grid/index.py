"""The adaptive grid: most points are answered by one or two look-ups, the others by a few edges of their cell.

Within a cell that a boundary crosses, the set covering a point is the set covering the cell's reference point, toggled
by every edge that the path between them crosses. The path runs along the reference point's latitude and then along
the point's longitude; both legs are half-open, so that a vertex on the path is counted once. Whether an edge is crossed
follows from orientation signs (Shewchuk, Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric
Predicates, 1997); where a sign lies below its error bound, GEOS decides. So the answers are those of GEOS, everywhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geofence.coordinates import FloatArray, validated
from geofence.grid.edges import KeyArray
from geofence.grid.frame import SHIFT, Frame, expanded
from geofence.grid.sets import PolygonSets

Ids = NDArray[np.int32]
Flags = NDArray[np.bool_]
CROSSES_LINE, LEFT_OF_EDGE = 1, 2
_EPSILON = np.finfo(np.float64).eps / 2
ERROR_BOUND = (3.0 + 16.0 * _EPSILON) * _EPSILON
# A chunk's arrays stay in the second-level cache.
_CHUNK = 1 << 15


@dataclass(frozen=True, slots=True)
class Cells:
    """The grid's arrays. Values of 0 and more are set ids; below 0 stands a complemented index of the next level.

    `coarse` (rows x columns) leads to `fine` (blocks x 64), and that to the boundary cells: `starts` (cells + 1) into
    `pairs` (edge numbers) with their `flags` (CROSSES_LINE, LEFT_OF_EDGE), and the set covering the reference point in
    `keys`. `ends` and `toggles` are the edges, as in `Edges`; those of a cell lie near to each other.
    """

    coarse: Ids
    fine: Ids
    starts: Ids
    pairs: Ids
    flags: NDArray[np.uint8]
    keys: KeyArray
    ends: FloatArray
    toggles: KeyArray


class Grid:
    """Answers which polygons cover points; border points count as covered. `sets` says what its ids mean."""

    def __init__(self, frame: Frame, cells: Cells, sets: PolygonSets) -> None:
        self.frame = frame
        self.cells = cells
        self.sets = sets

    def locate(self, lons: ArrayLike, lats: ArrayLike) -> Ids:
        """Return the id of the set of polygons covering each WGS-84 point, shape (n,); 0 is the empty set.

        Raises CoordinateError naming the first point that is not finite or out of range.
        """
        lon, lat = validated(lons, lats)
        found = np.empty(len(lon), dtype=np.int32)
        for start in range(0, len(lon), _CHUNK):
            part = slice(start, start + _CHUNK)
            found[part] = self._locate(lon[part], lat[part])
        return found

    def covering(self, lons: ArrayLike, lats: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return (point, polygon) numbers of all coverings, ordered by point and then polygon. Raises likewise."""
        return self.sets.pairs(self.locate(lons, lats))

    def _locate(self, lon: FloatArray, lat: FloatArray) -> Ids:
        frame, cells = self.frame, self.cells
        scale = 1.0 / frame.side
        column = ((lon - frame.west) * scale).astype(np.int32)
        row = ((lat - frame.south) * scale).astype(np.int32)
        coarse = (row >> SHIFT) * frame.columns + (column >> SHIFT)
        beyond = (lon < frame.west) | (lat < frame.south)
        beyond |= (column >> SHIFT >= frame.columns) | (row >> SHIFT >= frame.rows)
        coarse[beyond] = 0
        found: Ids = cells.coarse.take(coarse)
        found[beyond] = 0
        deeper = np.flatnonzero(found < 0)
        if not len(deeper):
            return found
        within = ((row.take(deeper) & 7) << SHIFT) + (column.take(deeper) & 7)
        inner = cells.fine.take((~found.take(deeper) << (2 * SHIFT)) + within)
        found[deeper] = inner
        bounds = np.flatnonzero(inner < 0)
        if len(bounds):
            points = deeper.take(bounds)
            found[points] = self._decide(lon.take(points), lat.take(points), ~inner.take(bounds), row.take(points))
        return found

    def _decide(self, lon: FloatArray, lat: FloatArray, cell: Ids, row: Ids) -> Ids:
        """Count crossings for points in boundary cells."""
        cells = self.cells
        start = cells.starts.take(cell)
        point, within = expanded(cells.starts.take(cell + 1) - start)
        pair = start.take(point) + within
        flags, edge = cells.flags.take(pair), cells.pairs.take(pair)
        x = lon.take(point)
        # A column of the table alone could only be taken from a copy of it.
        x_0, x_1 = cells.ends.take(4 * edge), cells.ends.take(4 * edge + 2)
        concerned = np.flatnonzero((flags & CROSSES_LINE != 0) | ((x_0 <= x) & (x <= x_1)))
        point, edge, flags, x = point.take(concerned), edge.take(concerned), flags.take(concerned), x.take(concerned)
        line = self.frame.line(row).take(point)
        toggled, doubtful = _crossed(cells.ends.take(edge, axis=0), flags, x, lat.take(point), line)
        keys = cells.keys.take(cell)
        crossing = np.flatnonzero(toggled)
        np.bitwise_xor.at(keys, point.take(crossing), cells.toggles.take(edge.take(crossing)))
        return self.sets.ids(keys, lon, lat, np.unique(point.take(np.flatnonzero(doubtful))))


def _crossed(
    ends: FloatArray, flags: NDArray[np.uint8], x: FloatArray, y: FloatArray, line: FloatArray
) -> tuple[Flags, Flags]:
    """Return which edges the path crosses an odd number of times, and which of these answers are not certain."""
    x_0, y_0, x_1, y_1 = ends.T
    dx, dy = x_1 - x_0, y_1 - y_0
    right = dy * (x - x_0)
    corner, point = dx * (line - y_0), dx * (y - y_0)
    size = np.abs(right)
    corner_doubt = np.abs(corner - right) <= ERROR_BOUND * (np.abs(corner) + size)
    point_doubt = np.abs(point - right) <= ERROR_BOUND * (np.abs(point) + size)
    corner_left, point_left = corner > right, point > right
    level = flags & CROSSES_LINE != 0
    upright = (x_0 <= x) & (x < x_1)
    toggled = (level & (corner_left != (flags & LEFT_OF_EDGE != 0))) ^ (upright & (corner_left != point_left))
    touched = (x_0 <= x) & (x <= x_1) & (np.minimum(y_0, y_1) <= y) & (y <= np.maximum(y_0, y_1))
    return toggled, ((level | upright) & corner_doubt) | ((touched | upright) & point_doubt)
