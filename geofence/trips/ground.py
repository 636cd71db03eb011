"""A plan made ready for questions: its line, and how far a point is from its sites."""

from collections import defaultdict
from dataclasses import dataclass
from math import cos, floor, hypot, inf, radians
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from geofence.trips.line import RouteLine
from geofence.trips.plan import Role, Site, TripPlan
from geofence.trips.plane import LonLat, distance_m, offset_m
from geofence.trips.rules import Rules

_CELL: Final = 0.05
_NEAR_M: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Place:
    """A site in metres around its centre; `extent_m` reaches its farthest point, `depth_m` its innermost."""

    site: Site
    flat: BaseGeometry | None
    extent_m: float
    depth_m: float

    def distance_m(self, lon: float, lat: float) -> float:
        """Return the metres to the border, negative inside."""
        x, y = offset_m((self.site.lon, self.site.lat), lon, lat)
        if self.flat is None:
            return hypot(x, y) - self.site.radius_m
        point = shapely.Point(x, y)
        away: float = self.flat.distance(point)
        return away if away > 0 else -float(self.flat.boundary.distance(point))

    def crossed_m(self, start: LonLat, end: LonLat) -> float:
        """Return how many metres of a straight line run through the site."""
        centre = (self.site.lon, self.site.lat)
        line = shapely.LineString([offset_m(centre, *start), offset_m(centre, *end)])
        flat = self.flat if self.flat is not None else shapely.Point(0.0, 0.0).buffer(self.site.radius_m)
        return float(flat.intersection(line).length)


class Ground:
    """Where a trip takes place; built once, shared by all judgements of one plan."""

    def __init__(self, plan: TripPlan, rules: Rules) -> None:
        self.plan = plan
        self.rules = rules
        self.line = RouteLine(plan.legs, rules.corridor_margin_m + rules.clear_of_radii * rules.usable_accuracy_m)
        self.places = {site.id: _place(site) for site in plan.sites}
        self.forbidden = [place for place in self.places.values() if place.site.role is Role.FORBIDDEN]
        self._cells: dict[tuple[int, int], list[str]] = defaultdict(list)
        for name, place in self.places.items():
            for cell in _cells(place):
                self._cells[cell].append(name)

    def near(self, lon: float, lat: float) -> list[str]:
        """Return the sites that are less than a kilometre away, and perhaps some that are not."""
        return self._cells.get((floor(lon / _CELL), floor(lat / _CELL)), [])

    def nearest_m(self, lon: float, lat: float) -> float:
        """Return the metres to the nearest site where goods may be handled, negative inside."""
        allowed = (place for place in self.places.values() if place.site.role is not Role.FORBIDDEN)
        return min((place.distance_m(lon, lat) for place in allowed), default=inf)

    def straight_stays_inside(self, start: LonLat, end: LonLat) -> bool:
        """Whether the straight line between two points of the corridor never leaves it."""
        steps = max(2, min(40, int(distance_m(start, end) / 250.0)))
        lon_step = ((end[0] - start[0] + 180.0) % 360.0 - 180.0) / steps
        lat_step = (end[1] - start[1]) / steps
        for step in range(1, steps):
            found = self.line.matches(start[0] + lon_step * step, start[1] + lat_step * step)
            if not any(each.away <= each.width + self.rules.corridor_margin_m for each in found):
                return False
        return True


def _place(site: Site) -> Place:
    if not site.ring:
        return Place(site, None, site.radius_m, site.radius_m)
    points = [offset_m((site.lon, site.lat), *point) for point in site.ring]
    flat = shapely.Polygon(points)
    shapely.prepare(flat)
    depth = float(flat.boundary.distance(flat.representative_point()))
    return Place(site, flat, max(hypot(*point) for point in points), depth)


def _cells(place: Place) -> list[tuple[int, int]]:
    site = place.site
    high = (place.extent_m + _NEAR_M) / 110_000.0
    wide = high / max(0.01, cos(radians(min(89.0, abs(site.lat) + high))))
    columns = range(floor((site.lon - wide) / _CELL), floor((site.lon + wide) / _CELL) + 1)
    rows = range(floor((site.lat - high) / _CELL), floor((site.lat + high) / _CELL) + 1)
    return [(column, row) for column in columns for row in rows]
