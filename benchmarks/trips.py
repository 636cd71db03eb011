"""Trips of simulated trucks, honest and not: what is raised, what is missed, and what a fix costs."""

import time
from collections import Counter
from typing import Final

from benchmarks.baselines import naive_trips
from benchmarks.frame import Figure, Outcome, Progress, Target
from firmware_sim.trackers import Planted, SimulatedTrip, simulate
from geofence.trips import DEFAULT_RULES, Ground, Judge, Kind, Report

TRIPS: Final = 1_000
# Thresholds were chosen while looking at seeds below 10,000; these were not looked at.
_CLEAN_SEED: Final = 100_000
_PLANTED_SEED: Final = 200_000
_BATCH_MS: Final = 10_000
_NEAR_MS: Final = 15 * 60 * 1000
_TARGETS: Final = {
    "clean_trips_with_alarms": Target("<=", 0),
    "planted_raised_exactly_once_percent": Target(">=", 100.0),
    "planted_trips_with_other_alarms": Target("<=", 0),
}
Alarm = tuple[Kind, int, int]


class _Tally:
    """What one way of watching made of all trips."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.kinds = kinds
        self.planted: Counter[Kind] = Counter()
        self.hit: Counter[Kind] = Counter()
        self.alarms: Counter[Kind] = Counter()
        self.once = 0
        self.loud_clean = 0
        self.other = 0

    def count(self, planted: Planted | None, alarms: list[Alarm]) -> None:
        """Hold the alarms of one trip against what was planted in it."""
        self.alarms.update(kind for kind, _, _ in alarms)
        if planted is None:
            self.loud_clean += bool(alarms)
            return
        self.planted[planted.kind] += 1
        right = [each for each in alarms if each[0] is planted.kind and _near(planted, each)]
        self.hit[planted.kind] += bool(right)
        self.once += len(right) == 1
        self.other += len(alarms) > len(right)

    def figures(self, prefix: str) -> dict[str, Figure]:
        """Return recall and precision of each kind, in percent."""
        found: dict[str, Figure] = {}
        for kind in self.kinds:
            if self.planted[kind]:
                found[f"{prefix}{kind}_recall_percent"] = 100.0 * self.hit[kind] / self.planted[kind]
            if self.alarms[kind]:
                found[f"{prefix}{kind}_precision_percent"] = 100.0 * self.hit[kind] / self.alarms[kind]
        return found


def _near(planted: Planted, alarm: Alarm) -> bool:
    return alarm[1] <= planted.end + _NEAR_MS and alarm[2] >= planted.start - _NEAR_MS


def run(progress: Progress) -> Outcome:
    """Judge 1,000 honest trips and 1,000 with one violation each, and watch the same trips in the obvious way."""
    ours, naive = _Tally(tuple(Kind)), _Tally(naive_trips.KINDS)
    spent = Counter[str]()
    kinds = tuple(Kind)
    for number in range(2 * TRIPS):
        clean = number < TRIPS
        seed = _CLEAN_SEED + number if clean else _PLANTED_SEED + number - TRIPS
        trip = simulate(seed, None if clean else kinds[number % len(kinds)])
        spent["fixes"] += len(trip.deliveries)
        began = time.process_time_ns()
        found = _judged(trip)
        between = time.process_time_ns()
        rough = naive_trips.alarms(trip)
        spent["ours"] += between - began
        spent["naive"] += time.process_time_ns() - between
        ours.count(trip.planted, found)
        if trip.planted is None or trip.planted.kind in naive_trips.KINDS:
            naive.count(trip.planted, [(kind, at, at) for kind, at in rough])
        if number % 250 == 249:  # noqa: PLR2004  now and then
            progress(f"{number + 1} trips, {spent['fixes']:,} reports")
    once = 100.0 * ours.once / TRIPS
    figures: dict[str, Figure] = {
        "trips": 2 * TRIPS,
        "reports": spent["fixes"],
        "clean_trips_with_alarms": ours.loud_clean,
        "planted_raised_exactly_once_percent": once,
        "planted_trips_with_other_alarms": ours.other,
        **ours.figures(""),
        "us_a_report": spent["ours"] / spent["fixes"] / 1000.0,
        "naive_clean_trips_with_alarms": naive.loud_clean,
        "naive_raised_exactly_once_percent": 100.0 * naive.once / max(1, naive.planted.total()),
        **naive.figures("naive_"),
        "naive_us_a_report": spent["naive"] / spent["fixes"] / 1000.0,
        "times_fewer_loud_clean_trips": naive.loud_clean / max(1, ours.loud_clean),
    }
    return Outcome(figures, _TARGETS)


def _judged(trip: SimulatedTrip) -> list[Alarm]:
    judge = Judge(Ground(trip.plan, DEFAULT_RULES))
    batch: list[Report] = []
    due = trip.deliveries[0].received_at + _BATCH_MS
    for received_at, report in trip.deliveries:
        if received_at > due:
            judge.observe(batch)
            judge.advance(due)
            batch, due = [], received_at + _BATCH_MS
        batch.append(report)
    judge.observe(batch)
    judge.conclude(due)
    return [(each.kind, each.start, each.end or each.start) for each in judge.episodes]
