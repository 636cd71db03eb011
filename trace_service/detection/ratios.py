"""The likelihood ratios of docs/detection.md, in nats. Pure functions of numbers."""

from collections.abc import Sequence
from math import exp, inf, lgamma, log, log1p
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trace_service.detection.network import FloatArray

THETAS: Final = (0.03, 0.08, 0.2, 0.5)
PHIS: Final = (0.1, 0.3, 0.6, 1.0)
# How often goods that are sold in a city show up there by a position of each kind (GPS, IP, store).
LOCATED: Final = (0.85, 0.55, 0.95)
WHOLE_CASE: Final = 0.004
_MOST: Final = 60


def drip_nats(count: int, honest: float, located: float, dispersion: float) -> float:
    """Return ln of the mean over theta of P(count | diverted) / P(count | honest).

    Honest counts are negative binomial with mean `honest` and the dispersion; diversion adds a Poisson count of mean
    theta × `located`. Counts over sixty are taken as sixty, with the means in proportion.
    """
    if count <= 0 or located <= 0:
        return 0.0
    if count > _MOST:
        honest, located, count = honest * _MOST / count, located * _MOST / count, _MOST
    size = 1 / dispersion
    step = honest / (honest + size)
    weights = [1.0]
    for number in range(1, count + 1):
        weights.append(weights[-1] * step * (size + number - 1) / number)
    none = weights[count]
    total = 0.0
    for theta in THETAS:
        mean = theta * located
        term, found = exp(-mean), 0.0
        for number in range(count + 1):
            found += weights[count - number] * term
            term *= mean / (number + 1)
        total += found / none
    return log(total / len(THETAS)) if total > 0 else -inf


def drip_nats_many(counts: NDArray[np.int64], honest: FloatArray, located: FloatArray, dispersion: float) -> FloatArray:
    """Return `drip_nats` of many cells at once, arrays of one shape (n,)."""
    largest = int(min(counts.max(initial=0), _MOST))
    scale = np.where(counts > _MOST, _MOST / np.maximum(counts, 1), 1.0)
    honest, located, counts = honest * scale, located * scale, np.minimum(counts, _MOST)
    size = 1 / dispersion
    step = honest / (honest + size)
    weights = np.ones((largest + 1, len(counts)))
    for number in range(1, largest + 1):
        weights[number] = weights[number - 1] * step * (size + number - 1) / number
    index = np.arange(len(counts))
    none = weights[counts, index]
    total = np.zeros(len(counts))
    for theta in THETAS:
        mean = theta * located
        term = np.exp(-mean)
        for number in range(largest + 1):
            inside = counts >= number
            total += np.where(inside, weights[np.maximum(counts - number, 0), index] * term, 0.0)
            term = term * mean / (number + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: FloatArray = np.where((counts > 0) & (located > 0), np.log(total / none / len(THETAS)), 0.0)
    return found


def bulk_nats(ratios: Sequence[float]) -> float:
    """Return ln of the mean over phi of the product over cases of (1 − phi) + phi × ratio."""
    found = -inf
    for phi in PHIS:
        nats = sum(log(1 - phi + phi * ratio) if ratio > 0 or phi < 1 else -1e3 for ratio in ratios)
        high, low = max(found, nats), min(found, nats)
        found = high + (log1p(exp(low - high)) if low > -inf else 0.0)
    return found - log(len(PHIS))


def beta_binomial_nats(hits: int, of: int, prior_hits: float, prior_of: float) -> float:
    """Return how much likelier `hits` of `of` is at a share of its own than at the dealer's usual share.

    Usual: beta-binomial around prior_hits / prior_of; own: uniform above the usual share.
    """
    usual = min(0.95, max(0.01, prior_hits / prior_of))
    strength = min(prior_of, 30.0)
    honest = _log_beta_binomial(hits, of, usual * strength, (1 - usual) * strength)
    diverted = _log_beta_binomial(hits, of, 4.0, 1.0)
    return diverted - honest if hits / of > usual else 0.0


def _log_beta_binomial(hits: int, of: int, first: float, second: float) -> float:
    ways = lgamma(of + 1) - lgamma(hits + 1) - lgamma(of - hits + 1)
    return ways + _log_beta(hits + first, of - hits + second) - _log_beta(first, second)


def _log_beta(first: float, second: float) -> float:
    return lgamma(first) + lgamma(second) - lgamma(first + second)
