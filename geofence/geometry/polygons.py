"""Polygons as people draw them: read from GeoJSON, and refused with the feature and the reason where they mislead."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import MAX_LATITUDE, FloatArray
from geofence.errors import TerritoryError

MOST_POINTS: Final = 2_000_000
MOST_BYTES: Final = 256 * 1024 * 1024
_WORLD: Final = 360.0
_ADVICE: Final = "Draw it again, or repair it where it was drawn."


def read_features(content: bytes, most_bytes: int = MOST_BYTES) -> Sequence[Any]:
    """Return the features of a GeoJSON FeatureCollection in WGS-84, whatever each of them holds.

    Raises TerritoryError for more than `most_bytes`, which are not parsed, for another document and another system.
    """
    if len(content) > most_bytes:
        raise TerritoryError(f"{len(content):,} bytes of GeoJSON", advice=f"At most {most_bytes:,}: simplify it.")
    try:
        document = json.loads(content)
        features: Sequence[Any] = document["features"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TerritoryError("no GeoJSON FeatureCollection", advice="Export one in WGS-84.") from error
    if not isinstance(features, list):
        raise TerritoryError("`features` is no list", advice="Export a FeatureCollection.")
    _refuse_other_crs(document)
    return features


def _refuse_other_crs(document: Mapping[str, Any]) -> None:
    name = named_crs(document)
    if name and not re.search(r"(CRS84|EPSG:+4326)$", name):
        raise TerritoryError(f"unknown reference system {name}", advice="Export in WGS-84 (CRS84).")


def named_crs(document: Mapping[str, Any]) -> str:
    """Return the reference system that a GeoJSON document names, or what stands there instead; empty for none."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    return "" if crs is None else str(name or crs)


def read_polygon(where: str, geometry: Any) -> BaseGeometry:  # noqa: ANN401  whatever the file holds
    """Return a polygon or multipolygon of a GeoJSON geometry in WGS-84 degrees, cut at ±180°.

    Raises TerritoryError, with `where` before the reason.
    """
    try:
        with np.errstate(invalid="ignore"):  # NaN is refused below, with its own words
            found = shape(geometry)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, shapely.errors.ShapelyError) as error:
        raise TerritoryError(f"{where} has no readable geometry: {error}", advice=_ADVICE) from error
    if found.geom_type not in ("Polygon", "MultiPolygon"):
        raise TerritoryError(f"{where} is a {found.geom_type}", advice="Only polygons enclose an area.")
    _check_points(where, shapely.get_coordinates(found))
    if not shapely.is_valid(found):
        raise TerritoryError(f"{where} crosses itself: {shapely.is_valid_reason(found)}", advice=_ADVICE)
    if found.is_empty or found.area == 0:
        raise TerritoryError(f"{where} is empty", advice=_ADVICE)
    return wrapped(shapely.force_2d(found))


def _check_points(where: str, points: FloatArray) -> None:
    if len(points) > MOST_POINTS:
        raise TerritoryError(f"{where} has {len(points):,} points", advice=f"At most {MOST_POINTS:,}: simplify it.")
    if not np.isfinite(points).all():
        raise TerritoryError(f"{where} has a coordinate that is no number", advice=_ADVICE)
    if len(points) and np.abs(points[:, 1]).max() > MAX_LATITUDE:
        swapped = np.abs(points[:, 0]).max() <= MAX_LATITUDE
        advice = "Longitude comes first in GeoJSON: the axes are swapped." if swapped else "Write degrees."
        raise TerritoryError(f"{where} has the latitude {points[np.abs(points[:, 1]).argmax(), 1]:g}", advice=advice)
    if len(points) and np.abs(points[:, 0]).max() > _WORLD:
        raise TerritoryError(f"{where} has a longitude beyond ±{_WORLD:g}", advice="Write degrees.")


def wrapped(polygon: BaseGeometry) -> BaseGeometry:
    """Return a polygon cut at ±180°, its parts moved into the range of longitudes."""
    west, _, east, _ = polygon.bounds
    if west >= -_WORLD / 2 and east <= _WORLD / 2:
        return polygon
    parts = []
    for turn in (-1, 0, 1):
        strip = shapely.box(turn * _WORLD - 180.0, -90.0, turn * _WORLD + 180.0, 90.0)
        part = shapely.intersection(polygon, strip)
        parts.append(affinity.translate(part, xoff=-turn * _WORLD))
    joined: BaseGeometry = shapely.union_all([part for part in parts if part.area > 0])
    return joined
