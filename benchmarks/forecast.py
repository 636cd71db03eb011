"""Demand: a million series in one process beside a plain loop, and policies side by side on real retail data."""

import math
import resource
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, Final

import numpy as np

from benchmarks.frame import DataMissingError, Figure, Outcome, Progress, Target, data_folder
from benchmarks.load.intermittent import compare
from benchmarks.load.outlook import outlook
from cli.replenish.tables import price_list
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.table import Reading, read_demand
from trace_service.replenishment.trials.backtest import backtest
from trace_service.replenishment.trials.replay import Protocol, evaluated

SERIES: Final = 1_000_000
DAYS: Final = 304
SHARD: Final = 20_000
_LOOP_SERIES: Final = 100
_SERVICE: Final = 0.95
_LEAD: Final = 5
_NAMES: Final = (
    "known-mean", "codefence", "tsb", "tsb-weekday", "adida", "ma48-nb", "imapa", "monthly", "ma48-fixed",
)  # fmt: skip
_VALIDATION: Final = date(2011, 6, 23)
_SPLITS: Final = (88, 104, 120, 136, 148, 160)
_BACKWARDS: Final = (112, 148, 160)
_SPLIT_DAYS: Final = 48
_SPEED: Final = {"million_cpu_s": Target("<=", 10), "peak_mb": Target("<=", 1_000)}
_POLICY: Final = {
    "cover_95_of_tsb_worst_split": Target("<=", 1.0),
    "cover_95_of_monthly": Target("<=", 0.95),
    "cover_95_of_ma48_fixed": Target("<=", 0.80),
    "wrmsse_14_of_best_other": Target("<=", 1.01),
    "wrmsse_28_of_best_other": Target("<=", 1.01),
}


def run(progress: Progress) -> Outcome:
    """Measure the kernel on made-up demand, then play the policies on real demand where it is on this machine."""
    figures = _speed(progress)
    try:
        figures |= _policies(progress)
    except DataMissingError as missing:
        progress(f"policies skipped: {missing.message}")
        return Outcome(figures, _SPEED)
    return Outcome(figures, {**_SPEED, **_POLICY})


