"""Count distributions by recursion: no special functions, exact enough for counts of a few hundred."""

from math import exp, log, log1p


def negative_binomial(mean: float, dispersion: float, largest: int) -> list[float]:
    """Return P(0) … P(largest) of a negative binomial with variance mean + dispersion * mean².

    `mean` and `dispersion` are positive.
    """
    size = 1.0 / dispersion
    odds = mean / (mean + size)
    found = [exp(-size * log1p(mean / size))]
    for count in range(1, largest + 1):
        found.append(found[-1] * odds * (size + count - 1) / count)
    return found


def poisson(mean: float, largest: int) -> list[float]:
    """Return P(0) … P(largest) of a Poisson count with a positive mean."""
    found = [exp(-mean)]
    for count in range(1, largest + 1):
        found.append(found[-1] * mean / count)
    return found


def log_ratio(numerator: float, denominator: float) -> float:
    """Return ln(numerator / denominator) of two positive numbers."""
    return log(numerator) - log(denominator)
