"""One simulated trip: its plan, what its tracker sent, and what truly went wrong."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from firmware_sim.trackers.drive import Drive, Visit
from firmware_sim.trackers.noise import Delivery, Sky, Track, delivered, fixes, sky
from firmware_sim.trackers.roads import PLACES, Road, beside, bulged, road
from geofence.trips import Fix, Handling, HandlingKind, Kind, Leg, Role, Site, Stop, TripPlan
from geofence.trips.plane import distance_m

KINDS: Final = tuple(Kind)
_EPOCH_S: Final = 1_767_225_600
_DAY_S: Final = 86_400
_CLEAR_M: Final = 6_000.0
_LONGEST_LEG_DEGREES: Final = 1.3
_BETWEEN_M: Final = 600.0


class Planted(NamedTuple):
    """What was done wrong on purpose, from when to when, milliseconds since the epoch."""

    kind: Kind
    start: int
    end: int


@dataclass(frozen=True)
class SimulatedTrip:
    """A trip with its truth: `deliveries` in the order of their arrival."""

    plan: TripPlan
    deliveries: list[Delivery]
    planted: Planted | None


@dataclass
class _Tour:
    """Where a trip leads, before anybody drives it."""

    names: list[str]
    roads: list[Road]
    width: float


def simulate(seed: int, kind: Kind | None = None) -> SimulatedTrip:
    """Return the trip of a seed: an honest one, or one with a single violation of `kind`. Deterministic."""
    variant = 0 if kind is None else 1 + KINDS.index(kind)
    found = None
    attempt = 0
    while found is None:
        found = _simulated(np.random.default_rng([seed, variant, attempt]), f"truck-{seed:05}", kind)
        attempt += 1
    return found


def _simulated(rng: np.random.Generator, device: str, kind: Kind | None) -> SimulatedTrip | None:
    """Return a trip, or None where its forbidden ground lies on another of its roads."""
    tour = _tour(rng, kind)
    drive = Drive(rng, float(_EPOCH_S + _DAY_S * int(rng.integers(0, 300)) + int(rng.integers(4, 9)) * 3600))
    legs = len(tour.roads) - (kind is Kind.OVERSTAY)
    chosen = int(rng.integers(0, legs))
    dwells = [float(rng.uniform(900.0, 2400.0)) for _ in tour.names]
    deed = _Deed(kind, chosen, float(rng.uniform(0.3, 0.6)) * tour.roads[chosen].length_m)
    planted = _drive(drive, tour, deed, dwells)
    plan = _plan(rng, device, tour, dwells, deed)
    if not _is_clear(plan, deed.leg):
        return None
    plan, planted = _schedule(rng, plan, drive.visits, kind, planted)
    heard = sky(rng)
    reports = _reports(rng, device, drive, heard, planted)
    return SimulatedTrip(plan, delivered(rng, reports, heard), planted)


class _Deed(NamedTuple):
    """What is done wrong, on which leg, and where on it."""

    kind: Kind | None
    leg: int
    spot: float


def _tour(rng: np.random.Generator, kind: Kind | None) -> _Tour:
    names = [str(rng.choice(list(PLACES)))]
    for _ in range(int(rng.integers(1, 4))):
        here = PLACES[names[-1]]
        near = [
            name
            for name, place in PLACES.items()
            if name not in names and abs(place[0] - here[0]) + abs(place[1] - here[1]) < _LONGEST_LEG_DEGREES
        ]
        if near:
            names.append(str(rng.choice(near)))
    if len(names) == 1:
        names.append("chengdu" if names[0] != "chengdu" else "deyang")
    # A turn on a road that is driven both ways may be nothing wrong: it is planted where there is only one way.
    returns = bool(rng.random() < 0.4) and kind not in {Kind.WRONG_WAY, Kind.SKIPPED_STOP}  # noqa: PLR2004  two tours in five
    places = {name: _near(rng, PLACES[name]) for name in names}
    roads = [road(rng, places[one], places[other]) for one, other in pairwise(names)]
    if kind in {Kind.SKIPPED_STOP, Kind.OVERSTAY} and len(names) == 2:  # noqa: PLR2004  a stop between two others is needed
        far = next(name for name in PLACES if name not in names)
        names.append(far)
        roads.append(road(rng, places[names[1]], _near(rng, PLACES[far])))
    if returns:
        roads += [each.part(each.length_m, 0.0) for each in reversed(roads)]
        names += names[-2::-1]
    return _Tour(names, roads, float(rng.choice([400.0, 600.0, 1000.0])))


def _near(rng: np.random.Generator, place: tuple[float, float]) -> tuple[float, float]:
    return place[0] + float(rng.normal(0.0, 0.02)), place[1] + float(rng.normal(0.0, 0.02))


def _drive(drive: Drive, tour: _Tour, deed: _Deed, dwells: list[float]) -> Planted | None:
    rng, planted = drive.rng, None
    skipped = int(rng.integers(1, len(tour.names) - 1)) if deed.kind is Kind.SKIPPED_STOP else -1
    late = float(rng.uniform(2400.0, 5400.0)) if deed.kind is Kind.LATE_DEPARTURE else 0.0
    drive.visit(dwells[0] + late)
    for number, stretch in enumerate(tour.roads):
        if number == deed.leg and deed.kind in _DEEDS:
            began, ended = _DEEDS[deed.kind](drive, tour, stretch, deed.spot)
            planted = Planted(deed.kind, int(began * 1000), int(ended * 1000))
        else:
            drive.take(stretch)
        stop = number + 1
        if stop == skipped:
            drive.visits.append(Visit(drive.now, drive.now))
            planted = Planted(Kind.SKIPPED_STOP, int(drive.now * 1000), int((drive.now + 900.0) * 1000))
            continue
        extra = float(rng.uniform(3000.0, 5400.0)) if deed.kind is Kind.OVERSTAY and stop == deed.leg + 1 else 0.0
        if deed.kind is Kind.OVERSTAY and stop == deed.leg + 1:
            planted = Planted(Kind.OVERSTAY, int(drive.now * 1000), int((drive.now + dwells[stop] + extra) * 1000))
        drive.visit(dwells[stop] + extra)
    return planted


def _detour(drive: Drive, tour: _Tour, stretch: Road, spot: float) -> tuple[float, float]:
    reach = float(drive.rng.uniform(8_000.0, 14_000.0))
    side = float(drive.rng.choice([-1.0, 1.0])) * (tour.width + float(drive.rng.uniform(900.0, 4_000.0)))
    drive.take(stretch.part(0.0, spot))
    span = drive.take(bulged(stretch.part(spot, min(stretch.length_m - 5_000.0, spot + reach)), side))
    drive.take(stretch.part(min(stretch.length_m - 5_000.0, spot + reach), stretch.length_m))
    return span


def _turn_back(drive: Drive, tour: _Tour, stretch: Road, spot: float) -> tuple[float, float]:
    del tour
    back = spot - float(drive.rng.uniform(2_500.0, 5_000.0))
    drive.take(stretch.part(0.0, spot))
    span = drive.take(stretch.part(spot, back))
    drive.take(stretch.part(back, stretch.length_m))
    return span


def _rest(drive: Drive, tour: _Tour, stretch: Road, spot: float) -> tuple[float, float]:
    del tour
    drive.take(stretch.part(0.0, spot))
    span = drive.stand(float(drive.rng.uniform(1800.0, 3600.0)))
    drive.take(stretch.part(spot, stretch.length_m))
    return span


def _unload(drive: Drive, tour: _Tour, stretch: Road, spot: float) -> tuple[float, float]:
    del tour
    drive.take(stretch.part(0.0, spot))
    span = drive.stand(float(drive.rng.uniform(420.0, 780.0)))
    drive.take(stretch.part(spot, stretch.length_m))
    return span


def _trespass(drive: Drive, tour: _Tour, stretch: Road, spot: float) -> tuple[float, float]:
    drive.take(stretch.part(0.0, spot - 1_500.0))
    around = stretch.part(spot - 1_500.0, spot + 1_500.0)
    way = bulged(around, _BESIDE * tour.width)
    drive.take(way.part(0.0, way.length_m / 2), jams=False)
    span = drive.stand(float(drive.rng.uniform(240.0, 540.0)))
    drive.take(way.part(way.length_m / 2, way.length_m), jams=False)
    drive.take(stretch.part(spot + 1_500.0, stretch.length_m))
    return span


def _fall_silent(drive: Drive, tour: _Tour, stretch: Road, spot: float) -> tuple[float, float]:
    del tour, spot
    began, ended = drive.take(stretch, jams=False)
    middle = (began + ended) / 2.0
    lasts = min(float(drive.rng.uniform(1500.0, 3000.0)), 0.7 * (ended - began))
    return middle - lasts / 2.0, middle + lasts / 2.0


_BESIDE: Final = 0.75
_DEEDS: Final = {
    Kind.OFF_ROUTE: _detour,
    Kind.WRONG_WAY: _turn_back,
    Kind.LONG_STOP: _rest,
    Kind.UNLOAD_OUTSIDE: _unload,
    Kind.FORBIDDEN_SITE: _trespass,
    Kind.MISSING_SIGNAL: _fall_silent,
}


def _plan(rng: np.random.Generator, device: str, tour: _Tour, dwells: list[float], deed: _Deed) -> TripPlan:
    ends = [tour.roads[0].points[0], *(each.points[-1] for each in tour.roads)]
    sites = {
        name: Site(name, Role.STOP, lon, lat, float(rng.uniform(150.0, 300.0)))
        for name, (lon, lat) in zip(tour.names, np.array(ends).tolist(), strict=True)
    }
    # A detour leads past forbidden ground, not through it.
    spot = deed.spot / 2.0 if deed.kind is Kind.OFF_ROUTE else deed.spot
    forbidden = beside(tour.roads[deed.leg], spot, _BESIDE * tour.width)
    radius = min(0.45 * tour.width, 350.0)
    sites["works"] = Site("works", Role.FORBIDDEN, *forbidden, radius)
    stops = tuple(
        Stop(name, min_dwell_s=int(dwell * 0.5), max_dwell_s=int(dwell + 1500.0))
        for name, dwell in zip(tour.names, dwells, strict=True)
    )
    legs = tuple(Leg(tuple((x, y) for x, y in each.points.tolist()), tour.width) for each in tour.roads)
    return TripPlan(device.replace("truck", "trip"), device, stops, legs, tuple(sites.values()))


def _is_clear(plan: TripPlan, own: int) -> bool:
    """Whether no other leg runs through the forbidden ground beside one."""
    (works,) = (site for site in plan.sites if site.role is Role.FORBIDDEN)
    return all(
        distance_m((works.lon, works.lat), point) > works.radius_m + _BETWEEN_M
        for number, leg in enumerate(plan.legs)
        if leg.line[::-1] != plan.legs[own].line and number != own
        for point in leg.line
    )


def _schedule(
    rng: np.random.Generator, plan: TripPlan, visits: list[Visit], kind: Kind | None, planted: Planted | None
) -> tuple[TripPlan, Planted | None]:
    """Give stops the times that honest trips keep, and set a trap where times are what is violated."""
    chosen = int(rng.integers(1, len(visits)))
    stops = []
    for number, (stop, visit) in enumerate(zip(plan.stops, visits, strict=True)):
        slack = float(rng.uniform(1800.0, 5400.0))
        opens, closes = visit.arrived - slack, visit.arrived + slack
        departs = visit.left + float(rng.uniform(900.0, 1800.0)) if number == 0 else None
        longest = stop.max_dwell_s
        if kind is Kind.LATE_ARRIVAL and number == chosen:
            closes = visit.arrived - float(rng.uniform(1200.0, 3600.0))
            opens = closes - 7200.0
            planted = Planted(kind, int(closes * 1000), int(visit.arrived * 1000))
        elif kind is Kind.LEFT_EARLY and number == chosen - 1:
            opens = visit.left + float(rng.uniform(1200.0, 3600.0))
            closes = opens + 7200.0
            planted = Planted(kind, int(visit.left * 1000), int(visit.left * 1000))
        elif kind is Kind.LATE_DEPARTURE and number == 0:
            departs, longest = visit.left - float(rng.uniform(1500.0, 2000.0)), None
            planted = Planted(kind, int(departs * 1000), int(visit.left * 1000))
        by = int(departs * 1000) if departs else None
        timed = replace(stop, opens=int(opens * 1000), closes=int(closes * 1000), departs_by=by, max_dwell_s=longest)
        stops.append(timed)
    return TripPlan(plan.id, plan.device, tuple(stops), plan.legs, plan.sites), planted


def _reports(
    rng: np.random.Generator, device: str, drive: Drive, heard: Sky, planted: Planted | None
) -> list[Fix | Handling]:
    every = float(rng.choice([10.0, 20.0, 30.0, 60.0]))
    times, truth, metres = drive.sampled(every)
    ends = [np.interp(visit.arrived, *np.array(drive.knots).T) for visit in drive.visits]
    town = np.min([np.abs(metres - end) for end in ends], axis=0) < _CLEAR_M
    found: list[Fix | Handling] = list(fixes(rng, device, Track(times, truth, town), heard))
    handlings = _honest(rng, device, drive.visits)
    if planted is not None and planted.kind is Kind.MISSING_SIGNAL:
        found = [each for each in found if not planted.start < each.at < planted.end]
    if planted is not None and planted.kind is Kind.UNLOAD_OUTSIDE:
        handlings += _dishonest(rng, device, planted)
    return sorted([*found, *handlings], key=lambda each: each.at)


def _honest(rng: np.random.Generator, device: str, visits: list[Visit]) -> list[Handling]:
    """Doors open and goods leave at every stop, after the truck has come to stand."""
    found = []
    for visit in visits:
        if visit.left > visit.arrived:
            middle = visit.arrived + (visit.left - visit.arrived) * float(rng.uniform(0.3, 0.6))
            found.append(Handling(int(middle * 1000), device, HandlingKind.DOOR_OPENED))
            weight = float(rng.uniform(200.0, 900.0))
            found.append(Handling(int(middle * 1000) + 60_000, device, HandlingKind.WEIGHT_DROPPED, round(weight)))
    return found


def _dishonest(rng: np.random.Generator, device: str, planted: Planted) -> list[Handling]:
    at = planted.start + 120_000
    found = [Handling(at, device, HandlingKind.DOOR_OPENED)]
    found.append(Handling(at + 40_000, device, HandlingKind.WEIGHT_DROPPED, round(float(rng.uniform(80.0, 400.0)))))
    if rng.random() < 0.5:  # noqa: PLR2004  every other buyer scans
        found.append(Handling(at + 90_000, device, HandlingKind.ITEMS_RECEIVED, float(rng.integers(6, 48))))
    return found
