"""Drawn territories: polygons with ids, from GeoJSON, and how likely an uncertain position lies in one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import MAX_LATITUDE, FloatArray
from geofence.drawn import read_features, read_polygon
from geofence.errors import TerritoryError
from geofence.finding import DEFAULT_POLICY, Policy, Verdict
from geofence.grid import Grid, build_grid
from geofence.metric import metres_per_degree, nearest_segment_m
from geofence.probability import COARSE_ERROR, COARSE_POINTS, FINE_POINTS, REACH, unit_disc

# A degree is 111 km: drawn edges are followed in steps of at most 10 km.
STEP_DEGREES = 0.09
_WORLD = 360.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of one position and one fence; `signed_distance_m` is negative inside."""

    verdict: Verdict
    p_inside: float
    signed_distance_m: float


@dataclass(frozen=True, slots=True)
class Fence:
    """One polygon with the segments of its border."""

    geometry: BaseGeometry
    segments: NDArray[np.float64] = field(repr=False)

    def judge(self, lon: float, lat: float, sigma_m: float, policy: Policy = DEFAULT_POLICY) -> Judgement:
        """Return verdict, probability and distance of a WGS-84 position with a standard deviation of `sigma_m`."""
        shapely.prepare(self.geometry)
        inside = bool(shapely.intersects_xy(self.geometry, lon, lat))
        metres = nearest_segment_m((lon, lat), self.segments)
        if metres >= REACH * sigma_m:
            share = float(inside)
        else:
            share = self._share(lon, lat, sigma_m, COARSE_POINTS)
            if min(abs(share - policy.inside_at), abs(share - policy.outside_at)) <= COARSE_ERROR:
                share = self._share(lon, lat, sigma_m, FINE_POINTS)
        return Judgement(_verdict(share, policy), share, -metres if inside else metres)

    def _share(self, lon: float, lat: float, sigma_m: float, points: int) -> float:
        east, north = metres_per_degree(np.array(lat))
        x, y = unit_disc(points)
        lons = (lon + x * sigma_m / east + 180.0) % _WORLD - 180.0
        lats = np.clip(lat + y * sigma_m / north, -MAX_LATITUDE, MAX_LATITUDE)
        return float(shapely.intersects_xy(self.geometry, lons, lats).mean())


class Fences:
    """Polygons by id, which may overlap, with their index."""

    def __init__(self, shapes: Mapping[str, BaseGeometry]) -> None:
        self.ids = tuple(shapes)
        self._shapes = dict(shapes)
        self.grid: Grid = build_grid(np.array(list(shapes.values()), dtype=object))
        self._names: dict[int, tuple[str, ...]] = {}

    def inside(self, lons: FloatArray, lats: FloatArray) -> list[tuple[str, ...]]:
        """Return for each WGS-84 point the ids of all fences that cover it, borders included."""
        return [self._named(set_id) for set_id in self.grid.locate(lons, lats).tolist()]

    def fence(self, fence_id: str) -> Fence:
        """Return one fence. Raises TerritoryError for an unknown id."""
        if fence_id not in self._shapes:
            raise TerritoryError(f"no feature has the id {fence_id!r}", advice=f"There are: {', '.join(self.ids[:20])}")
        geometry = self._shapes[fence_id]
        lines = shapely.get_parts(shapely.boundary(shapely.segmentize(geometry, STEP_DEGREES)))
        points = [shapely.get_coordinates(line) for line in lines]
        segments = [np.concatenate([each[:-1], each[1:]], axis=1) for each in points]
        # The seam along ±180° is a cut through the polygon, not a border of it.
        joined = np.concatenate(segments)
        seam = (np.abs(joined[:, 0]) == _WORLD / 2) & (np.abs(joined[:, 2]) == _WORLD / 2)
        return Fence(geometry, joined[~seam])

    def _named(self, set_id: int) -> tuple[str, ...]:
        if set_id not in self._names:
            self._names[set_id] = tuple(self.ids[index] for index in self.grid.sets.of(set_id).tolist())
        return self._names[set_id]


def _verdict(p_inside: float, policy: Policy) -> Verdict:
    if p_inside >= policy.inside_at:
        return Verdict.INSIDE
    return Verdict.OUTSIDE if p_inside <= policy.outside_at else Verdict.UNCERTAIN


def read_fences(content: bytes) -> dict[str, BaseGeometry]:
    """Return the polygons of a GeoJSON FeatureCollection in WGS-84 by the `id` of their feature or its properties.

    Raises TerritoryError naming the feature and what is wrong with it.
    """
    features = read_features(content)
    found: dict[str, BaseGeometry] = {}
    for number, feature in enumerate(features):
        name = _id(number, feature)
        if name in found:
            raise TerritoryError(f"feature {number} repeats the id {name!r}", advice="Give each feature an id.")
        found[name] = read_polygon(f"feature {number} ({name})", feature.get("geometry"))
    return found


def _id(number: int, feature: object) -> str:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise TerritoryError(f"feature {number} is no Feature", advice="Export a FeatureCollection of Features.")
    properties = feature.get("properties")
    name = feature.get("id", properties.get("id") if isinstance(properties, dict) else None)
    if not isinstance(name, str | int) or isinstance(name, bool) or not str(name) or ";" in str(name):
        raise TerritoryError(f"feature {number} has no usable id", advice="Give it an `id` without semicolons.")
    return str(name)
