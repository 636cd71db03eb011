"""Borders from the edges of counties, without uniting polygons.

In a clean map an edge between two counties is drawn twice, once in each direction. Stored once with the county on its
left and the one on its right, the border of any territory is the set of edges of which it owns exactly one side.
"""

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.coordinates import FloatArray
from geofence.maps.atoms import NOWHERE, GeometryArray, IndexArray

Segments = NDArray[np.float64]
Mask = NDArray[np.bool_]
Ids = NDArray[np.int32]
_MORTON_BITS = 16


class BoundaryLines:
    """Every edge of a map with the counties on its two sides; edges that are near to each other follow one another.

    `ends` (n, 4) holds lon, lat, lon, lat in degrees, `left` and `right` (n,) numbers of counties or NOWHERE.
    """

    def __init__(self, ends: Segments, left: IndexArray, right: IndexArray) -> None:
        self.ends, self.left, self.right = ends, left, right

    @classmethod
    def of(cls, geometries: GeometryArray) -> "BoundaryLines":
        """Return the edges of valid polygons."""
        segments, owners = directed_edges(geometries)
        turned = (segments[:, 0] > segments[:, 2]) | (
            (segments[:, 0] == segments[:, 2]) & (segments[:, 1] > segments[:, 3])
        )
        segments[turned] = segments[turned][:, [2, 3, 0, 1]]
        # By edge, then by side; the rank tells apart counties that claim the same side of one edge.
        order = np.lexsort((owners, turned, *segments.T[::-1]))
        segments, owners, turned = segments[order], owners[order], turned[order]
        fresh = np.ones(len(segments), dtype=np.bool_)
        fresh[1:] = (segments[1:] != segments[:-1]).any(axis=1)
        rank = _rank(fresh | (np.diff(turned, prepend=False) != 0))
        edge = np.cumsum(fresh) - 1
        most = int(rank.max(initial=0)) + 1
        keys, at = np.unique(edge * most + rank, return_inverse=True)
        left, right = (np.full(len(keys), NOWHERE, dtype=np.intp) for _ in range(2))
        left[at[~turned]], right[at[turned]] = owners[~turned], owners[turned]
        ends = segments[fresh][keys // most]
        near = np.argsort(_morton(ends))
        return cls(ends[near], left[near], right[near])

    def around(self, mask: Mask) -> Segments:
        """Return the border of a set of counties, shape (n, 4), degrees, walked with the set on the left."""
        edges = self.bounding(mask)
        turned = edges < 0
        border: Segments = self.ends[np.where(turned, ~edges, edges) - 1]
        border[turned] = border[turned][:, [2, 3, 0, 1]]
        return border

    def bounding(self, mask: Mask) -> Ids:
        """Return the numbers of these edges, from 1, complemented where the set is on their right."""
        padded = np.append(mask, False)  # NOWHERE is -1, the padding: beyond the map belongs to nobody
        left, right = padded[self.left], padded[self.right]
        edges = np.flatnonzero(left != right).astype(np.int32)
        return np.where(right[edges], ~(edges + 1), edges + 1)

    def inner(self, edges: Ids) -> IndexArray:
        """Return the counties on the inner side of edges numbered so."""
        row = np.where(edges < 0, ~edges, edges) - 1
        counties: IndexArray = np.where(edges < 0, self.right[row], self.left[row])
        return counties


def directed_edges(geometries: GeometryArray) -> tuple[Segments, IndexArray]:
    """Return the edges of polygons, walked with the interior on the left, and the number of each one's polygon."""
    if not len(geometries):
        return np.empty((0, 4)), np.empty(0, dtype=np.intp)
    _, points, offsets = shapely.to_ragged_array(shapely.orient_polygons(geometries))
    ring_ends, polygon_ends, *outer = offsets
    owner = np.arange(len(geometries))
    shapes = np.repeat(owner, np.diff(outer[0])) if outer else owner
    owner_of_point = np.repeat(np.repeat(shapes, np.diff(polygon_ends)), np.diff(ring_ends))
    keeps = np.ones(max(len(points) - 1, 0), dtype=np.bool_)
    keeps[ring_ends[1:-1] - 1] = False  # from the end of one ring to the start of the next is no edge
    segments = np.concatenate([points[:-1][keeps], points[1:][keeps]], axis=1)
    return segments, owner_of_point[:-1][keeps]


def _rank(starts: Mask) -> IndexArray:
    """Return each member's number within its group; `starts` marks the groups' first members."""
    index = np.arange(len(starts))
    found: IndexArray = index - np.maximum.accumulate(np.where(starts, index, 0))
    return found


def _morton(ends: Segments) -> NDArray[np.uint64]:
    """Return the places of edges on a curve through the whole map that keeps neighbours together (Morton, 1966)."""
    middle: FloatArray = (ends[:, :2] + ends[:, 2:]) / 2
    span = np.maximum(np.ptp(middle, axis=0), np.finfo(np.float64).tiny) if len(middle) else 1.0
    cells = ((middle - middle.min(axis=0, initial=360.0)) / span * ((1 << _MORTON_BITS) - 1)).astype(np.uint64)
    code = np.zeros(len(ends), dtype=np.uint64)
    for bit in range(_MORTON_BITS):
        for axis in (0, 1):
            code |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(2 * bit + axis)
    return code
