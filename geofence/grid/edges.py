"""Polygons as edges with keys: crossing an edge toggles the polygons that it bounds.

Each polygon has a random 64-bit key (Zobrist hashing), and a set of polygons is named by the XOR of its members' keys.
An edge that several polygons share is stored once, with the XOR of their keys, so that one test serves all of them.
"""

from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.maps.atoms import GeometryArray

FloatArray = NDArray[np.float64]
KeyArray = NDArray[np.uint64]
Offsets = NDArray[np.int32]
_SEED = 20_200_229


class Edges(NamedTuple):
    """Edges from left to right: `ends` (n, 4) holds x0 <= x1 as x0, y0, x1, y1; `keys` (n,) what crossing toggles."""

    ends: FloatArray
    keys: KeyArray


def polygon_keys(count: int) -> KeyArray:
    """Return the keys of polygons 0 to `count` - 1, the same ones each time."""
    return np.random.default_rng(_SEED).integers(1, 1 << 64, count, dtype=np.uint64)


def edges_of(geometries: GeometryArray) -> Edges:
    """Return the distinct edges of valid polygons and multipolygons, those that bound nothing left out."""
    points, ring_ends, polygon_ends, shape_ends = ragged(geometries)
    owners = np.repeat(np.arange(len(geometries)), np.diff(ring_ends[polygon_ends[shape_ends]]))
    inner = np.ones(max(len(points) - 1, 0), dtype=np.bool_)
    inner[ring_ends[1:-1] - 1] = False  # from the end of one ring to the start of the next is no edge
    ends = np.concatenate([points[:-1][inner], points[1:][inner]], axis=1)
    keys = polygon_keys(len(geometries))[owners[:-1][inner]]
    return _merged(_rightwards(ends), keys)


def ragged(geometries: GeometryArray) -> tuple[FloatArray, Offsets, Offsets, Offsets]:
    """Return points (n, 2) of polygons as multipolygons, and where rings, polygons and shapes start among them."""
    if not len(geometries):
        none = np.zeros(1, dtype=np.int32)
        return np.empty((0, 2)), none, none, none
    whole = np.array([shapely.multipolygons(shapely.get_parts(each)) for each in geometries], dtype=object)
    _, points, offsets = shapely.to_ragged_array(whole)
    rings, polygons, shapes = offsets
    return points, rings, polygons, shapes


def _rightwards(ends: FloatArray) -> FloatArray:
    turned = (ends[:, 0] > ends[:, 2]) | ((ends[:, 0] == ends[:, 2]) & (ends[:, 1] > ends[:, 3]))
    ends[turned] = ends[turned][:, [2, 3, 0, 1]]
    return ends


def _merged(ends: FloatArray, keys: KeyArray) -> Edges:
    order = np.lexsort(ends.T[::-1])
    ends, keys = ends[order], keys[order]
    fresh = np.ones(len(ends), dtype=np.bool_)
    fresh[1:] = (ends[1:] != ends[:-1]).any(axis=1)
    firsts = np.flatnonzero(fresh)
    toggled = np.bitwise_xor.reduceat(keys, firsts) if len(firsts) else keys
    bounding = (toggled != 0) & ((ends[firsts, 0] != ends[firsts, 2]) | (ends[firsts, 1] != ends[firsts, 3]))
    return Edges(np.ascontiguousarray(ends[firsts][bounding]), toggled[bounding])
