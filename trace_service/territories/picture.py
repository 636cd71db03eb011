"""Territories as paths of a drawing: simplified as one fabric, so that neighbours keep meeting, and nothing fetched."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geofence.maps import AtomMap, Level
from geofence.maps.atoms import GeometryArray
from geofence.maps.outline import simplified
from geofence.proposed.areas import area_of
from geofence.territory import TerritoryVersion

Box: TypeAlias = tuple[float, float, float, float]
WIDTH: Final = 960
_HEIGHTS: Final = (320, 900)
# Degrees: what is left out at each is smaller than a point of the drawing that uses it.
_TOLERANCES: Final = (0.04, 0.012, 0.003)
_POINTS_ACROSS: Final = 700
_COUNTIES_BELOW: Final = 9.0
_MARGIN: Final = 0.06
_SMALLEST: Final = 0.2


@dataclass(frozen=True, slots=True)
class Wash:
    """One territory's outline as the data of an SVG path, and that of the polygon drawn for it, if there is one."""

    version: TerritoryVersion
    path: str
    drawn: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of WIDTH by `height` points: the land behind, and a wash a territory, larger ones first."""

    height: int
    land: str
    washes: tuple[Wash, ...]


class Painter:
    """Draws territories over one map; what it simplified once it keeps. Safe to call from threads."""

    def __init__(self, atoms: AtomMap) -> None:
        self._atoms = atoms
        self._turn = threading.Lock()
        self._counties: dict[float, GeometryArray] = {}
        self._provinces: dict[float, GeometryArray] = {}

    def prepare(self) -> None:
        """Simplify the whole map as closely as any drawing needs it: about a second for each of three widths."""
        for tolerance in _TOLERANCES:
            self._wholes(tolerance)

    def paint(self, versions: Sequence[TerritoryVersion], focus: Sequence[TerritoryVersion] = ()) -> Picture:
        """Draw territories; `focus` are those that fill the drawing, all by default."""
        wanted = [each for each in focus or versions if each.adcodes or each.polygon is not None]
        box = self._box(wanted)
        frame = _Frame(box)
        tolerance = next((each for each in _TOLERANCES if each * _POINTS_ACROSS <= frame.width), _TOLERANCES[-1])
        shapes = [(each, self._shape(each, tolerance)) for each in versions]
        shapes.sort(key=lambda pair: -pair[1].area)
        washes = [
            Wash(version, frame.path(shape), "" if version.polygon is None else frame.path(version.polygon))
            for version, shape in shapes
        ]
        return Picture(
            frame.height, frame.path(self._land(frame, tolerance)), tuple(each for each in washes if each.path)
        )

    def _box(self, versions: Sequence[TerritoryVersion]) -> Box:
        layer = self._atoms.layer(Level.COUNTY)
        boxes = [layer.bounds[area_of(each, self._atoms).mask] for each in versions]
        boxes += [np.array([each.polygon.bounds]) for each in versions if each.polygon is not None]
        bounds = np.concatenate([layer.bounds[:0], *boxes])
        if not len(bounds):
            bounds = layer.bounds
        west, south = map(float, bounds[:, :2].min(axis=0))
        east, north = map(float, bounds[:, 2:].max(axis=0))
        spare = max(_SMALLEST, _MARGIN * (east - west), _MARGIN * (north - south))
        return west - spare, max(south - spare, -85.0), east + spare, min(north + spare, 85.0)

    def _shape(self, version: TerritoryVersion, tolerance: float) -> BaseGeometry:
        area = area_of(version, self._atoms)
        joined: BaseGeometry = shapely.coverage_union_all(self._fabric(tolerance)[area.mask])
        if area.polygon is not None:
            joined = shapely.union_all([joined, shapely.simplify(area.polygon, tolerance)])
        return joined

    def _land(self, frame: "_Frame", tolerance: float) -> BaseGeometry:
        fabric = self._fabric(tolerance) if frame.width < _COUNTIES_BELOW else self._wholes(tolerance)
        near = fabric[shapely.intersects(fabric, shapely.box(*frame.box))]
        cut = shapely.clip_by_rect(near, *frame.box)
        return shapely.GeometryCollection([each for each in cut if not each.is_empty])

    def _fabric(self, tolerance: float) -> GeometryArray:
        with self._turn:
            if tolerance not in self._counties:
                self._counties[tolerance] = simplified(self._atoms.layer(Level.COUNTY).geometries, tolerance)
            return self._counties[tolerance]

    def _wholes(self, tolerance: float) -> GeometryArray:
        """Return the largest divisions as unions of simplified counties, so that both draw the same lines."""
        fabric = self._fabric(tolerance)
        with self._turn:
            if tolerance not in self._provinces:
                records = self._atoms.records(Level.PROVINCE) or self._atoms.records(Level.COUNTY)
                groups = [self._atoms.atom_indexes(each.adcode) for each in records]
                unions = [shapely.coverage_union_all(fabric[each]) for each in groups]
                self._provinces[tolerance] = np.array(unions, dtype=object)
            return self._provinces[tolerance]


class _Frame:
    """Longitude and latitude as points of the drawing: as wide as it is, true to scale at its middle latitude."""

    def __init__(self, box: Box) -> None:
        west, south, east, north = box
        squeeze = float(np.cos(np.radians((south + north) / 2)))
        low, high = _HEIGHTS
        scale = min(WIDTH / ((east - west) * squeeze), high / (north - south))
        self.height = int(np.clip(scale * (north - south), low, high))
        # What is left over lies evenly around.
        spare_x = (WIDTH / scale / squeeze - (east - west)) / 2
        spare_y = (self.height / scale - (north - south)) / 2
        self.box = (west - spare_x, south - spare_y, east + spare_x, north + spare_y)
        self.width = self.box[2] - self.box[0]
        self._across, self._down = scale * squeeze, scale

    def path(self, geometry: BaseGeometry) -> str:
        """Return the rings of a geometry as the data of an SVG path, to a tenth of a point."""
        parts = shapely.get_parts(shapely.clip_by_rect(geometry, *self._around()))
        polygons = [each for part in parts for each in shapely.get_parts(part) if each.geom_type == "Polygon"]
        return "".join(self._ring(ring) for each in polygons for ring in (each.exterior, *each.interiors))

    def _around(self) -> Box:
        """Return the box with a rim, so that cuts are not drawn as borders."""
        west, south, east, north = self.box
        return west - 0.01 * self.width, south - 0.01 * self.width, east + 0.01 * self.width, north + 0.01 * self.width

    def _ring(self, ring: shapely.LinearRing) -> str:
        points = shapely.get_coordinates(ring)
        west, north = self.box[0], self.box[3]
        x = np.round((points[:, 0] - west) * self._across, 1)
        y = np.round((north - points[:, 1]) * self._down, 1)
        moves = np.ones(len(points), dtype=np.bool_)
        moves[1:] = (np.diff(x) != 0) | (np.diff(y) != 0)
        pairs = [f"{a:g} {b:g}" for a, b in zip(x[moves].tolist(), y[moves].tolist(), strict=True)]
        return f"M{'L'.join(pairs[:-1])}Z" if len(pairs) > 3 else ""  # noqa: PLR2004  three corners and the end
