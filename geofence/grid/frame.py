"""The two levels of cells: coarse ones, and blocks of fine ones where a boundary passes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geofence.grid.edges import Edges, FloatArray

IntArray = NDArray[np.int64]
SHIFT = 3
BLOCK = 1 << SHIFT
FINE_CELLS = BLOCK * BLOCK
# The largest coarse grid: 4 million cells are 16 MB.
_MOST_COARSE_CELLS = 4_000_000
_EDGES_ACROSS = 0.7
# How many pieces edges are cut into: a few long edges among many short ones would fill the memory, at 1 kB a piece.
_FEW_PIECES, _PIECES_AN_EDGE = 1_000_000, 8
# Degrees, a tenth of a metre: no fence is finer, and reference points keep clear of the edges around them.
_SMALLEST_SIDE = 1e-6
_MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the cells lie: degrees of the south-west corner, the side of a fine cell, coarse columns and rows."""

    west: float
    south: float
    side: float
    columns: int
    rows: int

    @property
    def fine_columns(self) -> int:
        """The number of fine cells from west to east."""
        return self.columns * BLOCK

    def line(self, rows: IntArray | NDArray[np.int32]) -> FloatArray:
        """Return the latitudes of the lines through the middle of fine rows, on which reference points lie."""
        return self.south + (rows.astype(np.float64) + 0.5) * self.side


def frame_for(edges: Edges, side: float | None = None) -> Frame:
    """Return a frame around all edges; by default, a fine cell is about as wide as an edge is long."""
    if not len(edges.ends):
        return Frame(0.0, 0.0, 1.0, 1, 1)
    west, south = float(edges.ends[:, 0].min()), float(np.minimum(edges.ends[:, 1], edges.ends[:, 3]).min())
    east, north = float(edges.ends[:, 2].max()), float(np.maximum(edges.ends[:, 1], edges.ends[:, 3]).max())
    width, height = east - west, north - south
    lengths = np.hypot(edges.ends[:, 2] - edges.ends[:, 0], edges.ends[:, 3] - edges.ends[:, 1])
    least = float(lengths.sum()) / max(_FEW_PIECES, _PIECES_AN_EDGE * len(lengths))
    wanted = side or max(_EDGES_ACROSS * float(np.median(lengths)), least)
    smallest = np.sqrt(width * height / _MOST_COARSE_CELLS) / BLOCK
    side = float(max(smallest, min(wanted, max(width, height) / (2 * BLOCK)), _SMALLEST_SIDE))
    columns, rows = (int(extent / (side * BLOCK)) + 1 for extent in (width + 2 * side, height + 2 * side))
    return Frame(west - side, south - side, side, columns, rows)


def cells_of_edges(frame: Frame, edges: Edges) -> tuple[IntArray, IntArray]:
    """Return (edge, fine cell) pairs such that each edge is listed in every cell that it touches, in cell order.

    A few cells that an edge merely passes by are listed as well, which costs time and changes no answer.
    """
    pieces, owner = pieces_of(frame, edges.ends)
    low = np.minimum(pieces[:, :2], pieces[:, 2:]) - _MARGIN
    high = np.maximum(pieces[:, :2], pieces[:, 2:]) + _MARGIN
    first = np.floor((low - (frame.west, frame.south)) / frame.side).astype(np.int64)
    last = np.floor((high - (frame.west, frame.south)) / frame.side).astype(np.int64)
    wide, tall = (last - first + 1).T
    index, within = expanded(wide * tall)
    cells = (first[index, 1] + within // wide[index]) * frame.fine_columns + first[index, 0] + within % wide[index]
    pairs = np.unique(cells * len(edges.ends) + owner[index])
    return pairs % len(edges.ends), pairs // len(edges.ends)


def pieces_of(frame: Frame, ends: FloatArray) -> tuple[FloatArray, IntArray]:
    """Cut edges into pieces of a cell's side at most; return the pieces' ends, shape (n, 4), and their edges."""
    reach = np.maximum(ends[:, 2] - ends[:, 0], np.abs(ends[:, 3] - ends[:, 1]))
    counts = np.ceil(reach / frame.side).astype(np.int64).clip(1)
    owner, within = expanded(counts)
    start, step = ends[owner, :2], (ends[owner, 2:] - ends[owner, :2]) / counts[owner, None]
    return np.concatenate([start + within[:, None] * step, start + (within[:, None] + 1) * step], axis=1), owner


def expanded(counts: IntArray) -> tuple[IntArray, IntArray]:
    """Return for each of `counts[i]` repetitions the index i and its number within i."""
    index = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return index, np.arange(len(index)) - starts[index]
