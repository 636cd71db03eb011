"""Borders for the web map: simplified as one fabric, so that neighbours keep meeting, in compact GeoJSON."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import AtomRecord, GeometryArray, Level

# Coordinates are written to this fraction of the tolerance: finer digits would cost bytes and show nothing.
DIGITS_PER_TOLERANCE = 10.0
# Degrees: all provinces stay under 300 kB, one province's cities under 150 kB, its counties under 250 kB.
SUITABLE_TOLERANCE = {Level.PROVINCE: 0.03, Level.CITY: 0.01, Level.COUNTY: 0.015}


@dataclass(frozen=True, slots=True)
class Extent:
    """What to draw: divisions within these (each of any level), or all where `adcodes` is empty."""

    adcodes: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None


def outline(atoms: AtomMap, level: Level, extent: Extent, tolerance: float) -> bytes:
    """Return a GeoJSON FeatureCollection as UTF-8 bytes, the same bytes for the same arguments.

    `tolerance` is in degrees. Islands and holes smaller than its square are left out, but every division keeps its
    largest part. Raises UnknownAdcodeError.
    """
    layer = atoms.layer(level)
    chosen = _chosen(atoms, level, extent, layer.bounds)
    records = [layer.records[index] for index in chosen.tolist()]
    shapes = simplified(layer.geometries[chosen], tolerance)
    digits = max(0, int(np.ceil(np.log10(DIGITS_PER_TOLERANCE / tolerance))))
    features = [_feature(record, shape, digits) for record, shape in zip(records, shapes, strict=True)]
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def simplified(geometries: GeometryArray, tolerance: float) -> GeometryArray:
    """Return the shapes with common borders simplified alike; the outer border as well."""
    if not len(geometries):
        return geometries
    coarse: GeometryArray = shapely.coverage_simplify(geometries, tolerance)
    kept = [_without_specks(shape, tolerance * tolerance) for shape in coarse]
    return np.array(kept, dtype=object)


def _without_specks(shape: shapely.Geometry, smallest: float) -> shapely.Geometry:
    parts = shapely.get_parts(shape)
    areas = shapely.area(parts)
    keep = areas >= min(smallest, float(areas.max(initial=0.0)))
    return shapely.multipolygons([_without_holes(part, smallest) for part in parts[keep]])


def _without_holes(polygon: shapely.Polygon, smallest: float) -> shapely.Polygon:
    holes = [ring for ring in polygon.interiors if shapely.Polygon(ring).area >= smallest]
    return shapely.Polygon(polygon.exterior, holes)


def _chosen(atoms: AtomMap, level: Level, extent: Extent, bounds: NDArray[np.float64]) -> NDArray[np.intp]:
    wanted = np.ones(len(bounds), dtype=np.bool_)
    if extent.adcodes:
        wanted = np.array(_within(atoms, atoms.records(level), extent.adcodes), dtype=np.bool_)
    if extent.bbox is not None:
        west, south, east, north = extent.bbox
        wanted &= (bounds[:, 0] <= east) & (bounds[:, 2] >= west) & (bounds[:, 1] <= north) & (bounds[:, 3] >= south)
    return np.flatnonzero(wanted)


def _within(atoms: AtomMap, records: Iterable[AtomRecord], adcodes: tuple[str, ...]) -> list[bool]:
    wanted = {atoms.record(adcode).adcode for adcode in adcodes}
    return [
        record.adcode in wanted or any(each.adcode in wanted for each in atoms.ancestors(record.adcode))
        for record in records
    ]


def _feature(record: AtomRecord, shape: shapely.Geometry, digits: int) -> dict[str, object]:
    polygons = [[_ring(ring, digits) for ring in (part.exterior, *part.interiors)] for part in shapely.get_parts(shape)]
    return {
        "type": "Feature",
        "id": record.adcode,
        "properties": {"name": record.name_zh, "name_en": record.name_en},
        "geometry": {"type": "MultiPolygon", "coordinates": polygons},
    }


def _ring(ring: shapely.LinearRing, digits: int) -> list[list[float]]:
    points = np.round(shapely.get_coordinates(ring), digits)
    moves = np.ones(len(points), dtype=np.bool_)
    moves[1:] = (points[1:] != points[:-1]).any(axis=1)
    found: list[list[float]] = points[moves].tolist()
    return found
