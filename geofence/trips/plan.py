"""What a trip is supposed to be: legs of a route, sites, and stops with their times."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import isfinite

import shapely
from shapely.geometry.base import BaseGeometry

from geofence.errors import GeofenceError
from geofence.trips.plane import LonLat, buffered, circle, distance_m

LEAST_WIDTH_M, MOST_WIDTH_M = 20.0, 20_000.0
MOST_POINTS = 100_000
_END_REACH_M = 2_000.0
_RING = 4


class PlanError(GeofenceError):
    """A trip's plan that contradicts itself."""

    code = "geofence_trip_plan"


class Role(StrEnum):
    """What a site is to a trip."""

    STOP = "stop"
    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Site:
    """A place with a border, WGS-84: a circle around (lon, lat), or a closed ring."""

    id: str
    role: Role
    lon: float
    lat: float
    radius_m: float = 0.0
    ring: tuple[LonLat, ...] = ()

    def __post_init__(self) -> None:
        _check_points(self.id, [(self.lon, self.lat), *self.ring])
        if bool(self.ring) == bool(self.radius_m):
            raise PlanError(f"site {self.id} needs either a radius or a ring", advice="Give it one of them.")
        if not (isfinite(self.radius_m) and 0 <= self.radius_m <= MOST_WIDTH_M):
            raise PlanError(f"site {self.id} has the radius {self.radius_m} m", advice=f"Up to {MOST_WIDTH_M:g} m.")
        if self.ring and (len(self.ring) < _RING or not shapely.Polygon(self.ring).is_valid):
            raise PlanError(f"the ring of site {self.id} is no polygon", advice="Close it, without crossing itself.")

    def area(self) -> BaseGeometry:
        """Return its area in degrees."""
        return shapely.Polygon(self.ring) if self.ring else circle((self.lon, self.lat), self.radius_m)


@dataclass(frozen=True, slots=True)
class Leg:
    """A line from one stop to the next, WGS-84; the corridor reaches `width_m` to either side."""

    line: tuple[LonLat, ...]
    width_m: float

    def __post_init__(self) -> None:
        _check_points("a leg", self.line)
        if len(self.line) < 2:  # noqa: PLR2004  a line has two ends
            raise PlanError("a leg needs two points", advice="Draw it from stop to stop.")
        if not LEAST_WIDTH_M <= self.width_m <= MOST_WIDTH_M:
            raise PlanError(
                f"a leg is {self.width_m} m wide", advice=f"Between {LEAST_WIDTH_M:g} and {MOST_WIDTH_M:g} m a side."
            )

    def area(self) -> BaseGeometry:
        """Return the corridor in degrees."""
        return buffered(self.line, self.width_m)


@dataclass(frozen=True, slots=True)
class Stop:
    """A site to be served; moments in milliseconds since the epoch, None where it does not matter."""

    site: str
    opens: int | None = None
    closes: int | None = None
    min_dwell_s: int = 0
    max_dwell_s: int | None = None
    departs_by: int | None = None


@dataclass(frozen=True)
class TripPlan:
    """One truck's trip: stop, leg, stop, …, leg, stop. Raises PlanError naming what does not fit together."""

    id: str
    device: str
    stops: tuple[Stop, ...]
    legs: tuple[Leg, ...]
    sites: tuple[Site, ...]

    def __post_init__(self) -> None:
        if len(self.stops) != len(self.legs) + 1 or not self.legs:
            raise PlanError(
                f"{len(self.stops)} stops and {len(self.legs)} legs", advice="There is one leg between two stops."
            )
        if sum(len(leg.line) for leg in self.legs) > MOST_POINTS:
            raise PlanError(f"the route has more than {MOST_POINTS:,} points", advice="Simplify it.")
        twice = [name for name, count in Counter(site.id for site in self.sites).items() if count > 1]
        if twice:
            raise PlanError(f"site {twice[0]} is given twice", advice="Give each site an id of its own.")
        for number, stop in enumerate(self.stops):
            self._check_stop(number, stop)

    @cached_property
    def site_of(self) -> dict[str, Site]:
        """The sites by their ids."""
        return {site.id: site for site in self.sites}

    def _check_stop(self, number: int, stop: Stop) -> None:
        where = f"stop {number + 1} ({stop.site})"
        site = self.site_of.get(stop.site)
        if site is None or site.role is Role.FORBIDDEN:
            raise PlanError(f"{where} is at no site that it may visit", advice="List the site with role stop.")
        if stop.opens is not None and stop.closes is not None and stop.opens >= stop.closes:
            raise PlanError(f"{where} closes before it opens", advice="Check its window.")
        if stop.max_dwell_s is not None and stop.max_dwell_s <= stop.min_dwell_s:
            raise PlanError(f"{where} ends before its shortest stay", advice="Check its times.")
        if stop.min_dwell_s < 0:
            raise PlanError(f"{where} has a negative stay", advice="Check its times.")
        ends = [leg.line[end] for leg, end in zip(self.legs[number - 1 : number + 1], (-1, 0), strict=False)]
        ends = [self.legs[0].line[0]] if number == 0 else ends
        for end in ends:
            if distance_m(end, (site.lon, site.lat)) > site.radius_m + _END_REACH_M and not site.ring:
                raise PlanError(f"the route does not reach {where}", advice="Let legs begin and end at their stops.")


def _check_points(name: str, points: "tuple[LonLat, ...] | list[LonLat]") -> None:
    for lon, lat in points:
        if not (abs(lon) <= 180 and abs(lat) <= 90):  # noqa: PLR2004  degrees; False for NaN as well
            raise PlanError(f"{name} has the position {lon}, {lat}", advice="Longitude comes first, in degrees.")
