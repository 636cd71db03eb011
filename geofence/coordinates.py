"""Reference systems: WGS-84, and the two shifted systems in use on the Chinese mainland.

GCJ-02 is WGS-84 moved by 100 to 700 m inside the mainland and unchanged outside it; BD-09 is GCJ-02 rotated and
scaled once more. The mainland is asked of a polygon, because a bounding box would also shift Seoul and Hanoi.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geofence.errors import CoordinateError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
LonLat = tuple[FloatArray, FloatArray]

# Krasovsky 1940, the ellipsoid that the published GCJ-02 formula is written for.
SEMI_MAJOR_M = 6378245.0
ECCENTRICITY_2 = 0.00669342162296594323
BAIDU_PI = np.pi * 3000.0 / 180.0
BAIDU_OFFSET = (0.0065, 0.006)
MAX_LONGITUDE, MAX_LATITUDE = 180.0, 90.0
# Each step shrinks the error a thousandfold, so the fourth is below the resolution of a double in degrees.
INVERSE_STEPS = 4


class Crs(StrEnum):
    """The coordinate reference system a position was reported in."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


class Region(Protocol):
    """Anything that can tell which points lie in it."""

    def contains_many(self, lons: FloatArray, lats: FloatArray) -> BoolArray:
        """Return one boolean per point; the border counts as inside."""


def validated(lons: ArrayLike, lats: ArrayLike) -> LonLat:
    """Return both arrays as float64, one-dimensional and of one length, degrees.

    Raises CoordinateError naming the first offending point: NaN, infinite, or out of range.
    """
    lon = np.atleast_1d(np.asarray(lons, dtype=np.float64))
    lat = np.atleast_1d(np.asarray(lats, dtype=np.float64))
    if lon.shape != lat.shape or lon.ndim != 1:
        raise CoordinateError(
            f"longitudes have shape {lon.shape}, latitudes {lat.shape}",
            advice="Pass two flat arrays of the same length.",
        )
    _refuse("longitude", lon, MAX_LONGITUDE)
    _refuse("latitude", lat, MAX_LATITUDE)
    return lon, lat


def _refuse(name: str, values: FloatArray, limit: float) -> None:
    good = np.abs(values) <= limit  # False for NaN as well
    if good.all():
        return
    index = int(np.argmin(good))
    value = float(values[index])
    if not np.isfinite(value):
        raise CoordinateError(
            f"{name} of point {index} is {value}", advice="Report a missing position as no position at all."
        )
    raise CoordinateError(
        f"{name} of point {index} is {value}, beyond ±{limit:g}°",
        advice="Check that longitude comes first and that the values are degrees.",
    )


def convert(lons: ArrayLike, lats: ArrayLike, path: tuple[Crs, Crs], mainland: Region) -> LonLat:
    """Convert degrees from `path[0]` to `path[1]`; arrays of shape (n,) in, arrays of shape (n,) out."""
    source, target = path
    lon, lat = validated(lons, lats)
    if source is target:
        return lon.copy(), lat.copy()
    if source is Crs.WGS84:
        lon, lat = _wgs84_to_gcj02(lon, lat, mainland)
    elif source is Crs.BD09:
        lon, lat = _invert(_gcj02_to_bd09, lon, lat)
    if target is Crs.WGS84:
        return _gcj02_to_wgs84(lon, lat, mainland)
    return _gcj02_to_bd09(lon, lat) if target is Crs.BD09 else (lon, lat)


def to_wgs84(lons: ArrayLike, lats: ArrayLike, crs: Crs, mainland: Region) -> LonLat:
    """Convert degrees reported in `crs` to WGS-84."""
    return convert(lons, lats, (crs, Crs.WGS84), mainland)


def _wgs84_to_gcj02(lon: FloatArray, lat: FloatArray, mainland: Region) -> LonLat:
    inside = mainland.contains_many(lon, lat)
    shifted_lon, shifted_lat = _shifted(lon, lat)
    return np.where(inside, shifted_lon, lon), np.where(inside, shifted_lat, lat)


def _gcj02_to_wgs84(lon: FloatArray, lat: FloatArray, mainland: Region) -> LonLat:
    # Membership is asked of the candidate, not of the shifted point: only then does every mainland point come back.
    candidate_lon, candidate_lat = _invert(_shifted, lon, lat)
    inside = mainland.contains_many(candidate_lon, candidate_lat)
    return np.where(inside, candidate_lon, lon), np.where(inside, candidate_lat, lat)


def _shifted(lon: FloatArray, lat: FloatArray) -> LonLat:
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    common = 20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (common + _waves(y, (20.0, 1.0), (40.0, 1 / 3), (160.0, 1 / 12), (320.0, 1 / 30))) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (common + _waves(x, (20.0, 1.0), (40.0, 1 / 3), (150.0, 1 / 12), (300.0, 1 / 30))) * 2.0 / 3.0
    phi = np.radians(lat)
    flattening = 1.0 - ECCENTRICITY_2 * np.sin(phi) ** 2
    meridian = SEMI_MAJOR_M * (1.0 - ECCENTRICITY_2) / flattening**1.5
    parallel = SEMI_MAJOR_M / np.sqrt(flattening) * np.maximum(np.cos(phi), 1e-9)
    return lon + np.degrees(east / parallel), lat + np.degrees(north / meridian)


def _waves(value: FloatArray, *terms: tuple[float, float]) -> FloatArray:
    total = np.zeros_like(value)
    for amplitude, frequency in terms:
        total += amplitude * np.sin(value * np.pi * frequency)
    return total


def _gcj02_to_bd09(lon: FloatArray, lat: FloatArray) -> LonLat:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * BAIDU_PI)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * BAIDU_PI)
    return radius * np.cos(angle) + BAIDU_OFFSET[0], radius * np.sin(angle) + BAIDU_OFFSET[1]


def _invert(forward: Callable[[FloatArray, FloatArray], LonLat], lon: FloatArray, lat: FloatArray) -> LonLat:
    guess_lon, guess_lat = lon, lat
    for _ in range(INVERSE_STEPS):
        image_lon, image_lat = forward(guess_lon, guess_lat)
        guess_lon, guess_lat = guess_lon - (image_lon - lon), guess_lat - (image_lat - lat)
    return guess_lon, guess_lat
