"""Builds the adaptive grid over valid polygons."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from geofence.grid.edges import Edges, FloatArray, KeyArray, edges_of
from geofence.grid.frame import BLOCK, FINE_CELLS, Frame, IntArray, cells_of_edges, frame_for, pieces_of
from geofence.grid.index import CROSSES_LINE, LEFT_OF_EDGE, Cells, Grid
from geofence.grid.scanlines import Scanlines
from geofence.grid.sets import PolygonSets
from geofence.maps.atoms import GeometryArray, polygons_only

Progress = Callable[[str], None]


def build_grid(geometries: GeometryArray, progress: Progress = lambda _: None, *, side: float | None = None) -> Grid:
    """Return an index of polygons and multipolygons in WGS-84 degrees, which may overlap.

    Invalid ones are repaired first. `side` is that of a fine cell in degrees, about an edge's length by default;
    `progress` is told each step. Raises MapFormatError for polygons whose own parts overlap.
    """
    geometries = polygons_only(geometries)
    progress("reading edges")
    edges = edges_of(geometries)
    frame = frame_for(edges, side)
    progress(f"sorting {len(edges.ends):,} edges into cells")
    edges, pairs, pair_cells = _by_cell(edges, *cells_of_edges(frame, edges))
    cells, firsts = np.unique(pair_cells, return_index=True)
    starts = np.append(firsts, len(pair_cells)).astype(np.int32)
    progress(f"finding what covers {len(cells):,} boundary cells")
    lines = Scanlines(frame, edges)
    layout = _Layout(frame, cells, lines)
    row, column = np.divmod(cells, frame.fine_columns)
    x, keys = lines.references(row, column)
    y = frame.line(row)
    own = np.repeat(np.arange(len(cells)), np.diff(starts))
    flags = _flags(edges.ends[pairs], x[own], y[own])
    arrays = Cells(layout.coarse, layout.fine, starts, pairs.astype(np.int32), flags, keys, *edges)
    progress(f"naming {len(layout.keys):,} sets of polygons and those between borders")
    grid = Grid(frame, arrays, PolygonSets.sampled(geometries, layout.keys, *layout.samples))
    for lon, lat in _beside_edges(frame, edges):
        grid.locate(lon, lat)
    return Grid(frame, arrays, grid.sets.settled())


def _by_cell(edges: Edges, pairs: IntArray, cells: IntArray) -> tuple[Edges, IntArray, IntArray]:
    """Return edges and their pairs with cells, those of a cell near to each other: they are read together."""
    order = np.argsort(np.unique(pairs, return_index=True)[1], kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return Edges(np.ascontiguousarray(edges.ends[order]), edges.keys[order]), place[pairs], cells


def _beside_edges(frame: Frame, edges: Edges) -> list[tuple[FloatArray, FloatArray]]:
    """Return points close to both sides of every edge: they lie in nearly every face there is."""
    pieces, _ = pieces_of(frame, edges.ends)
    across = np.stack([pieces[:, 1] - pieces[:, 3], pieces[:, 2] - pieces[:, 0]], axis=1)
    across *= 0.01 * frame.side / np.maximum(np.hypot(*across.T), np.finfo(np.float64).tiny)[:, None]
    middle = (pieces[:, :2] + pieces[:, 2:]) / 2
    sides = (middle + across, middle - across)
    return [(side[:, 0].clip(-180.0, 180.0), side[:, 1].clip(-90.0, 90.0)) for side in sides]


def _flags(ends: FloatArray, x: FloatArray, y: FloatArray) -> NDArray[np.uint8]:
    """Say of each edge whether it crosses its cell's line, and on which side of it the reference point lies."""
    x_0, y_0, x_1, y_1 = ends.T
    crosses = (np.minimum(y_0, y_1) <= y) & (y < np.maximum(y_0, y_1))
    left = (x_1 - x_0) * (y - y_0) > (y_1 - y_0) * (x - x_0)
    flags: NDArray[np.uint8] = (crosses * CROSSES_LINE + left * LEFT_OF_EDGE).astype(np.uint8)
    return flags


class _Layout:
    """Coarse cells and blocks of fine ones, each with its set or the way to the next level."""

    def __init__(self, frame: Frame, cells: IntArray, lines: Scanlines) -> None:
        row, column = np.divmod(cells, frame.fine_columns)
        home = row // BLOCK * frame.columns + column // BLOCK
        blocks, block_of_cell = np.unique(home, return_inverse=True)
        inner = _inner(frame, blocks)
        rest = np.setdiff1d(np.arange(frame.rows * frame.columns), blocks)
        outer = np.stack([rest // frame.columns * BLOCK, rest % frame.columns * BLOCK])
        whole = np.concatenate([inner, outer], axis=1)
        order = np.argsort(whole[0], kind="stable")
        x, keys = np.empty(len(order)), np.empty(len(order), dtype=np.uint64)
        x[order], keys[order] = lines.references(whole[0][order], whole[1][order])
        self.keys, samples, ids = _numbered(keys)
        self.samples = (x[samples], frame.line(whole[0][samples]))
        self.fine = ids[: inner.shape[1]].astype(np.int32)
        self.fine[block_of_cell * FINE_CELLS + row % BLOCK * BLOCK + column % BLOCK] = ~np.arange(len(cells))
        self.coarse = np.empty(frame.rows * frame.columns, dtype=np.int32)
        self.coarse[rest] = ids[inner.shape[1] :]
        self.coarse[blocks] = ~np.arange(len(blocks))


def _inner(frame: Frame, blocks: IntArray) -> IntArray:
    """Return row and column of every fine cell in blocks, shape (2, blocks * 64)."""
    row, column = (each.ravel() for each in np.mgrid[0:BLOCK, 0:BLOCK])
    rows = (blocks // frame.columns * BLOCK)[:, None] + row
    columns = (blocks % frame.columns * BLOCK)[:, None] + column
    return np.stack([rows.ravel(), columns.ravel()])


def _numbered(keys: KeyArray) -> tuple[KeyArray, IntArray, IntArray]:
    """Return the distinct keys (the first is the empty set's, which covers the corners), a place of each, and ids."""
    distinct, samples, ids = np.unique(keys, return_index=True, return_inverse=True)
    return distinct, samples, ids
