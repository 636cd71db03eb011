"""The likelihood ratios of docs/detection.md, in nats. Pure functions of numbers."""

from collections import Counter
from collections.abc import Sequence
from math import exp, inf, lgamma, log, log1p
from typing import Final

THETAS: Final = (0.03, 0.08, 0.2, 0.5)
PHIS: Final = (0.1, 0.3, 0.6, 1.0)
# How often goods that are sold in a city show up there by a position of each kind (GPS, IP, store).
LOCATED: Final = (0.85, 0.55, 0.95)
WHOLE_CASE: Final = 0.004
# Cases of a shipment carried together by one honest buyer: how often each that is seen is the first, and how likely
# there is a next one.
GIFT: Final = 0.008
GIFT_CASE: Final = 0.69
# How likely a case is ever seen, where nothing is known yet: as in the markets that the thresholds were chosen on.
SEEN: Final = 0.24
# That a carrier shows the addresses of a dealer's cities in one certain other, where nobody else's goods tell of it.
GATEWAY: Final = 0.0001
# How often a diverted case seems to be at home as well: positions err.
DIVERTED_AT_HOME: Final = 0.04
_MOST: Final = 60
_MOST_NATS: Final = 500.0
_MOST_HOME: Final = 3.0


def dispersion_at(mean: float) -> float:
    """Return the dispersion of honest counts: the rarer a flow is expected, the less its expectation is known."""
    return min(3.5, max(0.6, 1.2 * exp(-0.35 * log(max(mean, 1e-6)))))


def drip_nats(count: int, honest: float, located: float) -> float:
    """Return ln of the mean over theta of P(count | diverted) / P(count | honest).

    Honest counts are negative binomial with mean `honest` and `dispersion_at` it; diversion adds a Poisson count of
    mean theta × `located`. Counts over sixty are taken as sixty, with the means in proportion.
    """
    if located <= 0:
        return 0.0
    if count > _MOST:
        honest, located, count = honest * _MOST / count, located * _MOST / count, _MOST
    size = 1 / dispersion_at(honest)
    step = honest / (honest + size)
    weights = [1.0]
    for number in range(1, count + 1):
        weights.append(weights[-1] * step * (size + number - 1) / number)
    none = weights[count]
    weights.reverse()
    total = 0.0
    for theta in THETAS:
        mean = theta * located
        term, found = exp(-mean), 0.0
        for number, weight in enumerate(weights, 1):
            found += weight * term
            term *= mean / number
        total += found / none
    return log(total / len(THETAS)) if total > 0 else -inf


def bulk_nats(ratios: Sequence[float]) -> float:
    """Return ln of the mean over phi of the product over cases of (1 − phi) + phi × ratio."""
    found = -inf
    counted = Counter(ratios).items()
    for phi in PHIS:
        nats = sum(number * (log(1 - phi + phi * ratio) if ratio > 0 or phi < 1 else -1e3) for ratio, number in counted)
        high, low = max(found, nats), min(found, nats)
        found = high + (log1p(exp(low - high)) if low > -inf else 0.0)
    return found - log(len(PHIS))


def home_nats(away: int, at_home: float, usual: float) -> float:
    """Return what it says that so many of a place's cases were seen at home as well, or were not.

    `usual` is the share of honest travellers' cases that were. Goods that are sold elsewhere as a whole are not. Places
    differ in that share, so that many cases that were not seen at home say no more than a few.
    """
    found = at_home * log(DIVERTED_AT_HOME / usual) + away * log((1 - DIVERTED_AT_HOME) / (1 - usual))
    return min(_MOST_HOME, found)


def gift_nats(here: Sequence[float], elsewhere: Sequence[float], cases: int, seen: float) -> float:
    """Return ln of how much likelier one present makes what was seen of a shipment than honest trade without one.

    `here` and `elsewhere` are diverted over honest of each case; `cases` is what those here count for. Each case that
    is seen may be the first of a present, so that the more of a market is seen, the more it takes to be strange. Of a
    present the cases are geometric in number; each case is seen with a chance of `seen`, so that those seen are
    geometric too: where nearly every case is seen, many cases of one present are. A present took any of the shipment's
    cases, so that the more were seen elsewhere, the less it explains just these; as far as positions err, some of those
    elsewhere may be of it as well.
    """
    further = GIFT_CASE * seen / (1 - GIFT_CASE + GIFT_CASE * seen)
    found, others = len(here), len(elsewhere)
    erring = further * sum(elsewhere) / others if others else 0.0
    term = total = 1.0
    for number in range(1, min(others, _MOST) + 1):
        term *= erring * (found + number) / number
        total += term
    choices = lgamma(found + others + 1) - lgamma(found + 1) - lgamma(others + 1)
    return log(GIFT * (found + others)) + cases * log(further) + sum(map(log, here)) + log(total) - choices


def gift_capped(nats: float, present: float) -> float:
    """Return a bulk ratio against the honest alternative of one big present, whose own ratio is `present`."""
    return nats - max(0.0, present) - log1p(exp(-abs(present)))


def gateway_capped(nats: float, by_address: float) -> float:
    """Return a ratio against the honest alternative that a carrier shows the dealer's home addresses in the place.

    `by_address` is what the addresses say alone: the alternative explains those, and nothing else.
    """
    return nats - log1p(GATEWAY * exp(min(by_address, _MOST_NATS))) if by_address > 0 else nats
