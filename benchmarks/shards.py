"""Forecasts and whole plans over a Dask cluster of two workers beside one process: from what size it pays."""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Final

import distributed
import numpy as np

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.outlook import outlook
from trace_service.replenishment.demand.history import History, Series
from trace_service.replenishment.demand.kernel import Floats
from trace_service.replenishment.night.planning import Stock, Wishes
from trace_service.replenishment.night.shards import SHARD, here, on_cluster, plan_in_shards
from trace_service.replenishment.night.waterlines import lead_times

SIZES: Final = (100_000, 1_000_000)
_DAYS: Final = 304
_WORKERS: Final = 2
_LEAD: Final = 5.0
_SERVICE: Final = 0.95
_TARGETS: Final = {"differing_levels": Target("==", 0), "plan_differing_orders": Target("==", 0)}
Compute = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]


def run(progress: Progress) -> Outcome:
    """Plan the same shards here and on the cluster, whose start and whose traffic count."""
    figures: dict[str, Figure] = {"workers": _WORKERS, "days": _DAYS, "shard": SHARD}
    untyped: Any = distributed
    began = time.perf_counter()
    with (
        untyped.LocalCluster(
            n_workers=_WORKERS, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", protocol="tcp"
        ) as cluster,
        on_cluster(cluster.scheduler_address) as compute,
    ):
        figures["cluster_start_s"] = round(time.perf_counter() - began, 2)
        differing = 0
        for size in SIZES:
            progress(f"{size:,} series in one process")
            alone, own = _timed(here, size)
            progress(f"{size:,} series on {_WORKERS} workers")
            together, found = _timed(compute, size)
            differing += int((own != found).sum())
            figures |= {
                f"series_{size}_one_process_s": round(alone, 2),
                f"series_{size}_workers_s": round(together, 2),
                f"series_{size}_ratio": round(together / alone, 2),
            }
        figures |= _plans(progress, compute)
    return Outcome(figures | {"differing_levels": differing}, _TARGETS)


def _plans(progress: Progress, compute: Compute) -> dict[str, Figure]:
    """Plan 40,000 places to the end: calibration by replay, water lines and thirty days of orders."""
    count = _WORKERS * SHARD
    units = np.vstack([np.roll(_units(), each, axis=1) for each in range(_WORKERS)]).astype(float)
    days = tuple(date(2026, 1, 1) + timedelta(days=each) for each in range(_DAYS))
    series = tuple(Series(f"store{at % 400}", f"sku{at // 400}") for at in range(count))
    history = History(
        series, days, units, np.ones(units.shape, dtype=bool), np.zeros(units.shape, dtype=bool), np.ones(count),
        np.full(count, 6), np.full(count, 5), np.zeros(count, dtype=np.int64), priced=True,
    )  # fmt: skip
    nothing = np.zeros(count, dtype=np.int64)
    stock = Stock(np.full(count, 12), nothing, nothing)
    lead = lead_times([[]] * count, np.full(count, _LEAD))
    seconds, spent = [], []
    orders = []
    for name, where in (("one process", here), ("the cluster", compute)):
        progress(f"the whole plan of {count:,} places: {name}")
        began, cpu = time.perf_counter(), time.process_time()
        orders.append(plan_in_shards(history, stock, lead, Wishes(), where).orders)
        seconds.append(time.perf_counter() - began)
        spent.append(time.process_time() - cpu)
    return {
        "plan_places": count,
        "plan_one_process_s": round(seconds[0], 1),
        "plan_cpu_ms_a_place": round(1000 * spent[0] / count, 2),
        "plan_workers_s": round(seconds[1], 1),
        "plan_ratio": round(seconds[1] / seconds[0], 2),
        "plan_differing_orders": sum(own != found for own, found in zip(*orders, strict=True)),
    }


def _timed(compute: Compute, size: int) -> tuple[float, Floats]:
    """Return the seconds that the shards take with all that has to be sent, and the levels that come of it."""
    units = _units()
    began = time.perf_counter()
    levels: list[Floats] = []
    # Shards are sent a few at a time: a client need not hold all of them either.
    for first in range(0, size // SHARD, _WORKERS):
        part = [np.roll(units, first + each, axis=1) for each in range(min(_WORKERS, size // SHARD - first))]
        levels.extend(compute(_levels, part))
    return time.perf_counter() - began, np.concatenate(levels)


def _levels(units: Floats) -> Any:  # noqa: ANN401  counts
    return outlook(units, _LEAD, _SERVICE).level


def _units() -> Floats:
    random = np.random.default_rng(7)
    mean = random.gamma(0.6, 3.0, SHARD).astype(np.float32) + 0.02
    drawn: Floats = random.negative_binomial(mean[:, None] / 2, 1 / 3, (SHARD, _DAYS)).astype(np.float32)
    return drawn
