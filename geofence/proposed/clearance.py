"""A raster around edges that says at once of most positions that their error does not reach any edge."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from geofence.coordinates import FloatArray
from geofence.geometry.metric import metres_per_degree
from geofence.grid.edges import Edges
from geofence.grid.frame import Frame, IntArray, pieces_of
from geofence.maps.boundary import Segments

# Degrees, some 300 m: below half of what a map's own error reaches.
_SMALLEST_SIDE: Final = 0.003
_MOST_CELLS: Final = 4_000_000
# Rings of cells around those that an edge touches.
_RINGS: Final = 12
# An edge's piece may cross the corner of one cell that neither of its ends lies in.
_SLACK: Final = 2
_HALF_TURN: Final = 180.0


class Clearance:
    """Cells around edges, each with the number of cells that surely lie between it and the nearest edge."""

    def __init__(self, edges: Segments) -> None:
        ends = edges if len(edges) else np.zeros((1, 4))
        west, east = ends[:, [0, 2]].min(), ends[:, [0, 2]].max()
        south, north = ends[:, [1, 3]].min(), ends[:, [1, 3]].max()
        side = max(_SMALLEST_SIDE, float(np.sqrt((east - west) * (north - south) / _MOST_CELLS)))
        margin = (_RINGS + 1) * side
        self._west, self._south, self._scale = west - margin, south - margin, 1.0 / side
        shape = (int((north - south + 2 * margin) / side) + 1, int((east - west + 2 * margin) / side) + 1)
        pieces, _ = pieces_of(Frame(self._west, self._south, side, 0, 0), Edges(ends, np.empty(0, np.uint64)).ends)
        near = np.zeros(shape, dtype=np.bool_)
        for lon, lat in ((pieces[:, 0], pieces[:, 1]), (pieces[:, 2], pieces[:, 3])):
            near[self._rows(lat), self._columns(lon)] = True
        self._rings = np.zeros(shape, dtype=np.uint8)
        for _ in range(_RINGS):
            self._rings += ~near
            near = _grown(near)
        highest = np.array(max(abs(self._south), abs(north + margin)))
        crosses = west - margin < -_HALF_TURN or east + margin > _HALF_TURN
        self._seam = _HALF_TURN - margin if crosses else np.inf
        # One cell's smaller extent in metres.
        self._cell_m = (
            float(min(metres_per_degree(highest.clip(0.0, 90.0))[0], metres_per_degree(np.array(0.0))[1])) * side
        )

    def reached(self, lon: FloatArray, lat: FloatArray, reach_m: FloatArray) -> NDArray[np.bool_]:
        """Tell which positions may have an edge within `reach_m`; of the others it is certain that they have none."""
        rows, columns = self._rows(lat), self._columns(lon)
        height, width = self._rings.shape
        beyond = (rows < 0) | (columns < 0) | (rows >= height) | (columns >= width)
        rings = self._rings.ravel().take(np.where(beyond, 0, rows * width + columns))
        rings[beyond] = _RINGS
        found: NDArray[np.bool_] = (rings.astype(np.float64) - _SLACK) * self._cell_m <= reach_m
        # Beyond ±180° the other side of the map begins, which the cells do not show.
        return found | (np.abs(lon) >= self._seam)

    def _columns(self, lon: FloatArray) -> IntArray:
        found: IntArray = np.floor((lon - self._west) * self._scale).astype(np.int64)
        return found

    def _rows(self, lat: FloatArray) -> IntArray:
        found: IntArray = np.floor((lat - self._south) * self._scale).astype(np.int64)
        return found


def _grown(near: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the cells and all eight neighbours of each."""
    wide = near.copy()
    wide[:, 1:] |= near[:, :-1]
    wide[:, :-1] |= near[:, 1:]
    tall = wide.copy()
    tall[1:] |= wide[:-1]
    tall[:-1] |= wide[1:]
    return tall
