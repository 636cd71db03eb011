"""The obvious way to watch a truck: each fix against areas in degrees, an alarm at each change, no patience at all."""

from collections.abc import Iterator
from itertools import pairwise
from math import hypot
from typing import Final

import shapely

from firmware_sim.trackers import SimulatedTrip
from geofence.trips import Fix, Kind, Role

_METRES_A_DEGREE: Final = 111_320.0
_SILENT_MS: Final = 15 * 60 * 1000
_STOOD_MS: Final = 20 * 60 * 1000
_STOOD_DEGREES: Final = 0.0008
KINDS: Final = (Kind.OFF_ROUTE, Kind.SKIPPED_STOP, Kind.FORBIDDEN_SITE, Kind.MISSING_SIGNAL, Kind.LONG_STOP)
Alarm = tuple[Kind, int]


def alarms(trip: SimulatedTrip) -> list[Alarm]:
    """Return every alarm with its moment, in the order in which the fixes arrived."""
    fixes = [report for _, report in trip.deliveries if isinstance(report, Fix)]
    circles = {
        site.id: (site, shapely.Point(site.lon, site.lat).buffer(site.radius_m / _METRES_A_DEGREE))
        for site in trip.plan.sites
    }
    stops = [area for site, area in circles.values() if site.role is Role.STOP]
    forbidden = [area for site, area in circles.values() if site.role is Role.FORBIDDEN]
    route = shapely.LineString([point for leg in trip.plan.legs for point in leg.line])
    corridor = shapely.union_all([route.buffer(trip.plan.legs[0].width_m / _METRES_A_DEGREE), *stops])
    points = shapely.points([(fix.lon, fix.lat) for fix in fixes])
    for area in (corridor, *forbidden):
        shapely.prepare(area)
    found = list(_changes(Kind.OFF_ROUTE, fixes, [not each for each in shapely.covers(corridor, points)]))
    for area in forbidden:
        found += _changes(Kind.FORBIDDEN_SITE, fixes, list(shapely.covers(area, points)))
    for area in stops:
        if not shapely.covers(area, points).any():
            found.append((Kind.SKIPPED_STOP, fixes[-1].at))
    pairs = pairwise(fixes)
    found += [(Kind.MISSING_SIGNAL, one.at) for one, other in pairs if other.at - one.at > _SILENT_MS]
    at_stop = shapely.covers(shapely.union_all(stops), points)
    return [*found, *_stands(fixes, list(at_stop))]


def _changes(kind: Kind, fixes: list[Fix], wrong: list[bool]) -> Iterator[Alarm]:
    before = False
    for fix, now in zip(fixes, wrong, strict=True):
        if now and not before:
            yield kind, fix.at
        before = now


def _stands(fixes: list[Fix], at_stop: list[bool]) -> Iterator[Alarm]:
    anchor, told = fixes[0], False
    for fix, parked in zip(fixes, at_stop, strict=True):
        if parked or hypot(fix.lon - anchor.lon, fix.lat - anchor.lat) > _STOOD_DEGREES:
            anchor, told = fix, False
        elif fix.at - anchor.at > _STOOD_MS and not told:
            told = True
            yield Kind.LONG_STOP, anchor.at
