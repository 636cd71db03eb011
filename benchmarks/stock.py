"""One stock figure: ledger and shelf fused, beside the ledger alone and the last sensor value, with 8 % shrinkage."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame import Figure, Outcome, Progress, Target
from trace_service.stock.fusion import KEPT, fused

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_SERIES: Final = 1_500
_WARM_DAYS: Final = 30
_DAYS: Final = 150
_HOURS: Final = 12
_COUNT_EVERY_DAYS: Final = 90
_SHRINKAGE: Final = 0.08
_LEAD_DAYS: Final = 5
_PACK: Final = 6
_COVER_DAYS: Final = 8.0
_DISPERSION: Final = 3.0
_WRONG: Final = 0.067
_FAR_OFF: Final = 0.2
_FLAGGED: Final = 0.5


@dataclass(frozen=True, slots=True)
class _World:
    """What happens to every policy alike: demand and theft an hour, and how the sensor errs; shape (days, hours, n)."""

    mean: NDArray[np.float64]
    demand: Ints
    theft: Ints
    error: Ints
    flagged: Bools


@dataclass(slots=True)
class _Run:
    """What one way of knowing the stock led to."""

    sold: float = 0.0
    wanted: float = 0.0
    cover: float = 0.0
    exact: float = 0.0
    error: float = 0.0
    looks: int = 0
    phantom_found: int = 0
    phantom_right: int = 0
    phantom_there: int = 0

    @property
    def fill(self) -> float:
        return self.sold / self.wanted

    @property
    def cover_days(self) -> float:
        return self.cover


def run(progress: Progress) -> Outcome:
    """Let stores sell, lose and reorder by what each of four ways says is there."""
    world = _world(np.random.default_rng(3))
    began = time.process_time()
    spare = _spare_for_cover(world)
    progress(
        f"{_SERIES} products for {_DAYS} days; {_COVER_DAYS:.0f} days' cover need {spare:.2f} days above the lead time"
    )
    runs = {}
    for way in ("truth", "ledger", "sensor", "fused", "fused_with_flags"):
        runs[way] = _simulate(world, way, spare)
        progress(f"{way}: fill rate {100 * runs[way].fill:.1f} %, exact {100 * runs[way].exact:.1f} %")
    figures: dict[str, Figure] = {
        "cpu_s": round(time.process_time() - began, 1),
        "cover_days": runs["truth"].cover_days,
    }
    for way, found in runs.items():
        figures[f"{way}_fill_percent"] = 100 * found.fill
        if way != "truth":
            figures[f"{way}_exact_percent"] = 100 * found.exact
            figures[f"{way}_mean_error_items"] = round(found.error, 3)
    best = runs["fused"]
    figures["phantom_precision"] = round(best.phantom_right / max(best.phantom_found, 1), 3)
    figures["phantom_recall"] = round(best.phantom_right / max(best.phantom_there, 1), 3)
    figures["phantom_days"] = best.phantom_there
    figures["fill_gap_to_truth_points"] = 100 * (runs["truth"].fill - best.fill)
    return Outcome(
        figures,
        {
            "fused_exact_percent": Target(">=", 96.0),
            "phantom_precision": Target(">=", 0.97),
            "phantom_recall": Target(">=", 0.97),
            "fill_gap_to_truth_points": Target("<=", 0.5),
        },
    )


def _world(random: np.random.Generator) -> _World:
    mean = random.lognormal(0.7, 0.7, _SERIES)
    shape = (_WARM_DAYS + _DAYS, _HOURS, _SERIES)
    size = 1 / _DISPERSION
    day = random.gamma(size, mean / size, (shape[0], 1, _SERIES))
    demand = random.poisson(day / _HOURS, shape)
    theft = random.poisson(_SHRINKAGE * mean / _HOURS, shape)
    wrong = random.random(shape) < _WRONG
    far = random.random(shape) < _FAR_OFF
    sign = random.choice([-1, 1], shape)
    error = np.where(wrong, sign * np.where(far, random.integers(3, 20, shape), 1), 0)
    flagged = wrong & (random.random(shape) < _FLAGGED)
    return _World(mean, demand, theft, error, flagged)


def _spare_for_cover(world: _World) -> float:
    """Return how many days of demand above the lead time the true figure needs for the cover that is asked for."""
    low, high = 0.5, 12.0
    for _ in range(8):
        middle = (low + high) / 2
        if _simulate(world, "truth", middle, hours=1).cover_days < _COVER_DAYS:
            low = middle
        else:
            high = middle
    return (low + high) / 2


class _Store:
    """The true stock, the ledger of what was scanned, and what is known of their difference."""

    def __init__(self, start: Ints) -> None:
        self.stock = start.copy()
        self.ledger = start.copy()
        self.sensed = start.copy()
        self.differences = np.zeros((len(start), KEPT), dtype=np.int64)

    def hour(self, demand: Ints, theft: Ints) -> Ints:
        """Let goods be sold and stolen; return what was sold."""
        sold = np.minimum(self.stock, demand)
        self.stock -= sold
        self.ledger -= sold
        self.stock -= np.minimum(self.stock, theft)
        return sold

    def look(self, error: Ints, believed: Bools) -> None:
        """Read the shelf."""
        seen = np.maximum(self.stock + error, 0)
        self.sensed = np.where(believed, seen, self.sensed)
        fresh = np.column_stack([self.differences[:, 1:], seen - self.ledger])
        self.differences = np.where(believed[:, None], fresh, self.differences)

    def receive(self, units: Ints) -> None:
        self.stock += units
        self.ledger += units

    def count(self) -> None:
        """Count by hand: the books are right again."""
        self.differences -= (self.stock - self.ledger)[:, None]
        self.ledger = self.stock.copy()

    def known(self, way: str) -> Ints:
        if way == "truth":
            return self.stock
        if way == "ledger":
            return np.maximum(self.ledger, 0)
        return self.sensed if way == "sensor" else fused(self.ledger, self.differences)


def _simulate(world: _World, way: str, spare: float, hours: int = _HOURS) -> _Run:
    """Play one way of knowing; `hours` below a day's lump the day together, which is enough for tuning."""
    target = np.maximum(np.ceil(world.mean * (_LEAD_DAYS + 1 + spare)), 1).astype(np.int64)
    store, found = _Store(target), _Run()
    pipeline = np.zeros((_LEAD_DAYS, _SERIES), dtype=np.int64)
    everybody = np.ones(_SERIES, dtype=bool)
    for day in range(_WARM_DAYS + _DAYS):
        measured = day >= _WARM_DAYS
        store.receive(pipeline[day % _LEAD_DAYS])
        if (day + 1) % _COUNT_EVERY_DAYS == 0:
            store.count()
        before, sold = store.stock.copy(), np.zeros(_SERIES, dtype=np.int64)
        for hour in range(hours):
            now = slice(hour, hour + 1) if hours == _HOURS else slice(None)
            demand, theft = world.demand[day, now].sum(axis=0), world.theft[day, now].sum(axis=0)
            sold += store.hour(demand, theft)
            believed = everybody if way != "fused_with_flags" else ~world.flagged[day, hour]
            store.look(world.error[day, hour], believed)
            if measured:
                _compare(found, store, way)
        known = store.known(way)
        # What has been ordered and not come is on its way; today's slot is free again.
        pipeline[day % _LEAD_DAYS] = 0
        missing = np.maximum(target - known - pipeline.sum(axis=0), 0)
        pipeline[day % _LEAD_DAYS] = -(-missing // _PACK) * _PACK
        if measured:
            found.sold += float(sold.sum())
            found.wanted += float(world.demand[day].sum())
            found.cover += float((before - sold / 2).sum() / world.mean.sum() / _DAYS)
            _phantoms(found, store, known)
    found.exact /= max(found.looks, 1)
    found.error /= max(found.looks, 1)
    return found


def _compare(found: _Run, store: _Store, way: str) -> None:
    known = store.known(way)
    found.exact += float((known == store.stock).mean())
    found.error += float(np.abs(known - store.stock).mean())
    found.looks += 1


def _phantoms(found: _Run, store: _Store, known: Ints) -> None:
    """At closing time: the books have something, and nothing is there."""
    there = (store.stock == 0) & (store.ledger > 0)
    told = (known == 0) & (store.ledger > 0)
    found.phantom_there += int(there.sum())
    found.phantom_found += int(told.sum())
    found.phantom_right += int((there & told).sum())
