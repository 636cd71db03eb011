"""Generated worlds: time to make one, and how hard they are by the obvious rule, pooled over twenty seeds.

The alternative to drawing all travellers at once is drawing them one by one.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.frame import Outcome, Progress, Target
from firmware_sim.world.arrays import Floats, Ints, Table
from firmware_sim.world.model import make_world
from firmware_sim.world.naive import Difficulty
from firmware_sim.world.parameters import Request
from firmware_sim.world.telling.writing import write_world

SEEDS: Final = range(101, 121)
_TRAVELLERS: Final = 20_000
_ROWS: Final = 368
_SAMPLES: Final = 2000


def run(progress: Progress) -> Outcome:
    """Make and write one world, then make all others; times are CPU seconds of one core."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        first = make_world(Request(seed=SEEDS[0]))
        write_world(first, Path(folder), progress)
        made = time.process_time() - begin
    measured = [first.difficulty]
    for seed in SEEDS[1:]:
        measured.append(make_world(Request(seed=seed)).difficulty)
        progress(f"seed {seed}: precision {measured[-1].precision:.2f}, recall {measured[-1].recall:.2f}")
    free = [make_world(Request(seed=seed, attack_free=True)).difficulty for seed in SEEDS[:5]]
    shares = [100 * each.foreign_share for each in measured]
    figures = {
        "generation_cpu_s": made,
        "draw_one_by_one_ratio": _ratio(),
        "lowest_foreign_percent": min(shares),
        "highest_foreign_percent": max(shares),
        "small_attacks_percent": 100 * _pooled(measured, "small_attacks", "attacks"),
        **_interval("rule_precision", measured, "right", "alerts"),
        **_interval("rule_recall", measured, "core_found", "core"),
        **_interval("rule_recall_large", measured, "large_found", "large"),
        "rule_false_per_million": 1e6 * _pooled(free, "alerts", "honest_scans"),
    }
    targets = {
        "generation_cpu_s": Target("<=", 40.0),
        "lowest_foreign_percent": Target(">=", 18.0),
        "highest_foreign_percent": Target("<=", 26.0),
        "rule_precision": Target("<=", 0.6),
        "rule_precision_from": Target(">=", 0.3),
        "rule_recall": Target("<=", 0.55),
    }
    return Outcome(figures, targets)


def _interval(name: str, measured: Sequence[Difficulty], found: str, of: str) -> dict[str, float]:
    """Return a pooled share and its 95 % interval, drawn from the seeds again and again."""
    pairs = np.array([(getattr(each, found), getattr(each, of)) for each in measured], np.float64)
    drawn = np.random.default_rng(1).integers(0, len(pairs), (_SAMPLES, len(pairs)))
    sums = pairs[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / np.maximum(sums[:, 1], 1), (0.025, 0.975))
    return {name: _pooled(measured, found, of), f"{name}_from": float(low), f"{name}_to": float(high)}


def _pooled(measured: Sequence[Difficulty], found: str, of: str) -> float:
    total = sum(getattr(each, of) for each in measured)
    return float(sum(getattr(each, found) for each in measured) / max(total, 1))


def _ratio() -> float:
    """Return how many times longer drawing a destination for each traveller in turn takes."""
    random = np.random.default_rng(1)
    weights = random.lognormal(0, 1, (_ROWS, _ROWS))
    rows = random.integers(0, _ROWS, _TRAVELLERS)
    begin = time.process_time()
    Table(weights).draw(rows, random)
    at_once = time.process_time() - begin
    begin = time.process_time()
    _one_by_one(weights, rows[: _TRAVELLERS // 10], random)
    return 10 * (time.process_time() - begin) / max(at_once, 1e-6)


def _one_by_one(weights: Floats, rows: Ints, random: np.random.Generator) -> list[int]:
    shares = weights / weights.sum(axis=1, keepdims=True)
    return [int(random.choice(_ROWS, p=shares[row])) for row in rows]
