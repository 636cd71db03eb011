"""Honest trips raise nothing, and each planted violation is raised once and stays the only one."""

import pytest

from firmware_sim.trackers import SimulatedTrip, simulate
from geofence.trips import DEFAULT_RULES, Action, Change, Ground, Judge, Kind, Report

BATCH_MS = 30_000


def play(trip: SimulatedTrip) -> tuple[Judge, list[Change]]:
    """Feed a trip as it arrives, half a minute at a time, with the clock running."""
    judge = Judge(Ground(trip.plan, DEFAULT_RULES))
    changes: list[Change] = []
    batch: list[Report] = []
    due = trip.deliveries[0].received_at + BATCH_MS
    for received_at, report in trip.deliveries:
        if received_at > due:
            changes += judge.observe(batch)
            changes += judge.advance(due)
            batch, due = [], received_at + BATCH_MS
        batch.append(report)
    changes += judge.observe(batch)
    changes += judge.conclude(due)
    return judge, changes


@pytest.mark.parametrize("seed", range(5000, 5024))
def test_an_honest_trip_raises_nothing(seed: int) -> None:
    judge, changes = play(simulate(seed))
    assert judge.episodes == []
    raised = sum(change.action is Action.RAISED for change in changes)
    assert raised == sum(change.action is Action.RETRACTED for change in changes)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("seed", [6001, 6002, 6003])
def test_a_planted_violation_is_raised_once_and_nothing_else(kind: Kind, seed: int) -> None:
    trip = simulate(seed, kind)
    judge, changes = play(trip)
    assert trip.planted is not None
    assert [episode.kind for episode in judge.episodes] == [kind]
    (episode,) = judge.episodes
    assert episode.end is not None
    near = 15 * 60_000
    assert episode.start <= trip.planted.end + near
    assert episode.end >= trip.planted.start - near
    assert episode.notes
    standing = [c.action for c in changes if c.action in {Action.RAISED, Action.RETRACTED}]
    assert standing.count(Action.RAISED) - standing.count(Action.RETRACTED) == 1


def test_the_same_seed_is_the_same_trip() -> None:
    assert simulate(7, Kind.OFF_ROUTE).deliveries == simulate(7, Kind.OFF_ROUTE).deliveries
    assert simulate(7).deliveries != simulate(8).deliveries
