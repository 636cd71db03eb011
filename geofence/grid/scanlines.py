"""Which set of polygons covers a point of a row's line: the keys of all edges crossed since its western end."""

import numpy as np

from geofence.grid.edges import Edges, FloatArray, KeyArray
from geofence.grid.frame import Frame, IntArray, expanded

# Crossings are known to about 1e-13 degrees; a reference point this far away from all of them is beyond doubt.
CLEARANCE = 1e-9
# Where a reference point may lie within its cell, tried in this order.
_OFFSETS = (0.5, 0.31, 0.69, 0.17, 0.83, 0.43, 0.57, 0.07, 0.93, 0.37, 0.63)


class Scanlines:
    """All crossings of edges with the lines of fine rows, in order, with the set after each."""

    def __init__(self, frame: Frame, edges: Edges) -> None:
        low, high = np.minimum(edges.ends[:, 1], edges.ends[:, 3]), np.maximum(edges.ends[:, 1], edges.ends[:, 3])
        first = np.floor((low - frame.south) / frame.side - 1.0).astype(np.int64)
        last = np.floor((high - frame.south) / frame.side + 1.0).astype(np.int64)
        edge, within = expanded(last - first + 1)
        row = first[edge] + within
        line = frame.line(row)
        crosses = (low[edge] <= line) & (line < high[edge])
        edge, row, line = edge[crosses], row[crosses], line[crosses]
        x_0, y_0, x_1, y_1 = edges.ends[edge].T
        x = x_0 + (line - y_0) * (x_1 - x_0) / (y_1 - y_0)
        order = np.lexsort((x, row))
        self._frame = frame
        self._x = x[order]
        self._sets = np.concatenate([[np.uint64(0)], np.bitwise_xor.accumulate(edges.keys[edge[order]])])
        self._starts = np.searchsorted(row[order], np.arange(frame.rows * 8 + 1))

    def references(self, rows: IntArray, columns: IntArray) -> tuple[FloatArray, KeyArray]:
        """Return for each fine cell, in row order, the longitude of a reference point and the set covering it."""
        x = np.empty(len(rows))
        sets = np.empty(len(rows), dtype=np.uint64)
        bounds = np.searchsorted(rows, np.arange(len(self._starts)))
        for row in np.unique(rows).tolist():
            here = slice(bounds[row], bounds[row + 1])
            crossings = self._x[self._starts[row] : self._starts[row + 1]]
            x[here] = self._clear(crossings, columns[here])
            sets[here] = self._sets[self._starts[row] + np.searchsorted(crossings, x[here])]
        return x, sets

    def _clear(self, crossings: FloatArray, columns: IntArray) -> FloatArray:
        x = self._frame.west + (columns.astype(np.float64) + _OFFSETS[0]) * self._frame.side
        if not len(crossings):
            return x
        for offset in _OFFSETS[1:]:
            at = np.searchsorted(crossings, x)
            gap = np.minimum(
                np.abs(x - crossings[np.minimum(at, len(crossings) - 1)]), np.abs(x - crossings[np.maximum(at - 1, 0)])
            )
            crowded = gap < CLEARANCE
            if not crowded.any():
                break
            x[crowded] = self._frame.west + (columns[crowded] + offset) * self._frame.side
        return x
