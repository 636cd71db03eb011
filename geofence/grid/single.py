"""One point at a time, in microseconds: the same steps as for arrays, without the cost of small arrays."""

from geofence.coordinates import MAX_LATITUDE, MAX_LONGITUDE, validated
from geofence.grid.frame import SHIFT
from geofence.grid.index import CROSSES_LINE, ERROR_BOUND, LEFT_OF_EDGE, Grid

_DOUBTFUL = -1


class PointLookup:
    """Answers for single points of a grid. May be shared between threads."""

    def __init__(self, grid: Grid) -> None:
        frame, cells = grid.frame, grid.cells
        self._sets = grid.sets
        self._west, self._south, self._scale = frame.west, frame.south, 1.0 / frame.side
        self._columns, self._rows = frame.columns, frame.rows
        # Reading one element through a memory view costs half of what it costs through an array.
        self._coarse, self._fine = cells.coarse.data, cells.fine.data
        self._starts, self._pairs, self._flags = cells.starts.data, cells.pairs.data, cells.flags.data
        self._keys, self._side = cells.keys.data, frame.side
        self._ends, self._toggles = cells.ends.reshape(-1).data, cells.toggles.data

    def locate(self, lon: float, lat: float) -> int:
        """Return the id of the set of polygons covering a WGS-84 point. Raises CoordinateError."""
        if not (abs(lon) <= MAX_LONGITUDE and abs(lat) <= MAX_LATITUDE):
            validated(lon, lat)
        if lon < self._west or lat < self._south:
            return 0
        column, row = int((lon - self._west) * self._scale), int((lat - self._south) * self._scale)
        if column >> SHIFT >= self._columns or row >> SHIFT >= self._rows:
            return 0
        found: int = self._coarse[(row >> SHIFT) * self._columns + (column >> SHIFT)]
        if found >= 0:
            return found
        found = self._fine[(~found << (2 * SHIFT)) + ((row & 7) << SHIFT) + (column & 7)]
        if found >= 0:
            return found
        line = self._south + (row + 0.5) * self._side
        return self._sets.id_of(self._key(~found, lon, lat, line), lon, lat)

    def _key(self, cell: int, x: float, y: float, line: float) -> int:
        key: int = self._keys[cell]
        for pair in range(self._starts[cell], self._starts[cell + 1]):
            edge, flags = self._pairs[pair], self._flags[pair]
            x_0, y_0, x_1, y_1 = self._ends[4 * edge : 4 * edge + 4]
            if not (flags & CROSSES_LINE or x_0 <= x <= x_1):
                continue
            crossed = _crossed((x_0, y_0, x_1, y_1), flags, (x, y, line))
            if crossed == _DOUBTFUL:
                return _DOUBTFUL
            if crossed:
                key ^= self._toggles[edge]
        return key


def _crossed(edge: tuple[float, float, float, float], flags: int, place: tuple[float, float, float]) -> int:
    """Return whether the path crosses an edge an odd number of times, or that this is doubtful."""
    x_0, y_0, x_1, y_1 = edge
    x, y, line = place
    dx, right = x_1 - x_0, (y_1 - y_0) * (x - x_0)
    corner, point = dx * (line - y_0), dx * (y - y_0)
    level, upright = bool(flags & CROSSES_LINE), x_0 <= x < x_1
    if (level or upright) and abs(corner - right) <= ERROR_BOUND * (abs(corner) + abs(right)):
        return _DOUBTFUL
    touched = x_0 <= x <= x_1 and min(y_0, y_1) <= y <= max(y_0, y_1)
    if (touched or upright) and abs(point - right) <= ERROR_BOUND * (abs(point) + abs(right)):
        return _DOUBTFUL
    first = level and (corner > right) != bool(flags & LEFT_OF_EDGE)
    second = upright and (corner > right) != (point > right)
    return int(first != second)
