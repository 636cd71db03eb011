"""What a tracker makes of where it is: correlated errors, streets between towers, tunnels, and a poor connection."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from geofence.coordinates import BoolArray, FloatArray
from geofence.trips import Fix, Handling
from geofence.trips.plane import scales

_CORRELATED_S: Final = 60.0
_DUPLICATED: Final = 0.02
_SWAPPED_S: Final = 40.0
_LOST: Final = 0.02


class Delivery(NamedTuple):
    """A report, and when it arrived, in milliseconds since the epoch."""

    received_at: int
    report: Fix | Handling


class Sky(NamedTuple):
    """How well one tracker hears: standard deviation of its error, share of wild fixes in town, delayed uploads."""

    sigma_m: float
    wild: float
    tunnels: int
    uploads_late: bool


def sky(rng: np.random.Generator) -> Sky:
    """Return a tracker of one of many vehicles."""
    late = bool(rng.random() < 0.15)  # noqa: PLR2004  one tracker in seven
    return Sky(float(rng.uniform(3.0, 9.0)), float(rng.uniform(0.0, 0.06)), int(rng.integers(0, 3)), late)


class Track(NamedTuple):
    """Where a truck truly was: seconds since the epoch, degrees of shape (n, 2), and whether among high houses."""

    times: FloatArray
    truth: FloatArray
    town: BoolArray


def fixes(rng: np.random.Generator, device: str, track: Track, heard: Sky) -> list[Fix]:
    """Return what a tracker says of it."""
    times, truth, town = track
    count = len(times)
    keep = np.exp(-np.diff(times, prepend=times[0]) / _CORRELATED_S)
    error = np.zeros((count, 2))
    shocks = rng.normal(size=(count, 2))
    error[0] = shocks[0]
    for index in range(1, count):
        error[index] = keep[index] * error[index - 1] + np.sqrt(1.0 - keep[index] ** 2) * shocks[index]
    error *= heard.sigma_m
    radius = np.maximum(3.0, 1.5 * heard.sigma_m * rng.lognormal(0.0, 0.3, count))
    _wander(rng, error, radius, town, heard.wild)
    east, north = scales(float(truth[:, 1].mean()))
    seen = truth + error / [east, north]
    kept = rng.random(count) >= _LOST
    for _ in range(heard.tunnels):
        begins = rng.uniform(times[0], times[-1])
        kept &= ~((times >= begins) & (times < begins + rng.uniform(60.0, 360.0)))
    stamps = (times * 1000.0 + rng.normal(0.0, 400.0, count)).astype(np.int64)
    rows = zip(stamps.tolist(), seen.tolist(), radius.tolist(), kept.tolist(), strict=True)
    return [Fix(at, device, lon, lat, round(wide, 1)) for at, (lon, lat), wide, good in rows if good]


def _wander(rng: np.random.Generator, error: FloatArray, radius: FloatArray, town: BoolArray, share: float) -> None:
    """Add bursts of reflected signals in town; the tracker believes itself rather more exact than it is."""
    for index in np.flatnonzero(town & (rng.random(len(town)) < share)).tolist():
        angle, metres = rng.uniform(0.0, 2 * np.pi), float(rng.exponential(120.0)) + 40.0
        last = min(len(town), index + int(rng.integers(1, 4)))
        error[index:last] += metres * np.array([np.cos(angle), np.sin(angle)])
        radius[index:last] = np.maximum(radius[index:last], metres * rng.uniform(0.3, 1.2))


def delivered(rng: np.random.Generator, reports: Sequence[Fix | Handling], heard: Sky) -> list[Delivery]:
    """Return reports as they arrive: some twice, some after later ones, some a quarter of an hour late in one go."""
    held_from = held_to = -1
    if heard.uploads_late and reports:
        held_from = int(rng.integers(reports[0].at, max(reports[0].at + 1, reports[-1].at)))
        held_to = held_from + int(rng.integers(180, 800)) * 1000
    found: list[Delivery] = []
    for report in reports:
        at = report.at + int(rng.exponential(4.0) * 1000)
        if rng.random() < 0.05:  # noqa: PLR2004  a packet in twenty takes the long way
            at += int(rng.uniform(0.0, _SWAPPED_S) * 1000)
        if held_from <= report.at < held_to:
            at = held_to + int(rng.uniform(0.0, 3000.0))
        found.append(Delivery(at, report))
        if rng.random() < _DUPLICATED:
            found.append(Delivery(at + int(rng.uniform(0.0, 30_000.0)), report))
    return sorted(found, key=lambda each: each.received_at)
