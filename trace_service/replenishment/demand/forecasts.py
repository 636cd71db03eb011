"""Demand a day of each series, by the names under which the methods are known; each sees only the days before."""

from typing import Final

import numpy as np

from trace_service.replenishment.demand.kernel import (
    Counts,
    Floats,
    Mask,
    first_sales,
    idle_days,
    sale_chances,
    smoothed,
    tsb,
    tsb_sizes,
)

MOVING_DAYS: Final = 48
_TREND_DAYS: Final = 24
_TREND_POWER: Final = 0.5
_MIXED_ALPHAS: Final = (0.02, 0.05, 0.1)
# What each sale that was to be expected since the last one, and did not come, takes off; and the most that count.
_SILENCE: Final = 0.05
_MOST_MISSED: Final = 6.0
_ALPHAS: Final = (0.1, 0.15, 0.2, 0.25, 0.3)
_LONGEST_INTERVAL: Final = 60


def mixed(units: Floats, known: Mask | None = None, exposure: Floats | None = None) -> Floats:
    """Return the mean of three moving averages and of TSB, with half of the trend that all share, less for the silent.

    One method errs alone; four err less. What all series have gained or lost over the last weeks, none of them shows
    well by itself. A series that has been silent for longer than its usual gap may have ended: it loses some of its
    demand to those that sell.
    """
    first = first_sales(units)
    chance = sale_chances(units, first, known, exposure)
    parts = [smoothed(units, first, alpha, known, exposure) for alpha in _MIXED_ALPHAS]
    level = (sum(parts) + chance * tsb_sizes(units, known)) / (len(parts) + 1)
    recent, total = _recent(units, known, exposure), float(level.sum())
    if total <= 0:
        return level
    missed = np.minimum(idle_days(units, known) * chance, _MOST_MISSED)
    lively = level * np.exp(-_SILENCE * missed)
    trend = (recent / total) ** _TREND_POWER if recent > 0 else 1.0
    found: Floats = lively * (trend * total / float(lively.sum()))
    return found


def _recent(units: Floats, known: Mask | None, exposure: Floats | None) -> float:
    """Return what all series together sold a day over the last weeks."""
    last = slice(-_TREND_DAYS, None)
    expected = np.ones(units.shape[1]) if exposure is None else exposure
    if known is None and expected.ndim == 1:
        return float(units[:, last].sum() / expected[last].sum())
    counted = np.ones(units.shape, dtype=bool) if known is None else known
    sums = np.where(counted, units, 0)[:, last].sum(axis=1)
    mass = np.where(counted, expected, 0)[:, last].sum(axis=1)
    return float(np.divide(sums, mass, out=np.zeros(len(units)), where=mass > 0).sum())


def tsb_mean(units: Floats, known: Mask | None = None, exposure: Floats | None = None) -> Floats:
    """Return the method of Teunter, Syntetos and Babai with both parameters .05."""
    return tsb(units, first_sales(units), known, exposure)


def moving_average(units: Floats) -> Floats:
    """Return the mean of the last 48 trading days."""
    found: Floats = units[:, -MOVING_DAYS:].mean(axis=1)
    return found


def adida(units: Floats) -> Floats:
    """Return ADIDA (Nikolopoulos et al. 2011): smoothed over buckets as long as the mean interval between sales."""
    interval = _intervals(units)
    found = np.zeros(len(units))
    for length in np.unique(interval):
        own = interval == length
        found[own] = _smoothed_buckets(units[own], int(length))
    return found


def imapa(units: Floats) -> Floats:
    """Return IMAPA (Petropoulos and Kourentzes 2015): the mean of ADIDA over all buckets up to that interval."""
    interval = _intervals(units)
    total = np.zeros(len(units))
    for length in range(1, int(interval.max(initial=1)) + 1):
        own = interval >= length
        total[own] += _smoothed_buckets(units[own], length)
    found: Floats = total / interval
    return found


def _intervals(units: Floats) -> Counts:
    """Return the mean number of days from sale to sale, rounded, at least 1."""
    sold = units > 0
    count = sold.sum(axis=1)
    last = units.shape[1] - 1 - sold[:, ::-1].argmax(axis=1)
    spans = np.where(count > 1, (last - sold.argmax(axis=1)) / np.maximum(count - 1, 1), 1.0)
    found: Counts = np.clip(np.rint(spans), 1, min(_LONGEST_INTERVAL, units.shape[1])).astype(np.int64)
    return found


def _smoothed_buckets(units: Floats, length: int) -> Floats:
    """Return simple smoothing over buckets of days, per day, with the parameter of .1 to .3 that fitted best."""
    count = units.shape[1] // length
    buckets = np.ascontiguousarray(units[:, units.shape[1] - count * length :].reshape(-1, count, length).sum(axis=2).T)
    alphas = np.array(_ALPHAS)[:, None]
    level = np.repeat(buckets[:1], len(_ALPHAS), axis=0)
    error = np.zeros_like(level)
    for bucket in buckets[1:]:
        gap = bucket - level
        error += gap * gap
        level = level + alphas * gap
    best = error.argmin(axis=0)
    found: Floats = level[best, np.arange(len(units))] / length
    return found
