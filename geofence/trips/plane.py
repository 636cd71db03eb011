"""Metres around one place for single points, and corridors as polygons.

The scales are those of `geofence.geometry.metric`, computed without arrays: a truck's fixes come one by one. Within
20 km they agree with the azimuthal-equidistant projection to a few centimetres, at any latitude that has roads.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import cos, radians, sin, sqrt
from typing import Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import FloatArray
from geofence.geometry.metric import ECCENTRICITY_2, SEMI_MAJOR_M

LonLat = tuple[float, float]
# Metres in a plane hold only near its origin: longer lines are followed piece by piece.
PIECE_M: Final = 5_000.0
# Dense drawings are thinned to this share of the corridor's width, or to this many metres.
_THINNED_SHARE, _THINNED_M = 0.02, 10.0
_HUNDREDTH: Final = 100.0


@lru_cache(maxsize=65_536)
def _scales_of(hundredths: int) -> LonLat:
    phi = radians(hundredths / _HUNDREDTH)
    flattening = 1.0 - ECCENTRICITY_2 * sin(phi) ** 2
    east = radians(SEMI_MAJOR_M / sqrt(flattening)) * cos(phi)
    return east, radians(SEMI_MAJOR_M * (1.0 - ECCENTRICITY_2) / flattening**1.5)


def scales(lat: float) -> LonLat:
    """Return metres per degree of longitude and of latitude, at the nearest hundredth of a degree: 0.02 % at 60°."""
    return _scales_of(round(lat * _HUNDREDTH))


def offset_m(origin: LonLat, lon: float, lat: float) -> LonLat:
    """Return metres east and north of `origin`, the shorter way round."""
    east, north = scales((lat + origin[1]) / 2.0)
    return ((lon - origin[0] + 180.0) % 360.0 - 180.0) * east, (lat - origin[1]) * north


def distance_m(one: LonLat, other: LonLat) -> float:
    """Return the metres between two places."""
    x, y = offset_m(one, *other)
    return sqrt(x * x + y * y)


def pieces(line: Sequence[LonLat]) -> list[LonLat]:
    """Return a line with points added so that no two neighbours lie farther apart than PIECE_M."""
    found = [line[0]]
    for start, end in pairwise(line):
        count = max(1, int(-(-distance_m(start, end) // PIECE_M)))
        lon_step = ((end[0] - start[0] + 180.0) % 360.0 - 180.0) / count
        lat_step = (end[1] - start[1]) / count
        found += [(start[0] + lon_step * each, start[1] + lat_step * each) for each in range(1, count)]
        found.append(end)
    return found


def thinned(line: Sequence[LonLat], width_m: float) -> list[LonLat]:
    """Return a line without points that lie as good as on it, measured by the width of its corridor."""
    flat = shapely.LineString([offset_m(line[0], *point) for point in line])
    kept = flat.simplify(min(_THINNED_M, _THINNED_SHARE * width_m))
    wanted = iter(map(tuple, shapely.get_coordinates(kept).tolist()))
    target = next(wanted, None)
    found: list[LonLat] = []
    for point, place in zip(line, shapely.get_coordinates(flat).tolist(), strict=True):
        if tuple(place) == target:
            found.append(point)
            target = next(wanted, None)
    return found if len(found) > 1 else [line[0], line[-1]]


def buffered(line: Sequence[LonLat], width_m: float) -> BaseGeometry:
    """Return the area within `width_m` of a line, degrees; each piece is widened in metres of its own place.

    The line is thinned first: the area's edge is off by 2 % of the width, and by 10 m at most.
    """
    points = pieces(thinned(line, width_m))
    parts = [_widened(start, end, width_m) for start, end in pairwise(points)]
    joined: BaseGeometry = shapely.union_all(parts)
    return joined


def circle(centre: LonLat, radius_m: float) -> BaseGeometry:
    """Return a circle's area, degrees; its 64 corners lie on the circle."""
    return _degrees(centre, shapely.Point(0.0, 0.0).buffer(radius_m, quad_segs=16))


def _widened(start: LonLat, end: LonLat, width_m: float) -> BaseGeometry:
    return _degrees(start, shapely.LineString([(0.0, 0.0), offset_m(start, *end)]).buffer(width_m, quad_segs=8))


def _degrees(origin: LonLat, area: BaseGeometry) -> BaseGeometry:
    def back(points: FloatArray) -> FloatArray:
        _, north = scales(origin[1])
        lats = origin[1] + points[:, 1] / north
        easts = np.array([scales((lat + origin[1]) / 2.0)[0] for lat in lats.tolist()])
        return np.column_stack([origin[0] + points[:, 0] / easts, lats])

    moved: BaseGeometry = shapely.transform(area, back)
    return moved
