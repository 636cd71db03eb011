"""Borders from the edges of counties, without uniting polygons.

In a clean map an edge between two counties is drawn twice, once in each direction. Stored once with both owners, the
border of any territory is the set of edges of which it owns exactly one side.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.maps.atoms import NOWHERE, GeometryArray, IndexArray

Segments = NDArray[np.float64]


class BoundaryLines:
    """Every edge of a map, with the counties on its two sides."""

    def __init__(self, geometries: GeometryArray) -> None:
        segments, owners = _edges(geometries)
        flipped = (segments[:, 0] > segments[:, 2]) | (
            (segments[:, 0] == segments[:, 2]) & (segments[:, 1] > segments[:, 3])
        )
        segments[flipped] = segments[flipped][:, [2, 3, 0, 1]]
        order = np.lexsort(segments.T[::-1])
        segments, owners = segments[order], owners[order]
        repeats = np.zeros(len(segments), dtype=np.bool_)
        repeats[1:] = (segments[1:] == segments[:-1]).all(axis=1)
        firsts = np.flatnonzero(~repeats)
        self._segments: Segments = segments[firsts]
        self._one_side = owners[firsts]
        self._other_side = np.full(len(firsts), NOWHERE, dtype=np.intp)
        second = firsts + 1
        shared = second < len(segments)
        shared[shared] = repeats[second[shared]]
        self._other_side[shared] = owners[second[shared]]

    def around(self, mask: NDArray[np.bool_]) -> Segments:
        """Return the border of a set of counties, shape (n, 4): lon, lat, lon, lat in degrees."""
        padded = np.append(mask, False)  # NOWHERE is -1, the padding: beyond the map belongs to nobody
        border: Segments = self._segments[padded[self._one_side] != padded[self._other_side]]
        return border


def _edges(geometries: GeometryArray) -> tuple[Segments, IndexArray]:
    _, points, offsets = shapely.to_ragged_array(geometries)
    ring_ends, polygon_ends, shape_ends = offsets
    owner_of_ring = np.repeat(np.arange(len(geometries)), np.diff(polygon_ends[shape_ends]))
    owner_of_point = np.repeat(owner_of_ring, np.diff(ring_ends))
    keeps = np.ones(len(points) - 1, dtype=np.bool_)
    keeps[ring_ends[1:-1] - 1] = False  # from the end of one ring to the start of the next is no edge
    segments = np.concatenate([points[:-1][keeps], points[1:][keeps]], axis=1)
    return segments, owner_of_point[:-1][keeps]
