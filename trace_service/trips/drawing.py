"""A trip as SVG paths: north is up, metres are the same in both directions, nothing is fetched from anywhere."""

from collections.abc import Iterable, Mapping, Sequence
from math import cos, floor, log10, radians
from typing import Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from geofence.trips import Role, TripPlan
from trace_service.trips.model import Violation
from trace_service.trips.shown import Place, during

WIDTH: Final = 640.0
INSET_WIDTH: Final = 360.0
_LEAST_SHARE, _MOST_SHARE = 0.4, 0.95
_EDGE_SHARE: Final = 0.05
_AROUND_M: Final = 1_500.0
_METRES_A_DEGREE: Final = 111_195.0
_FINEST: Final = 0.4
Points = NDArray[np.float64]
Box = tuple[float, float, float, float]


class Mark(NamedTuple):
    """Something with a place: a path, where its name stands, and what it is."""

    path: str
    x: float
    y: float
    name: str
    role: str


class Drawing(NamedTuple):
    """What the template puts into an SVG of `width` by `height`; `scale` is pixels and what they are in metres."""

    width: float
    height: float
    corridor: str
    track: str
    sites: list[Mark]
    marks: list[Mark]
    scale: tuple[float, float]


class _Frame:
    """From degrees to pixels."""

    def __init__(self, bounds: Box, width: float) -> None:
        west, south, east, north = bounds
        self._wide = cos(radians((south + north) / 2.0))
        width_m = max(1.0, (east - west) * self._wide * _METRES_A_DEGREE)
        height_m = max(1.0, (north - south) * _METRES_A_DEGREE)
        edges = 2 * _EDGE_SHARE * width
        room = width - edges
        self.width = width
        self.height = min(_MOST_SHARE * width, max(_LEAST_SHARE * width, room * height_m / width_m + edges))
        self.pixels_a_metre = min(room / width_m, (self.height - edges) / height_m)
        self._centre = (west + east) / 2.0, (south + north) / 2.0

    def pixels(self, points: Points) -> Points:
        """Return pixels of degrees, shape (n, 2)."""
        scale = self.pixels_a_metre * _METRES_A_DEGREE
        x = self.width / 2.0 + (points[:, 0] - self._centre[0]) * self._wide * scale
        y = self.height / 2.0 - (points[:, 1] - self._centre[1]) * scale
        return np.column_stack([x, y])

    def place(self, lon: float, lat: float) -> tuple[float, float]:
        """Return the pixel of one position."""
        x, y = self.pixels(np.array([[lon, lat]]))[0].tolist()
        return round(x, 1), round(y, 1)


def corridor_of(plan: TripPlan) -> BaseGeometry:
    """Return the corridors of all legs together, degrees."""
    joined: BaseGeometry = shapely.union_all([leg.area() for leg in plan.legs])
    return joined


def whole(plan: TripPlan, corridor: BaseGeometry, places: Sequence[Place], found: Sequence[Violation]) -> Drawing:
    """Return the trip with everything in view."""
    west, south, east, north = corridor.bounds
    if places:
        west, east = min(west, *(each.lon for each in places)), max(east, *(each.lon for each in places))
        south, north = min(south, *(each.lat for each in places)), max(north, *(each.lat for each in places))
    return _drawn(plan, corridor, places, dict(enumerate(found, start=1)), _Frame((west, south, east, north), WIDTH))


def around(
    plan: TripPlan, corridor: BaseGeometry, places: Sequence[Place], marked: tuple[int, Violation]
) -> Drawing | None:
    """Return the surroundings of a violation with the number that its mark bears, None where nobody knows its place."""
    number, one = marked
    spots = during(one, places)
    if not spots:
        return None
    reach = _AROUND_M / _METRES_A_DEGREE
    middle = radians(sum(each.lat for each in spots) / len(spots))
    wide = reach / max(0.05, cos(middle))
    lons, lats = [each.lon for each in spots], [each.lat for each in spots]
    box = (min(lons) - wide, min(lats) - reach, max(lons) + wide, max(lats) + reach)
    return _drawn(plan, corridor, places, {number: one}, _Frame(box, INSET_WIDTH))


def _drawn(
    plan: TripPlan, corridor: BaseGeometry, places: Sequence[Place], found: Mapping[int, Violation], frame: _Frame
) -> Drawing:
    sites = []
    for site in plan.sites:
        x, y = frame.place(site.lon, site.lat)
        shown = "" if site.role is Role.ALLOWED else site.id
        sites.append(Mark(_area(frame, site.area()), x, y, shown, site.role.value))
    marks = []
    for number, each in found.items():
        spots = during(each, places)
        if spots and each.state != "retracted":
            middle = spots[len(spots) // 2]
            x, y = frame.place(middle.lon, middle.lat)
            marks.append(Mark(_line(frame, spots), x, y, str(number), each.severity))
    track = _line(frame, places)
    return Drawing(frame.width, round(frame.height, 1), _area(frame, corridor), track, sites, marks, _scale(frame))


def _line(frame: _Frame, places: Sequence[Place]) -> str:
    if len(places) < 2:  # noqa: PLR2004  a line has two ends
        return ""
    pixels = frame.pixels(np.array([(each.lon, each.lat) for each in places]))
    return _path([shapely.LineString(pixels)], closed=False)


def _area(frame: _Frame, area: BaseGeometry) -> str:
    flat = shapely.transform(area, frame.pixels)
    rings = [ring for part in shapely.get_parts(flat) for ring in (part.exterior, *part.interiors)]
    return _path(rings, closed=True)


def _path(lines: Iterable[BaseGeometry], *, closed: bool) -> str:
    parts = []
    for line in lines:
        points = shapely.get_coordinates(shapely.simplify(line, _FINEST)).tolist()
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + ("Z" if closed else ""))
    return "".join(parts)


def _scale(frame: _Frame) -> tuple[float, float]:
    """Return a round length that takes a fifth of the width at most."""
    most = frame.width / 5.0 / frame.pixels_a_metre
    power = 10.0 ** floor(log10(most))
    metres = next(step * power for step in (5.0, 2.0, 1.0) if step * power <= most)
    return round(metres * frame.pixels_a_metre, 1), metres
