"""From weight to units: 14 simulated days of drifting cells, the agent's estimator beside weighing and mere steps."""

import time
from typing import Final, NamedTuple

import numpy as np

from benchmarks.frame import Figure, Outcome, Progress, Target
from edge.shelf.belief import RESIDUAL, Belief, Floats, Ints, begin, drift, reanchor, step
from edge.shelf.weigh import Sample, Weigher
from firmware_sim.shelves.cell import COUNTS_PER_GRAM, LoadCell, weigh_units
from firmware_sim.shelves.fast import CellFleet, Kind

_DAYS: Final = 14
_STEPS_AN_HOUR: Final = 6
_OPEN: Final = range(8, 22)
_DRIFT_G_PER_C: Final = 4.0
_WALK_G: Final = 1.0
_CHANNELS: Final = 40
_WEIGHTS: Final = ((40.0, 40), (70.0, 36), (150.0, 30), (400.0, 24), (1000.0, 18))
_SPREADS: Final = {"cv_1.5": 0.015, "cv_5": 0.05}
_VISIT: Final = 0.3
_TAKEN: Final = (0.72, 0.2, 0.08)
_PUT_BACK: Final = 0.1
_ANNOUNCED: Final = 0.9
_SEEDS: Final = (31, 32, 33)
"""Not those that anything was chosen by."""
_PACK: Final = 6
_SURE: Final = 0.9
_DEVICE_SECONDS: Final = 1200
_DEVICE_CELLS: Final = 10
_TICKS_A_CUSTOMER: Final = 80


class _Naive:
    """What one would write first: weight by unit weight, and steps by unit weight."""

    def __init__(self, level: Floats, unit: Floats, known: Ints) -> None:
        self._unit = unit
        self._reference = level
        self.stepped = known.copy()

    def weighed(self, level: Floats) -> Ints:
        found: Ints = np.maximum(np.rint(level / self._unit), 0).astype(np.int64)
        return found

    def step(self, level: Floats) -> None:
        moved = np.rint((level - self._reference) / self._unit).astype(np.int64)
        self.stepped = np.maximum(self.stepped + moved, 0)
        self._reference = level


class _Shop(NamedTuple):
    """How refills come: the share that scans announce, in multiples of what, and what the agent was told of that."""

    announced: float = _ANNOUNCED
    pack: int = 1
    told: int = 1


class _Tally:
    """Settled figures, right and wrong, a method and kind."""

    def __init__(self, kinds: int) -> None:
        self.exact: dict[str, Ints] = {}
        self.total = np.zeros(kinds, dtype=np.int64)
        self._kinds = kinds

    def add(self, kind: Ints, truth: Ints, found: dict[str, Ints]) -> None:
        self.total += np.bincount(kind, minlength=self._kinds)
        for name, units in found.items():
            right = np.bincount(kind, units == truth, self._kinds).astype(np.int64)
            self.exact[name] = self.exact.get(name, np.zeros(self._kinds, dtype=np.int64)) + right

    def percent(self, name: str, rows: list[int]) -> float:
        return float(100 * self.exact[name][rows].sum() / self.total[rows].sum())


def run(progress: Progress) -> Outcome:
    """Let shelves sell and be refilled, and compare every settled figure with what stands there."""
    kinds = [Kind(unit, spread, capacity) for spread in _SPREADS.values() for unit, capacity in _WEIGHTS]
    progress(f"{len(kinds)} kinds of goods, {_CHANNELS} cells each, {_DAYS} days, {len(_SEEDS)} times")
    began = time.process_time()
    tally = _Tally(len(kinds))
    sure = sum((_simulate(kinds, _Shop(), seed, tally) for seed in _SEEDS), np.zeros(2))
    figures: dict[str, Figure] = {
        "cpu_s": round(time.process_time() - began, 1), "cells": len(_SEEDS) * len(kinds) * _CHANNELS,
    }  # fmt: skip
    targets = {}
    for place, (name, spread) in enumerate(_SPREADS.items()):
        rows = [number for number, kind in enumerate(kinds) if kind.spread == spread]
        for method in ("agent", "weighing", "steps"):
            figures[f"{name}_{method}_exact_percent"] = tally.percent(method, rows)
        for row in rows:
            unit = f"{kinds[row].unit_g:.0f}g"
            figures[f"{name}_{unit}_agent_exact_percent"] = tally.percent("agent", [row])
            figures[f"{name}_{unit}_weighing_exact_percent"] = tally.percent("weighing", [row])
            figures[f"{name}_{unit}_steps_exact_percent"] = tally.percent("steps", [row])
            targets[f"{name}_{unit}_agent_exact_percent"] = Target(">=", (99.0, 95.0)[place])
    figures["agent_exact_where_sure_percent"] = float(100 * sure[0] / sure[1])
    figures |= _unannounced(progress)
    progress("the whole path of a device, four samples a second")
    exact, cost = _device()
    figures |= {"device_path_exact_percent": exact, "device_path_us_per_sample": cost}
    return Outcome(figures, targets | {"device_path_exact_percent": Target(">=", 99.0)})


