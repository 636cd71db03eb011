"""The drawn polygons of a book: which of them cover points, and borders of counties and a polygon together."""

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import BoolArray, FloatArray
from geofence.grid import Grid, build_grid
from geofence.grid.sets import Covering
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import GeometryArray, IndexArray, Level
from geofence.maps.boundary import Segments, directed_edges

# A degree is 111 km: drawn edges are followed in steps of at most 10 km.
STEP_DEGREES = 0.09
# GEOS takes 5 µs a point, the grid 0.2, and making it 12 µs a vertex: this is twice what pays.
_POINTS_A_VERTEX = 5
_FEW_POINTS = 10_000
_SEAM, _POLE = 180.0, 90.0


class Drawings:
    """Polygons in WGS-84 degrees, which may overlap; `polygons[i]` belongs to version `owners[i]`.

    GEOS's tree answers until so many points were asked about that a grid, which answers alike, is worth making.
    """

    def __init__(self, owners: list[int], polygons: list[BaseGeometry]) -> None:
        self._owners = np.array(owners, dtype=np.intp)
        self._polygons: GeometryArray = np.array(polygons, dtype=object)
        self._covering = Covering(lambda: self._polygons)
        self._grid: Grid | None = None
        self._asked = 0
        self._worth = max(_FEW_POINTS, _POINTS_A_VERTEX * int(shapely.get_num_coordinates(self._polygons).sum()))

    def pairs(self, lon: FloatArray, lat: FloatArray) -> tuple[IndexArray, IndexArray]:
        """Return (point, version) numbers of all coverings, borders included."""
        if not len(self._polygons):
            none = np.empty(0, dtype=np.intp)
            return none, none
        self._asked += len(lon)
        if self._grid is None and self._asked > self._worth:
            self._grid = build_grid(self._polygons)
        ask = self._covering.pairs if self._grid is None else self._grid.covering
        points, polygons = ask(lon, lat)
        return points, self._owners[polygons]


def drawn_edges(polygon: BaseGeometry) -> Segments:
    """Return a drawn polygon's border, shape (n, 4), degrees, in steps that a flat metric can follow.

    The seam along ±180° is a cut through the polygon, no border of it, and what runs along ±90° is one point, a pole.
    """
    edges, _ = directed_edges(np.array([shapely.segmentize(polygon, STEP_DEGREES)], dtype=object))
    reach = np.minimum(np.abs(edges[:, :2]), np.abs(edges[:, 2:]))
    found: Segments = edges[(reach[:, 0] < _SEAM) & (reach[:, 1] < _POLE)]
    return found


def joined_edges(atoms: AtomMap, mask: BoolArray, polygon: BaseGeometry) -> Segments:
    """Return the border of counties and a polygon together, likewise."""
    counties = atoms.layer(Level.COUNTY).geometries[mask]
    return drawn_edges(shapely.union_all([*counties, polygon]))
