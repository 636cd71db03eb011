"""A verified fence, ready for questions; numpy and shapely are all that it needs."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

from contracts.fence import FenceError, FenceHead, Part, Point, Shape
from geofence.fences import Fence, Judgement
from geofence.finding import Verdict
from geofence.geometry.disc import REACH
from geofence.geometry.metric import nearest_segment_m
from geofence.grid.drawings import drawn_edges
from geofence.trips import DEFAULT_RULES, Ground, Judge, Leg, Role, Site, Stop, TripPlan
from geofence.trips.plan import PlanError
from geofence.trips.plane import buffered, circle

_NOWHERE = Judgement(Verdict.NO_LOCATION, 0.0, 0.0)
_ROLES = {Part.STOP: Role.STOP, Part.ALLOWED: Role.ALLOWED, Part.FORBIDDEN: Role.FORBIDDEN}


class _Cut(NamedTuple):
    """A shape with its own points."""

    shape: Shape
    points: list[Point]


class HeldFence:
    """One fence whose signature, audience and time were checked by the caller."""

    def __init__(self, head: FenceHead, points: Sequence[Point]) -> None:
        self.head = head
        self._cuts = list(_cut(head, points))
        allowed = [_area(each) for each in self._cuts if each.shape.part is not Part.FORBIDDEN]
        barred = [_area(each) for each in self._cuts if each.shape.part is Part.FORBIDDEN]
        whole = shapely.union_all(allowed)
        self.area: BaseGeometry = shapely.difference(whole, shapely.union_all(barred)) if barred else whole
        self._fence = None if self.area.is_empty else Fence(self.area)
        if self._fence is not None:
            self._edges = drawn_edges(self.area)
            shapely.prepare(self.area)

    def judge(self, lon: float, lat: float, sigma_m: float) -> Judgement:
        """Return verdict, probability and distance of a WGS-84 position; negative distances lie inside.

        Everything that is not forbidden is allowed: areas, corridors and sites. `sigma_m` is one standard deviation.
        """
        if self._fence is None:
            return _NOWHERE
        # Most positions are far from the border, and need no probability of a disc.
        metres = nearest_segment_m((lon, lat), self._edges)
        if metres <= REACH * sigma_m:
            return self._fence.judge(lon, lat, sigma_m)
        if shapely.intersects_xy(self.area, lon, lat):
            return Judgement(Verdict.INSIDE, 1.0, -metres)
        return Judgement(Verdict.OUTSIDE, 0.0, metres)

    def is_expired(self, now_ms: int) -> bool:
        """Whether its time is over."""
        return now_ms >= self.head.expires_at

    @cached_property
    def plan(self) -> TripPlan:
        """The trip that a truck's fence describes. Raises `FenceError` for the fence of a site."""
        kind, _, name = self.head.audience.partition(":")
        legs = tuple(Leg(tuple(each.points), each.shape.size_m) for each in self._cuts if each.shape.part is Part.LEG)
        sites = tuple(_site(each) for each in self._cuts if each.shape.part in _ROLES)
        stops = tuple(
            Stop(each.site, each.opens, each.closes, each.min_dwell_s, each.max_dwell_s, each.departs_by)
            for each in self.head.stops
        )
        if kind != "device" or not legs:
            raise FenceError("this fence has no route", advice="Fetch the fence of this truck's trip.")
        try:
            return TripPlan(self.head.source, name, stops, legs, sites)
        except PlanError as error:
            raise FenceError(str(error), advice=error.advice) from error

    def follow(self) -> Judge:
        """Return the judgement of the truck's trip: the code that the trace service judges it with."""
        return Judge(Ground(self.plan, DEFAULT_RULES))


def _cut(head: FenceHead, points: Sequence[Point]) -> Iterator[_Cut]:
    start = 0
    for shape in head.shapes:
        yield _Cut(shape, list(points[start : start + shape.points]))
        start += shape.points


def _area(cut: _Cut) -> BaseGeometry:
    shape, points = cut
    if shape.part is Part.LEG:
        if len(points) < 2:  # noqa: PLR2004  a line has two ends
            raise FenceError(f"the leg {shape.id} is no line")
        return buffered(points, shape.size_m)
    if not shape.rings:
        return circle(points[0], shape.size_m)
    rings = list(_rings(cut))
    # Rounding may make neighbours touch.
    polygon: BaseGeometry = shapely.make_valid(shapely.Polygon(rings[0], rings[1:]))
    return polygon


def _rings(cut: _Cut) -> Iterator[list[Point]]:
    start = len(cut.points) - sum(cut.shape.rings)
    if start not in {0, 1}:
        raise FenceError(f"the rings of {cut.shape.id} contradict its points")
    for count in cut.shape.rings:
        yield cut.points[start : start + count]
        start += count


def _site(cut: _Cut) -> Site:
    shape, points = cut
    role = _ROLES[shape.part]
    if not shape.rings:
        return Site(shape.id, role, *points[0], radius_m=shape.size_m)
    return Site(shape.id, role, *points[0], ring=tuple(next(_rings(cut))))
