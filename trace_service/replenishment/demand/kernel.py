"""The arithmetic of demand, vectorised over series: levels, spread and negative-binomial order levels. Pure NumPy.

Arrays of history have the shape (series, days) with the newest day last; days before a series' first sale say nothing.
"""

from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]
Mask = NDArray[np.bool_]

# Beyond this the recursion from zero would underflow, and a count is as good as continuous.
_LEAST_LOG: Final = -600.0
_LONGEST: Final = 4_000
_LEAST_RATIO: Final = 1.01
_FITTED_DAYS: Final = 20.0
_CROWD: Final = 0.8
_TSB: Final = 0.05


def first_sales(units: Floats) -> Counts:
    """Return the index of each series' first day with a sale, the number of days where there is none."""
    sold = units > 0
    found: Counts = np.where(sold.any(axis=1), sold.argmax(axis=1), units.shape[1])
    return found


def smoothed(
    values: Floats, first: Counts, alpha: float, known: Mask | None = None, exposure: Floats | None = None
) -> Floats:
    """Return the exponentially weighted mean of each series since its first sale, 0 where there was none.

    `known` is False where a day says nothing: sold out, or missing. `exposure`, shape (days,) or (series, days), is how
    much was to be expected of a day, such as .4 of a Sunday: a mean of values an exposure of 1.
    """
    days = values.shape[1]
    weights = (1.0 - alpha) ** np.arange(days - 1, -1, -1, dtype=values.dtype)
    expected = np.ones(days, values.dtype) if exposure is None else exposure
    if known is None and expected.ndim == 1:
        # Before the first sale there is nothing but zeros, so that the sums need no mask.
        sums = values @ weights
        mass = np.append(np.cumsum((weights * expected)[::-1])[::-1], 0.0)[first]
    else:
        counted = np.arange(days) >= first[:, None]
        if known is not None:
            counted &= known
        sums = np.where(counted, values, 0) @ weights
        mass = np.where(counted, expected, 0) @ weights
    found: Floats = np.divide(sums, mass, out=np.zeros(len(values), values.dtype), where=mass > 0)
    return found


def sale_sizes(units: Floats, alpha: float) -> Floats:
    """Return the smoothed size of a sale, which moves only on days with one (Teunter, Syntetos and Babai 2011)."""
    size = np.zeros(len(units), units.dtype)
    for day in np.ascontiguousarray(units.T):
        sold = day > 0
        step = np.where(size > 0, alpha, 1.0).astype(units.dtype)
        size += np.where(sold, step * (day - size), 0)
    return size


def tsb(units: Floats, first: Counts, known: Mask | None = None, exposure: Floats | None = None) -> Floats:
    """Return demand a day: the smoothed chance of a sale times the smoothed size of one, both with .05."""
    found: Floats = sale_chances(units, first, known, exposure) * tsb_sizes(units, known)
    return found


def sale_chances(units: Floats, first: Counts, known: Mask | None = None, exposure: Floats | None = None) -> Floats:
    """Return the smoothed chance that a day has a sale."""
    return smoothed((units > 0).astype(units.dtype), first, _TSB, known, exposure)


def tsb_sizes(units: Floats, known: Mask | None = None) -> Floats:
    """Return the smoothed size of a sale."""
    return sale_sizes(units if known is None else np.where(known, units, 0), _TSB)


def idle_days(units: Floats, known: Mask | None = None) -> Floats:
    """Return for how many days nothing has been sold, those that say nothing left out."""
    silent = units[:, ::-1] <= 0
    last = np.where(silent.all(axis=1), units.shape[1], silent.argmin(axis=1))
    if known is None:
        whole: Floats = last.astype(units.dtype)
        return whole
    counted = known[:, ::-1] & (np.arange(units.shape[1]) < last[:, None])
    found: Floats = counted.sum(axis=1).astype(units.dtype)
    return found


