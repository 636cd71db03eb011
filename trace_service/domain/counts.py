"""Count distributions as logarithms, by recursion: no special functions, and no count or mean is too large."""

import numpy as np
from numpy.typing import NDArray

LogArray = NDArray[np.float64]
CountArray = NDArray[np.int64]


def log_negative_binomial(mean: float, dispersion: float, largest: int) -> LogArray:
    """Return ln P(0) … ln P(largest) of a negative binomial with variance mean + dispersion * mean².

    Shape (largest + 1,); `mean` and `dispersion` are positive.
    """
    size = 1.0 / dispersion
    counts = np.arange(1, largest + 1)
    steps = np.log(mean / (mean + size)) + np.log((size + counts - 1) / counts)
    return np.cumsum(np.concatenate(([-size * np.log1p(mean / size)], steps)))


def log_negative_binomial_at(counts: CountArray, means: LogArray, dispersion: float) -> LogArray:
    """Return ln P(count) of one negative binomial for each count and mean, all of shape (n,)."""
    size = 1.0 / dispersion
    each = np.arange(1, counts.max() + 1)
    ways = np.concatenate(([0.0], np.cumsum(np.log((size + each - 1) / each))))
    return ways[counts] + counts * np.log(means / (means + size)) - size * np.log1p(means / size)


def log_poisson(mean: float, largest: int) -> LogArray:
    """Return ln P(0) … ln P(largest) of a Poisson count with a positive mean, shape (largest + 1,)."""
    return np.cumsum(np.concatenate(([-mean], np.log(mean / np.arange(1, largest + 1)))))
