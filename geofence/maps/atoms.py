"""One administrative division, and one level of divisions with its spatial index."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import FloatArray, validated

IndexArray = NDArray[np.intp]
GeometryArray = NDArray[Any]
NOWHERE = -1


class Level(StrEnum):
    """The three levels of a map; counties are the atoms that territories are made of."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


@dataclass(frozen=True, slots=True)
class AtomRecord:
    """What a map says about a division besides its shape.

    `parent` is the code of the next larger division, None at the top. `name_en` repeats `name_zh` where the map
    has no English name.
    """

    adcode: str
    name_zh: str
    name_en: str
    level: Level
    parent: str | None


@dataclass(frozen=True, slots=True)
class Atom(AtomRecord):
    """A division with its shape in WGS-84 degrees and its bounding box (west, south, east, north)."""

    geometry: BaseGeometry
    bbox: tuple[float, float, float, float]


def polygons_only(geometries: GeometryArray) -> GeometryArray:
    """Return valid geometries holding polygons alone: lines and points left over by the repair are dropped."""
    broken = np.flatnonzero(~shapely.is_valid(geometries))
    if not len(broken):
        return geometries
    repaired = geometries.copy()
    for index, geometry in zip(broken, shapely.make_valid(geometries[broken]), strict=True):
        parts = [part for part in shapely.get_parts([geometry]) if part.area > 0]
        repaired[index] = shapely.union_all([part for part in parts if "Polygon" in part.geom_type])
    return repaired


class Layer:
    """Divisions of one level, located by bounding box first and by prepared polygon second.

    A tree query with a predicate is an order of magnitude slower than the two steps apart.
    """

    def __init__(self, records: Sequence[AtomRecord], geometries: GeometryArray) -> None:
        self.records = tuple(records)
        self.geometries = geometries
        self.bounds: NDArray[np.float64] = shapely.bounds(geometries)
        self._tree = shapely.STRtree(geometries)
        # GEOS fills a prepared geometry's index on first use, which two threads must not do at once.
        self._lock = threading.Lock()

    def atom(self, index: int) -> Atom:
        """Return the division at a position of this layer."""
        record = self.records[index]
        west, south, east, north = self.bounds[index].tolist()
        return Atom(
            record.adcode,
            record.name_zh,
            record.name_en,
            record.level,
            record.parent,
            self.geometries[index],
            (west, south, east, north),
        )

    def locate_many(self, lons: ArrayLike, lats: ArrayLike) -> IndexArray:
        """Return the position of the division covering each point, shape (n,), or NOWHERE.

        A point on a shared border belongs to the division that comes first.
        """
        return self.owners(*validated(lons, lats))

    def owners(self, lon: FloatArray, lat: FloatArray) -> IndexArray:
        """Do the same for arrays already known to be finite; out of range means nowhere."""
        owners = np.full(len(lon), NOWHERE, dtype=np.intp)
        for index, boxed in self._groups(lon, lat):
            group = boxed[owners[boxed] == NOWHERE]
            owners[group[self._covers(index, lon[group], lat[group])]] = index
        return owners

    def covering(self, lon: float, lat: float) -> IndexArray:
        """Return the positions of every division covering one point: several on a shared border."""
        lons, lats = validated(lon, lat)
        found = [index for index, _ in self._groups(lons, lats) if self._covers(index, lons, lats)[0]]
        return np.array(found, dtype=np.intp)

    def pairs(self, lon: FloatArray, lat: FloatArray) -> tuple[IndexArray, IndexArray]:
        """Return (point, division) numbers of all coverings, ordered by point and then division."""
        points, divisions = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
        for index, boxed in self._groups(lon, lat):
            points.append(boxed[self._covers(index, lon[boxed], lat[boxed])])
            divisions.append(np.full(len(points[-1]), index, dtype=np.intp))
        point, division = np.concatenate(points), np.concatenate(divisions)
        order = np.lexsort((division, point))
        return point[order], division[order]

    def meeting(self, geometry: BaseGeometry) -> IndexArray:
        """Return the positions of every division that shares a point with a geometry, in order."""
        boxed = np.sort(self._tree.query(geometry))
        with self._lock:
            shapely.prepare(geometry)
            found: IndexArray = boxed[shapely.intersects(geometry, self.geometries[boxed])]
        return found

    def _groups(self, lon: FloatArray, lat: FloatArray) -> list[tuple[int, IndexArray]]:
        points, boxes = self._tree.query(shapely.points(lon, lat))
        order = np.argsort(boxes, kind="stable")
        points, boxes = points[order], boxes[order]
        indexes, starts = np.unique(boxes, return_index=True)
        return list(zip(indexes.tolist(), np.split(points, starts[1:]), strict=False)) if len(indexes) else []

    def _covers(self, index: int, lon: FloatArray, lat: FloatArray) -> NDArray[np.bool_]:
        geometry = self.geometries[index]
        with self._lock:
            shapely.prepare(geometry)
            covered: NDArray[np.bool_] = shapely.intersects_xy(geometry, lon, lat)
        return covered
