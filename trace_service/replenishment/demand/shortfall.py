"""Chances and expectations of running out, for many series at once."""

import numpy as np

from trace_service.replenishment.demand.kernel import Counts, Floats


def distribution(mean: Floats, ratio: Floats, largest: int) -> Floats:
    """Return P(demand <= 0) … P(demand <= largest) of negative binomials, shape (series, largest + 1).

    Summed in logarithms, so that no mean is too large.
    """
    mean = np.maximum(mean, 1e-9)
    size = mean / (ratio - 1.0)
    counts = np.arange(1, largest + 1)
    start = -size * np.log(ratio)
    steps = np.log((size[:, None] + counts - 1) / counts) + np.log1p(-1.0 / ratio)[:, None]
    logs = np.concatenate([start[:, None], start[:, None] + np.cumsum(steps, axis=1)], axis=1)
    found: Floats = np.minimum(np.cumsum(np.exp(logs), axis=1), 1.0)
    return found


def chances(mean: Floats, ratio: Floats, stock: Counts, units: int) -> Floats:
    """Return the chance that demand exceeds the stock, the stock and one more, …: shape (series, units)."""
    if units == 0 or not len(mean):
        return np.zeros((len(mean), units))
    least = int(stock.min())
    table = distribution(mean, ratio, int(stock.max()) + units - min(least, 0))
    at = np.clip(stock, 0, None)[:, None] + np.arange(units)
    found: Floats = 1.0 - np.take_along_axis(table, at, axis=1)
    return found


def stockout(mean: Floats, ratio: Floats, stock: Counts) -> Floats:
    """Return the chance that demand exceeds the stock, shape (series,)."""
    found: Floats = chances(mean, ratio, np.maximum(stock, 0), 1)[:, 0]
    return found


def unsold(mean: Floats, ratio: Floats, stock: Counts) -> Floats:
    """Return how many units of the stock are expected to be left, shape (series,)."""
    largest = int(max(stock.max(initial=0), 1))
    table = distribution(mean, ratio, largest)
    # E max(x - D, 0) is the sum of P(D <= k) over k < x.
    running = np.concatenate([np.zeros((len(mean), 1)), np.cumsum(table, axis=1)], axis=1)
    found: Floats = np.take_along_axis(running, np.maximum(stock, 0)[:, None], axis=1)[:, 0]
    return found
