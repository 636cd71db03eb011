"""What is wrong with the shapes of a map: refused with the feature's name, or mended with the original kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import Crs
from geofence.errors import MapFormatError
from geofence.geometry.polygons import wrapped

MOST_POINTS: Final = 5_000_000
_MOST_LATITUDE: Final = 90.0
_MOST_LONGITUDE: Final = 360.0


@dataclass(frozen=True, slots=True)
class Repair:
    """One shape that was mended: which, why, how much of its area that moved, and what it was before."""

    where: str
    adcode: str
    reason: str
    area_share: float
    original: BaseGeometry = field(repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a map's shapes come from: the reference system of the source, and what was mended."""

    crs: Crs = Crs.WGS84
    repairs: Sequence[Repair] = ()


AS_DRAWN: Final = Origin()


def mended(where: str, adcode: str, geometry: BaseGeometry) -> tuple[BaseGeometry, Repair | None]:
    """Return a polygon in WGS-84 degrees that can be used, cut at ±180°, and what was done to it.

    Raises MapFormatError for what cannot be mended: no polygon, no points, too many, no numbers, swapped axes.
    """
    _refuse(where, geometry)
    geometry = wrapped(shapely.force_2d(geometry))
    if geometry.is_valid:
        return geometry, None
    reason = str(shapely.is_valid_reason(geometry))
    parts = [part for part in shapely.get_parts([shapely.make_valid(geometry)]) if "Polygon" in part.geom_type]
    whole: BaseGeometry = shapely.union_all([part for part in parts if part.area > 0])
    if whole.is_empty:
        raise MapFormatError(f"{where} encloses no area: {reason}", advice="Draw it again.")
    return whole, Repair(where, adcode, reason, abs(whole.area - geometry.area) / whole.area, geometry)


def _refuse(where: str, geometry: BaseGeometry) -> None:
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise MapFormatError(f"{where} is a {geometry.geom_type}", advice="Only polygons enclose an area.")
    points = shapely.get_coordinates(geometry)
    if geometry.is_empty:
        raise MapFormatError(f"{where} is empty", advice="Leave it out, or draw it.")
    if len(points) > MOST_POINTS:
        raise MapFormatError(f"{where} has {len(points):,} points", advice=f"At most {MOST_POINTS:,}: simplify it.")
    if not np.isfinite(points).all():
        raise MapFormatError(f"{where} has a coordinate that is no number", advice="Export it again.")
    lon, lat = np.abs(points).max(axis=0)
    if lat > _MOST_LATITUDE and lon <= _MOST_LATITUDE:
        raise MapFormatError(f"{where} has swapped axes: latitude {lat:g}", advice="Write longitude first.")
    if lat > _MOST_LATITUDE or lon > _MOST_LONGITUDE:
        raise MapFormatError(f"{where} reaches {lon:g}, {lat:g}", advice="Degrees are needed: reproject to EPSG:4326.")