def _speed(progress: Progress) -> dict[str, Figure]:
    random = np.random.default_rng(7)
    mean = random.gamma(0.6, 3.0, SHARD).astype(np.float32) + 0.02
    units = random.negative_binomial(mean[:, None] / 2, 1 / 3, (SHARD, DAYS)).astype(np.float32)
    progress(f"{SERIES:,} series of {DAYS} days in shards of {SHARD:,}")
    spent = 0.0
    for shard in range(SERIES // SHARD):
        moved = np.roll(units, shard, axis=1)
        began = time.process_time()
        outlook(moved, _LEAD, _SERVICE)
        spent += time.process_time() - began
    progress("the plain loop")
    began = time.process_time()
    for row in units[:_LOOP_SERIES].tolist():
        _by_loop(row)
    loop = (time.process_time() - began) / _LOOP_SERIES * SERIES
    return {
        "million_cpu_s": round(spent * 1_000_000 / SERIES, 2),
        "series": SERIES,
        "days": DAYS,
        "loop_million_cpu_s": round(loop),
        "times_loop": round(loop / spent, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _by_loop(units: list[float]) -> int:
    """Do the same for one series as one would first write it: a day at a time, a count at a time."""
    first = next((day for day, each in enumerate(units) if each > 0), len(units))
    slow = quick = quickest = chance = size = idle = 0.0
    slow_mass = quick_mass = quickest_mass = 0.0
    for each in units[first:]:
        slow, slow_mass = 0.98 * slow + 0.02 * each, 0.98 * slow_mass + 0.02
        quick, quick_mass = 0.95 * quick + 0.05 * each, 0.95 * quick_mass + 0.05
        quickest, quickest_mass = 0.9 * quickest + 0.1 * each, 0.9 * quickest_mass + 0.1
        idle = 0 if each > 0 else idle + 1
        chance = 0.95 * chance + 0.05 * (each > 0)
        if each > 0:
            size = size + 0.05 * (each - size) if size else each
    chance /= quick_mass or 1
    level = slow / (slow_mass or 1) + quick / (quick_mass or 1) + quickest / (quickest_mass or 1) + chance * size
    mean = max(level / 4 * math.exp(-0.05 * min(idle * chance, 6)), 0.001)
    window = units[-90:]
    average = sum(window) / len(window)
    variance = sum((each - average) ** 2 for each in window) / (len(window) - 1)
    ratio = max(variance / average if average else 1.0, 1.01)
    shape = mean * _LEAD / (ratio - 1)
    probability = math.exp(-shape * math.log(ratio))
    total, count = probability, 0
    while total < _SERVICE:
        count += 1
        probability *= (shape + count - 1) / count * (1 - 1 / ratio)
        total += probability
    return count


def _policies(progress: Progress) -> dict[str, Figure]:
    folder = data_folder("retail")
    progress("policies on real demand, the last 48 days")
    reading = Reading(columns={"units": "units_retail"}, prices=price_list(folder / "sku.csv"))
    whole = read_demand(folder / "demand_train.csv.gz", reading).history
    begin = whole.at_or_after(_VALIDATION)
    history = whole.only(evaluated(whole, begin))
    found = {each["policy"]: each for each in backtest(history, _NAMES, Protocol(begin, len(history.days)), {})}
    figures: dict[str, Figure] = {"products": len(history.series)}
    for name in _NAMES:
        figures |= _played(name.replace("-", "_"), found[name])
    cover = {name: found[name]["cover_days"]["95"] for name in _NAMES}
    figures["cover_95_of_monthly"] = round(cover["codefence"] / cover["monthly"], 3)
    figures["cover_95_of_ma48_fixed"] = round(cover["codefence"] / cover["ma48-fixed"], 3)
    for days in ("14", "28"):
        best = min(found[name]["wrmsse"][days] for name in ("tsb", "tsb-weekday", "imapa", "adida"))
        figures[f"wrmsse_{days}_of_best_other"] = round(found["codefence"]["wrmsse"][days] / best, 4)
    theirs = compare(history, Protocol(begin, len(history.days)), progress)
    covers = [value for key, value in theirs.items() if key.endswith("cover_95") and isinstance(value, float)]
    if covers:
        theirs["cover_95_of_best_statsforecast"] = round(cover["codefence"] / min(covers), 3)
    return figures | theirs | _splits(whole, progress)


def _played(name: str, found: Mapping[str, Any]) -> dict[str, Figure]:
    """Return what one policy reached; what has no forecast of days has no WRMSSE."""
    reached = {
        f"cover_95_{name}": found["cover_days"]["95"],
        f"cover_97_{name}": found["cover_days"]["97"],
        f"fill_at_8_days_{name}": found["fill_at_8_days"],
    } | {f"wrmsse_{days}_{name}": value for days, value in (found["wrmsse"] or {}).items()}
    return {key: value for key, value in reached.items() if value is not None}


def _splits(whole: History, progress: Progress) -> dict[str, Figure]:
    """Play other windows of the same days, and days played backwards, whose demand grows as a year's end does."""
    turned = replace(
        whole, units=np.ascontiguousarray(whole.units[:, ::-1]), known=np.ascontiguousarray(whole.known[:, ::-1])
    )
    figures: dict[str, Figure] = {}
    ratios = []
    for name, history, begins in (("from", whole, _SPLITS), ("backwards_from", turned, _BACKWARDS)):
        for begin in begins:
            progress(f"the 48 days {name.replace('_', ' ')} day {begin}")
            own = history.only(evaluated(history, begin))
            played = backtest(own, ["codefence", "tsb"], Protocol(begin, begin + _SPLIT_DAYS), {})
            ours, other = (each["cover_days"]["95"] for each in played)
            figures[f"cover_95_{name}_{begin}"] = ours
            figures[f"cover_95_{name}_{begin}_tsb"] = other
            ratios.append(ours / other)
    figures["cover_95_of_tsb_splits"] = round(sum(ratios) / len(ratios), 4)
    figures["cover_95_of_tsb_worst_split"] = round(max(ratios), 4)
    return figures
