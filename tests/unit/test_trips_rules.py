"""Each rule on a track drawn by hand, and the promise that the order of arrival does not matter."""

from dataclasses import replace
from itertools import pairwise
from math import cos, radians
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.trackers import simulate
from geofence.errors import CoordinateError
from geofence.geometry.metric import metres_per_degree
from geofence.trips import (
    DEFAULT_RULES,
    Action,
    Fix,
    Ground,
    Handling,
    HandlingKind,
    Judge,
    Kind,
    Leg,
    NoteCode,
    Report,
    Role,
    Site,
    Stop,
    TripPlan,
    judge_trip,
)
from geofence.trips.line import RouteLine
from geofence.trips.plan import PlanError
from geofence.trips.plane import buffered, distance_m, offset_m

LAT, LON = 30.0, 104.0
EAST, NORTH = (float(each) for each in metres_per_degree(LAT))  # type: ignore[arg-type]
MINUTE = 60_000


def at(x: float, y: float) -> tuple[float, float]:
    """Return the degrees of kilometres east and north of the depot."""
    lat = LAT + y * 1000 / NORTH
    return LON + x * 1000 / (EAST * cos(radians(lat)) / cos(radians(LAT))), lat


def plan(*points: tuple[float, float], width: float = 500.0, sites: tuple[Site, ...] = (), **stop: int) -> TripPlan:
    """Return a trip along points in kilometres, from a depot to a shop."""
    line = tuple(at(*point) for point in points)
    depot, shop = Site("depot", Role.STOP, *line[0], 200.0), Site("shop", Role.STOP, *line[-1], 200.0)
    stops = (Stop("depot"), Stop("shop", **stop))
    return TripPlan("T", "truck", stops, (Leg(line, width),), (depot, shop, *sites))


def track(*moves: tuple[float, float, float], every: float = 0.5) -> list[Report]:
    """Return fixes on straight lines through (minute, x, y), one each `every` minutes."""
    found: list[Report] = []
    for (t0, x0, y0), (t1, x1, y1) in pairwise(moves):
        steps = max(1, round((t1 - t0) / every))
        for step in range(steps):
            share = step / steps
            lon, lat = at(x0 + share * (x1 - x0), y0 + share * (y1 - y0))
            found.append(Fix(round((t0 + share * (t1 - t0)) * MINUTE), "truck", lon, lat, 8.0))
    lon, lat = at(*moves[-1][1:])
    return [*found, Fix(round(moves[-1][0] * MINUTE), "truck", lon, lat, 8.0)]


STRAIGHT = plan((0, 0), (30, 0))
HONEST = track((0, 0, 0), (10, 0, 0), (40, 30, 0), (60, 30, 0))


def kinds(trip: TripPlan, reports: list[Report]) -> list[str]:
    return [each.kind.value for each in judge_trip(trip, reports)]


def test_an_honest_trip_is_nothing_to_talk_about() -> None:
    assert kinds(STRAIGHT, HONEST) == []


def test_metres_are_metres_at_any_latitude() -> None:
    assert distance_m((104.0, 60.0), (104.01, 60.0)) == pytest.approx(558.0, rel=0.001)
    assert offset_m((179.999, 0.0), -179.999, 0.0)[0] == pytest.approx(222.6, rel=0.001)
    west, south, east, north = buffered([(104.0, 40.0), (104.2, 40.0)], 1000.0).bounds
    assert (north - south) * 111_035 == pytest.approx(2000, rel=0.01)
    assert (east - west - 0.2) * 85_394 == pytest.approx(2000, rel=0.01)


def test_a_wide_leg_lets_pass_what_a_narrow_one_reports() -> None:
    aside = track(
        (0, 0, 0), (10, 0, 0), (20, 10, 0), (21, 10, 1.2), (29, 18, 1.2), (30, 18, 0), (42, 30, 0), (60, 30, 0)
    )
    (episode,) = judge_trip(STRAIGHT, aside)
    assert episode.kind is Kind.OFF_ROUTE
    assert episode.notes[0].numbers["metres"] == pytest.approx(1200, abs=30)
    assert episode.start == pytest.approx(20.6 * MINUTE, abs=MINUTE)
    assert episode.end == pytest.approx(29.6 * MINUTE, abs=MINUTE)
    assert kinds(plan((0, 0), (30, 0), width=1300.0), aside) == []


