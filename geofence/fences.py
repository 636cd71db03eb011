"""Drawn territories: polygons with ids, from GeoJSON, and how likely an uncertain position lies in one of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geofence.coordinates import BoolArray, FloatArray
from geofence.errors import TerritoryError
from geofence.finding import DEFAULT_POLICY, Policy, Verdict
from geofence.geometry.border import Discs, Forest, Tree, table_of
from geofence.geometry.disc import REACH
from geofence.geometry.polygons import read_features, read_polygon
from geofence.geometry.probability import NORMAL, off_border, share_within
from geofence.grid import Grid, build_grid
from geofence.grid.drawings import drawn_edges


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of one position and one fence; `signed_distance_m` is negative inside."""

    verdict: Verdict
    p_inside: float
    signed_distance_m: float


class Fence:
    """One polygon in WGS-84 degrees with its border, whose edges are followed in steps of at most 10 km."""

    def __init__(self, geometry: BaseGeometry) -> None:
        self.geometry = geometry
        ends = drawn_edges(geometry)
        table = table_of(ends)
        self._forest = Forest.of(table, [Tree.of(table, np.arange(1, len(ends) + 1, dtype=np.int32))])

    def judge(self, lon: float, lat: float, sigma_m: float, policy: Policy = DEFAULT_POLICY) -> Judgement:
        """Return verdict, probability and distance of a WGS-84 position with a standard deviation of `sigma_m`."""
        share, metres = self.judge_many(np.array([lon]), np.array([lat]), np.array([sigma_m]))
        return Judgement(policy.verdict(float(share[0])), float(share[0]), float(metres[0]))

    def judge_many(self, lons: FloatArray, lats: FloatArray, sigmas_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of each error disc in the polygon and the signed distance in metres, shape (n,) each."""
        inside = self._covers(lons, lats)
        metres = self.distance_m(lons, lats)
        share = inside.astype(np.float64)
        near = np.flatnonzero(metres < REACH * sigmas_m)
        if len(near):
            discs = off_border(Discs(lons[near], lats[near], sigmas_m[near]), metres[near])
            alone = self._forest, np.zeros(len(near), dtype=np.intp)
            share[near] = share_within(alone, discs, self._covers(discs.lon, discs.lat), NORMAL)
        return share, np.where(inside, -metres, metres)

    def distance_m(self, lons: FloatArray, lats: FloatArray) -> FloatArray:
        """Return the metres from WGS-84 points to the border, shape (n,)."""
        return self._forest.nearest(np.zeros(len(lons), dtype=np.intp), lons, lats).metres

    def _covers(self, lons: FloatArray, lats: FloatArray) -> BoolArray:
        shapely.prepare(self.geometry)
        covered: BoolArray = shapely.intersects_xy(self.geometry, lons, lats)
        return covered


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
        return Fence(self._shapes[fence_id])

    def _named(self, set_id: int) -> tuple[str, ...]:
        if set_id not in self._names:
            self._names[set_id] = tuple(self.ids[index] for index in self.grid.sets.of(set_id).tolist())
        return self._names[set_id]


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
    name = feature.get("id")
    if name is None and isinstance(properties, dict):
        name = properties.get("id")
    if not isinstance(name, str | int) or isinstance(name, bool) or not str(name) or ";" in str(name):
        raise TerritoryError(f"feature {number} has no usable id", advice="Give it an `id` without semicolons.")
    return str(name)