def _unannounced(progress: Progress) -> dict[str, Figure]:
    """Return how light uneven goods fare where no scan announces any refill, loose or in packs."""
    kinds = [Kind(unit, _SPREADS["cv_5"], capacity) for unit, capacity in _WEIGHTS[:2]]
    shops = {"loose": _Shop(0.0), "packs_untold": _Shop(0.0, _PACK), "packs": _Shop(0.0, _PACK, _PACK)}
    found: dict[str, Figure] = {}
    for name, shop in shops.items():
        progress(f"nobody announces refills: {name}")
        tally = _Tally(len(kinds))
        for seed in _SEEDS:
            _simulate(kinds, shop, seed, tally)
        for row, kind in enumerate(kinds):
            found[f"unannounced_{name}_{kind.unit_g:.0f}g_agent_exact_percent"] = tally.percent("agent", [row])
    return found


def _simulate(kinds: list[Kind], shop: _Shop, seed: int, tally: _Tally) -> Floats:
    """Play one fortnight; return how many figures were right where the agent was sure, and how many those are."""
    random = np.random.default_rng(seed)
    fleet = CellFleet(kinds, _CHANNELS, random, drift_g_per_c=_DRIFT_G_PER_C, walk_g=_WALK_G)
    everyone = np.arange(len(fleet.kind))
    fleet.put(everyone, fleet.capacity)
    first = fleet.levels()
    belief, naive = begin(first, fleet.nominal, fleet.count), _Naive(first, fleet.nominal, fleet.count)
    pack = np.full(len(everyone), shop.told)
    sure = np.zeros(2)
    for moment in range(_DAYS * 24 * _STEPS_AN_HOUR):
        fleet.advance(1 / _STEPS_AN_HOUR)
        _look(belief, naive, fleet.levels(), np.zeros(len(everyone), dtype=np.int64), pack)
        if (moment // _STEPS_AN_HOUR) % 24 in _OPEN:
            for moved, expected in _business(fleet, random, shop):
                _look(belief, naive, fleet.levels(), np.where(moved, expected, 0), pack)
        units = belief.units()
        found = {"agent": units, "weighing": naive.weighed(belief.level), "steps": naive.stepped}
        tally.add(fleet.kind, fleet.count, found)
        believed = belief.confidence() >= _SURE
        sure += [(units == fleet.count)[believed].sum(), believed.sum()]
    return sure


def _business(fleet: CellFleet, random: np.random.Generator, shop: _Shop) -> list[tuple[np.ndarray, Ints]]:
    """Let customers come once; return, lazily done, who was touched and which refill was announced."""
    size = len(fleet.kind)
    visited = random.random(size) < _VISIT
    low = visited & (fleet.count <= fleet.capacity // 10)
    nobody = np.zeros(size, dtype=np.int64)
    events = []
    buyers = np.flatnonzero(visited & ~low)
    fleet.take(buyers, random.choice([1, 2, 3], len(buyers), p=_TAKEN))
    events.append((visited, nobody))
    returned = buyers[(random.random(len(buyers)) < _PUT_BACK) & (fleet.count[buyers] < fleet.capacity[buyers])]
    refilled = np.flatnonzero(low)
    added = random.integers(fleet.capacity[refilled] // 3, fleet.capacity[refilled] - fleet.count[refilled] + 1)
    added = np.maximum(added // shop.pack, 1) * shop.pack
    fleet.put(refilled, added)
    announced = nobody.copy()
    announced[refilled] = np.where(random.random(len(refilled)) < shop.announced, added, 0)
    events[0] = (visited, announced)
    if len(returned):
        fleet.put(returned, np.ones(len(returned), dtype=np.int64))
        events.append((np.isin(np.arange(size), returned), nobody))
    return events


def _look(belief: Belief, naive: _Naive, level: Floats, expected: Ints, pack: Ints) -> None:
    """Show every estimator a plateau of each cell, as the agent does: small changes are drift, others are steps."""
    moved = np.abs(level - belief.level) >= RESIDUAL * belief.weight
    rows = np.flatnonzero(moved)
    if len(rows):
        some = belief.take(rows)
        step(some, level[rows], np.zeros(len(rows)), expected[rows], pack[rows])
        belief.put(rows, some)
    drift(belief, np.where(moved, belief.level, level))
    reanchor(belief)
    naive.step(level)


def _device() -> tuple[float, float]:
    """Feed whole weighers from simulated cells; return the share of exact settled figures, and a sample's cost."""
    random = np.random.default_rng(2)
    exact = total = fed = 0
    cpu = 0.0
    for number in range(_DEVICE_CELLS):
        unit = _WEIGHTS[number % len(_WEIGHTS)][0]
        cell = LoadCell(weigh_units(20, unit, random), random)
        weigher = Weigher(unit, known=20)
        for tick in range(_DEVICE_SECONDS * 4):
            if tick % _TICKS_A_CUSTOMER == 0 and tick and cell.units:
                cell.take()
            cell.advance(0.25)
            grams = cell.measure(21.0) - 850.0
            sample = Sample(round(grams * COUNTS_PER_GRAM), round(grams))
            began = time.process_time()
            estimate = weigher.feed(sample, tick / 4)
            cpu += time.process_time() - began
            fed += 1
            if estimate and (tick + 1) % _TICKS_A_CUSTOMER == 0:
                total += 1
                exact += estimate.units == len(cell.units)
    return 100 * exact / total, round(1e6 * cpu / fed, 1)