def test_a_coarse_fix_proves_nothing() -> None:
    aside = track(
        (0, 0, 0), (10, 0, 0), (20, 10, 0), (21, 10, 1.2), (29, 18, 1.2), (30, 18, 0), (42, 30, 0), (60, 30, 0)
    )
    coarse = [
        replace(each, accuracy_m=400.0 if abs(each.lat - LAT) > 0.002 else 8.0)
        for each in aside
        if isinstance(each, Fix)
    ]
    assert kinds(STRAIGHT, list(coarse)) == []


def test_a_shortcut_between_two_fixes_is_seen_by_the_time_that_the_road_takes() -> None:
    bend = plan((0, 0), (0, 20), (8, 20), (8, 0))
    driven = track((0, 0, 0), (10, 0, 0), (14, 0, 4))
    driven += track((21, 8, 4), (25, 8, 0), (45, 8, 0))
    (episode,) = judge_trip(bend, driven)
    assert episode.kind is Kind.OFF_ROUTE
    assert episode.notes[0].code is NoteCode.SHORTCUT
    assert episode.notes[0].numbers["route_m"] == pytest.approx(40_000, rel=0.1)
    slow = track((0, 0, 0), (10, 0, 0), (14, 0, 4))
    slow += track((48, 8, 4), (52, 8, 0), (72, 8, 0))
    assert kinds(bend, slow) == ["missing_signal"]


def test_a_road_driven_out_and_back_is_no_wrong_way_but_turning_half_way_is() -> None:
    depot, shop = Site("depot", Role.STOP, *at(0, 0), 200.0), Site("shop", Role.STOP, *at(30, 0), 200.0)
    there, back = Leg((at(0, 0), at(30, 0)), 500.0), Leg((at(30, 0), at(0, 0)), 500.0)
    tour = TripPlan("T", "truck", (Stop("depot"), Stop("shop"), Stop("depot")), (there, back), (depot, shop))
    honest = track((0, 0, 0), (10, 0, 0), (40, 30, 0), (60, 30, 0), (90, 0, 0), (110, 0, 0))
    assert kinds(tour, honest) == []
    turned = track((0, 0, 0), (10, 0, 0), (30, 20, 0), (33, 17, 0), (46, 30, 0), (66, 30, 0), (96, 0, 0), (110, 0, 0))
    (episode,) = judge_trip(tour, turned)
    assert episode.kind is Kind.WRONG_WAY
    assert episode.notes[0].numbers["metres"] == pytest.approx(3000, rel=0.2)


def test_a_stop_is_served_by_staying_and_not_by_passing() -> None:
    depot, shop, end = (
        Site(name, Role.STOP, *at(x, 0), 200.0) for name, x in (("depot", 0), ("shop", 15), ("end", 30))
    )
    legs = (Leg((at(0, 0), at(15, 0)), 500.0), Leg((at(15, 0), at(30, 0)), 500.0))
    tour = TripPlan("T", "truck", (Stop("depot"), Stop("shop", min_dwell_s=600), Stop("end")), legs, (depot, shop, end))
    (episode,) = judge_trip(tour, HONEST)
    assert (episode.kind, episode.subject) == (Kind.SKIPPED_STOP, "1")
    stays = track((0, 0, 0), (10, 0, 0), (25, 15, 0), (37, 15, 0), (52, 30, 0), (70, 30, 0))
    assert kinds(tour, stays) == []
    silent = [each for each in stays if not 24 * MINUTE < each.at < 38 * MINUTE]
    assert kinds(tour, silent) == []


