"""A count distribution as logarithms, by recursion: no special functions, and no count or mean is too large."""

import numpy as np
from numpy.typing import NDArray

LogArray = NDArray[np.float64]


def log_negative_binomial(mean: float, dispersion: float, largest: int) -> LogArray:
    """Return ln P(0) … ln P(largest) of a negative binomial with variance mean + dispersion * mean².

    Shape (largest + 1,); `mean` and `dispersion` are positive.
    """
    size = 1.0 / dispersion
    counts = np.arange(1, largest + 1)
    steps = np.log(mean / (mean + size)) + np.log((size + counts - 1) / counts)
    return np.cumsum(np.concatenate(([-size * np.log1p(mean / size)], steps)))