def spread(window: Floats, first: Counts) -> Floats:
    """Return the ratio of variance to mean of each series, at least 1.01, over a window of recent days.

    A series' own ratio is drawn towards a log-log regression on the mean over all series, the more the fewer its days
    with a sale; the regression is worth 20 such days. `first` counts from the window's first day.
    """
    days = np.maximum(window.shape[1] - np.maximum(first, 0), 1)
    mean = window.sum(axis=1) / days
    square = np.einsum("ij,ij->i", window, window)
    variance = np.maximum(square - days * mean**2, 0) / np.maximum(days - 1, 1)
    own = np.divide(variance, mean, out=np.ones_like(mean), where=mean > 0)
    fitted = _fitted(mean, own)
    sales = np.count_nonzero(window, axis=1)
    found: Floats = np.maximum((sales * own + _FITTED_DAYS * fitted) / (sales + _FITTED_DAYS), _LEAST_RATIO)
    return found


def _fitted(mean: Floats, ratio: Floats) -> Floats:
    usable = (mean > 0) & (ratio > 0)
    if np.count_nonzero(usable) < 3:  # noqa: PLR2004  a line through fewer points explains nothing
        return np.full_like(mean, max(_LEAST_RATIO, float(ratio[usable].mean()) if usable.any() else 2.0))
    x, y = np.log(mean[usable]), np.log(ratio[usable])
    spread_of_x = float(((x - x.mean()) ** 2).sum())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread_of_x if spread_of_x > 0 else 0.0
    floor = float(mean[usable].min())
    fitted: Floats = np.exp(y.mean() + slope * (np.log(np.maximum(mean, floor)) - x.mean()))
    return fitted


def quantiles(mean: Floats, ratio: Floats, levels: Floats) -> Counts:
    """Return the smallest counts whose probability reaches each level, shape (levels, series).

    The counts are negative binomial with the given means and ratios of variance to mean. `levels` has the shape
    (levels,), or (levels, series) with every series' levels in the same order.
    """
    found = np.zeros((len(levels), len(mean)), dtype=np.int64)
    wanted = np.broadcast_to(levels.reshape(len(levels), -1), found.shape)
    some = np.flatnonzero(mean > 0)
    size = mean[some] / (ratio[some] - 1.0)
    start = -size * np.log(ratio[some])
    far = mean[some] + 8.0 * np.sqrt(mean[some] * ratio[some]) > _LONGEST
    large = (start < _LEAST_LOG) | far
    small = some[~large]
    if len(small):
        found[:, small] = _recursion(size[~large], start[~large], ratio[small], wanted[:, small])
    if large.any():
        found[:, some[large]] = _continuous(mean[some[large]], ratio[some[large]], wanted[:, some[large]])
    return found


def _recursion(size: Floats, start: Floats, ratio: Floats, levels: Floats) -> Counts:
    """Walk up the distribution, P(k) from P(k - 1), and drop each series once its highest level is reached."""
    found = np.zeros(levels.shape, dtype=np.int64)
    alive = np.arange(len(size))
    chance = np.exp(start)
    total = chance.copy()
    factor = 1.0 - 1.0 / ratio
    highest = int(levels[:, 0].argmax())
    for count in range(1, 2 * _LONGEST):
        below = total < levels
        going = below[highest]
        left = np.count_nonzero(going)
        if not left:
            break
        found[:, alive] += below
        # Compaction costs as much as a few steps: worth it once enough are done.
        if left < _CROWD * len(alive):
            alive, chance, total, size, factor = (each[going] for each in (alive, chance, total, size, factor))
            levels = levels[:, going]
        chance *= (size + (count - 1)) / count * factor
        total += chance
    return found


def _continuous(mean: Floats, ratio: Floats, levels: Floats) -> Counts:
    """Return quantiles of the gamma distribution with the same moments (Wilson and Hilferty 1931)."""
    ninth = ratio / mean / 9.0
    inverse = NormalDist().inv_cdf
    normal = np.array([inverse(level) for level in levels.ravel().tolist()]).reshape(levels.shape)
    found = mean * np.maximum(1.0 - ninth + normal * np.sqrt(ninth), 0) ** 3
    counts: Counts = np.ceil(found).astype(np.int64)
    return counts