def test_a_polygon_is_entered_only_where_it_is() -> None:
    ring = tuple(at(x, y) for x, y in ((14, 0.1), (16, 0.1), (16, 0.3), (14.2, 0.3), (14.2, 2), (14, 2), (14, 0.1)))
    yard = Site("yard", Role.FORBIDDEN, *at(14.1, 0.2), ring=ring)
    trip = plan((0, 0), (30, 0), sites=(yard,))
    assert kinds(trip, HONEST) == []
    inside = track((0, 0, 0), (10, 0, 0), (24, 14.5, 0.2), (30, 15.5, 0.2), (45, 30, 0), (65, 30, 0))
    (episode,) = judge_trip(trip, inside)
    assert (episode.kind, episode.subject) == (Kind.FORBIDDEN_SITE, "yard")


def test_forbidden_ground_is_crossed_between_two_fixes_off_the_route() -> None:
    works = Site("works", Role.FORBIDDEN, *at(15, 4), 400.0)
    trip = plan((0, 0), (30, 0), sites=(works,))
    moves = ((0, 0, 0), (10, 0, 0), (20, 10, 0), (24, 10, 4), (32, 20, 4), (36, 20, 0), (46, 30, 0), (66, 30, 0))
    sparse = [each for each in track(*moves) if not 27 * MINUTE < each.at < 29 * MINUTE]
    found = judge_trip(trip, sparse)
    assert sorted(each.kind.value for each in found) == ["forbidden_site", "off_route"]
    crossing = next(each for each in found if each.kind is Kind.FORBIDDEN_SITE)
    assert crossing.notes[0].code is NoteCode.CROSSED_BETWEEN_FIXES
    beside = track(
        (0, 0, 0), (10, 0, 0), (20, 10, 0), (24, 10, 4.8), (32, 20, 4.8), (36, 20, 0), (46, 30, 0), (66, 30, 0)
    )
    assert kinds(trip, beside) == ["off_route"]


def test_goods_are_handled_at_sites_and_nowhere_else() -> None:
    moves = ((0, 0, 0), (10, 0, 0), (25, 15, 0), (33, 15, 0), (48, 30, 0), (70, 30, 0))
    door = Handling(28 * MINUTE, "truck", HandlingKind.DOOR_OPENED)
    received = Handling(30 * MINUTE, "truck", HandlingKind.ITEMS_RECEIVED, 12)
    (episode,) = judge_trip(STRAIGHT, [*track(*moves), door, received])
    assert episode.kind is Kind.UNLOAD_OUTSIDE
    assert [(note.code, note.numbers["amount"]) for note in episode.notes] == [
        (NoteCode.DOOR_OPENED, 1), (NoteCode.ITEMS_RECEIVED, 12),
    ]  # fmt: skip
    unheard = [each for each in track(*moves) if not 24 * MINUTE < each.at < 35 * MINUTE]
    assert kinds(STRAIGHT, [*unheard, door]) == []
    far = plan((0, 0), (60, 0))
    longer = track((0, 0, 0), (10, 0, 0), (40, 30, 0), (44, 30, 0), (74, 60, 0), (90, 60, 0))
    unheard = [each for each in longer if not 39 * MINUTE < each.at < 45 * MINUTE]
    assert kinds(far, [*unheard, replace(door, at=42 * MINUTE)]) == ["unload_outside"]
    driving = Handling(20 * MINUTE, "truck", HandlingKind.WEIGHT_DROPPED, 9)
    at_shop = Handling(60 * MINUTE, "truck", HandlingKind.WEIGHT_DROPPED, 400)
    assert kinds(STRAIGHT, [*track(*moves), driving, at_shop]) == []


def test_an_alarm_of_silence_is_raised_while_it_lasts_and_ended_by_the_next_fix() -> None:
    judge = Judge(Ground(STRAIGHT, DEFAULT_RULES))
    judge.observe([each for each in HONEST if each.at < 20 * MINUTE])
    assert judge.advance(30 * MINUTE) == []
    (raised,) = judge.advance(40 * MINUTE)
    assert (raised.action, raised.episode.kind) == (Action.RAISED, Kind.MISSING_SIGNAL)
    assert judge.advance(41 * MINUTE) == []
    changes = judge.observe([each for each in HONEST if each.at >= 45 * MINUTE])
    assert [each.action for each in changes] == [Action.ENDED]


def test_fixes_that_were_only_delayed_take_the_alarm_back() -> None:
    judge = Judge(Ground(STRAIGHT, DEFAULT_RULES))
    judge.observe([each for each in HONEST if each.at < 20 * MINUTE])
    judge.advance(40 * MINUTE)
    changes = judge.observe([each for each in HONEST if each.at >= 20 * MINUTE])
    assert [(each.action, each.episode.kind) for each in changes] == [(Action.RETRACTED, Kind.MISSING_SIGNAL)]
    assert judge.episodes == []


TRIP = simulate(4242, Kind.LONG_STOP)
SHORT = [report for _, report in TRIP.deliveries][::2]
EXPECTED = [(each.kind, each.subject, each.start, each.end) for each in judge_trip(TRIP.plan, SHORT)]


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_the_order_of_arrival_and_repetitions_change_nothing_in_the_end(seed: int, size: int) -> None:
    random = Random(seed)
    reports = sorted(SHORT, key=lambda each: each.at)
    # A quarter of an hour late at most, so that most come before their turn is over.
    late = [(each.at + random.uniform(0, 900_000), each) for each in reports]
    arrived = [each for _, each in sorted(late, key=lambda pair: pair[0])]
    judge = Judge(Ground(TRIP.plan, DEFAULT_RULES))
    for start in range(0, len(arrived), 10 * size):
        judge.observe(arrived[start : start + 10 * size])
        judge.observe(arrived[start : start + size])
    judge.conclude(judge.state.newest)
    assert [(each.kind, each.subject, each.start, each.end) for each in judge.episodes] == EXPECTED


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stops": (Stop("depot"),)}, "one leg between"),
        ({"stops": (Stop("depot"), Stop("nowhere"))}, "no site"),
        ({"stops": (Stop("depot"), Stop("shop", opens=5, closes=5))}, "closes before"),
        ({"stops": (Stop("shop"), Stop("depot"))}, "does not reach"),
        ({"sites": (*STRAIGHT.sites, STRAIGHT.sites[0])}, "twice"),
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(PlanError) as refused:
        replace(STRAIGHT, **change)  # type: ignore[arg-type]
    assert complaint in f"{refused.value} {refused.value.advice}"


def test_impossible_places_are_refused() -> None:
    for make in (
        lambda: Leg(((104.0, 30.0),), 500.0),
        lambda: Leg(((104.0, 30.0), (104.1, 91.0)), 500.0),
        lambda: Leg(((104.0, 30.0), (104.1, float("nan"))), 500.0),
        lambda: Leg(((104.0, 30.0), (104.1, 30.0)), 5.0),
        lambda: Site("x", Role.STOP, 104.0, 30.0),
        lambda: Site("x", Role.STOP, 104.0, 30.0, ring=((104, 30), (105, 31), (105, 30), (104, 31), (104, 30))),
    ):
        with pytest.raises(PlanError):
            make()
    for lon, lat, accuracy in ((181.0, 0.0, 5.0), (0.0, float("nan"), 5.0), (0.0, 0.0, -1.0), (0.0, 0.0, float("inf"))):
        with pytest.raises(CoordinateError):
            Fix(1, "truck", lon, lat, accuracy)


def test_places_along_a_route_are_measured_in_its_own_metres() -> None:
    line = RouteLine((Leg((at(0, 0), at(200, 0)), 500.0),), 60.0)
    (match,) = line.matches(*at(150, 0.3))
    assert match.s == pytest.approx(150_000, rel=0.001)
    assert match.away == pytest.approx(300, abs=25)
    assert line.matches(*at(150, 5)) == []
    assert line.far_m(*at(150, 5)) == pytest.approx(5000, rel=0.02)
