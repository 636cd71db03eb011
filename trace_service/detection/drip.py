"""Drip: a dealer's goods that appear in one foreign city, a case now and a case then. Pure.

docs/detection.md has the statistic. Times are event times, so a backlog gives the same answer as a live stream.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, inf, log, radians, sin, sqrt
from typing import Final, NamedTuple

import numpy as np

from trace_service.domain.counts import (
    CountArray,
    LogArray,
    log_negative_binomial,
    log_negative_binomial_at,
    log_poisson,
)

WINDOW: Final = timedelta(days=28)
THRESHOLD_NATS: Final = 9.5
LEAST_CASES: Final = 3
FOREIGN_SHARE: Final = 0.25
# Parcels and people who move know neither distance nor size: no city is so remote that three cases prove a dump.
ANYWHERE_SHARE: Final = 0.2
DISPERSION: Final = 0.8
DIVERTED_SHARES: Final = (0.03, 0.08, 0.2, 0.5)
LOCATED_RIGHT: Final = 0.85
# The mean over both readings, all goods and one shipment: looking twice must not double the false alarms.
SCOPE_PENALTY_NATS: Final = log(2)
UNKNOWN_POPULATION: Final = 1_000_000.0
_EARTH_KM = 6371.0
_NEAR_KM = 30.0
_POPULATION_POWER = 0.8


class Hit(NamedTuple):
    """The first sighting of a case in a city, and the shipment that the case left with."""

    at: datetime
    case: str
    shipment: str


class City(NamedTuple):
    """Where honest customers may carry goods to: centre in WGS-84 degrees, inhabitants."""

    lon: float
    lat: float
    population: float


class Trade:
    """All located hits of one dealer, put in order once for all of its cities; scope None is all shipments."""

    def __init__(self, hits: Iterable[Hit]) -> None:
        self.hits = sorted(hits)
        self.times: dict[str | None, list[datetime]] = defaultdict(list)
        for hit in self.hits:
            self.times[None].append(hit.at)
            self.times[hit.shipment].append(hit.at)


@dataclass(frozen=True, slots=True)
class Window:
    """Some of a dealer's hits until `until`: `cases` of them in one city, `seen` anywhere, and what that says."""

    cases: frozenset[str]
    seen: int
    until: datetime
    llr: float

    @property
    def alarming(self) -> bool:
        """Whether the evidence is enough to bother a person."""
        return len(self.cases) >= LEAST_CASES and self.llr >= THRESHOLD_NATS


@dataclass(frozen=True, slots=True)
class Score:
    """A dealer × city cell: `cases` of all alarming windows, `seen` in these anywhere, `expected` honestly."""

    cases: frozenset[str]
    seen: int
    expected: float
    llr: float
    alarming: bool


def flow_shares(home: tuple[float, float], foreign: Mapping[str, City]) -> dict[str, float]:
    """Return for each foreign city the share of a dealer's goods that honest customers carry there.

    `home` is the middle of the dealer's own territory. The shares add up to FOREIGN_SHARE.
    """
    pull = {
        code: city.population**_POPULATION_POWER / (_distance_km(home, (city.lon, city.lat)) + _NEAR_KM)
        for code, city in foreign.items()
    }
    total = sum(pull.values())
    evenly = ANYWHERE_SHARE / len(foreign)
    return {code: FOREIGN_SHARE * (evenly + (1 - ANYWHERE_SHARE) * each / total) for code, each in pull.items()}


def weigh_city(here: Sequence[Hit], trade: Trade, share: float) -> Score:
    """Score the hits of one dealer in one city; `trade` holds them as well.

    Weighed are all of the dealer's goods and each shipment by itself: a shipment that was sold elsewhere as a whole
    must not vanish in years of honest trade, nor a drip because it is spread over shipments.
    """
    by_scope: dict[str | None, list[Hit]] = defaultdict(list, {None: list(here)})
    for hit in here:
        by_scope[hit.shipment].append(hit)
    scopes = {
        scope: strongest_window(hits, trade.times[scope], share)
        for scope, hits in by_scope.items()
        if scope is None or len(hits) >= LEAST_CASES
    }
    telling = {scope: window for scope, window in scopes.items() if window.alarming}
    best = max((telling or scopes).values(), key=lambda window: window.llr)
    if not telling:
        return Score(best.cases, best.seen, best.seen * share, best.llr, alarming=False)
    cases = frozenset[str]().union(*(window.cases for window in telling.values()))
    seen = sum(_covered(hit.at, telling.get(None)) or _covered(hit.at, telling.get(hit.shipment)) for hit in trade.hits)
    return Score(cases, seen, seen * share, best.llr, alarming=True)


def strongest_window(here: Iterable[Hit], anywhere: Sequence[datetime], share: float) -> Window:
    """Return the best score among all windows that end with a sighting in the city; there is at least one.

    `anywhere` are the times of all located hits in question, sorted, those in the city included. Where no window can
    be alarming, the one returned is only likely to be the best.
    """
    hits = sorted(here)
    starts, counts = _windows(hits)
    seen = np.array([bisect_right(anywhere, hit.at) - bisect_right(anywhere, hit.at - WINDOW) for hit in hits])
    seen = np.maximum(seen, counts)
    # Too few cases are never an alert, so that their window must not hide one that is.
    bounds = np.where(counts >= min(LEAST_CASES, counts.max()), _most_nats(counts, seen * share), -inf)
    best, llr = 0, -inf
    for end in np.argsort(-bounds, kind="stable").tolist():
        if llr > -inf and bounds[end] <= max(llr, THRESHOLD_NATS):
            break
        found = _log_ratio(int(counts[end]), int(seen[end]), share)
        if found > llr:
            best, llr = end, found
    cases = frozenset(hit.case for hit in hits[starts[best] : best + 1])
    return Window(cases, int(seen[best]), hits[best].at, llr)


def _windows(hits: Sequence[Hit]) -> tuple[list[int], CountArray]:
    """Return for each hit, in their order, the first hit of the window that ends with it, and its distinct cases."""
    starts, counts = [], []
    inside: Counter[str] = Counter()
    start = 0
    for last in hits:
        inside[last.case] += 1
        while hits[start].at <= last.at - WINDOW:
            _drop(inside, hits[start].case)
            start += 1
        starts.append(start)
        counts.append(len(inside))
    return starts, np.array(counts)


def _most_nats(counts: CountArray, expected: LogArray) -> LogArray:
    """Return what the windows can score at most: whatever is diverted, honest trade brings the rest.

    The likeliest rest is the mode of the honest count, which spares the sum over all of them for most windows.
    """
    mode = np.minimum(np.floor(expected * (1 - DISPERSION)).astype(np.int64), counts)
    rest = log_negative_binomial_at(mode, expected, DISPERSION)
    return rest - log_negative_binomial_at(counts, expected, DISPERSION) - SCOPE_PENALTY_NATS


def _drop(inside: Counter[str], case: str) -> None:
    inside[case] -= 1
    if not inside[case]:
        del inside[case]


def _covered(moment: datetime, window: Window | None) -> bool:
    return window is not None and window.until - WINDOW < moment <= window.until


def _log_ratio(count: int, seen: int, share: float) -> float:
    honest = log_negative_binomial(seen * share, DISPERSION, count)
    diverted = np.array([log_poisson(theta * seen * LOCATED_RIGHT, count) for theta in DIVERTED_SHARES])
    both = np.logaddexp.reduce((honest[::-1] + diverted).ravel()) - log(len(DIVERTED_SHARES))
    return float(both - honest[count]) - SCOPE_PENALTY_NATS


def _distance_km(first: tuple[float, float], second: tuple[float, float]) -> float:
    lon_1, lat_1, lon_2, lat_2 = map(radians, (*first, *second))
    chord = sin((lat_2 - lat_1) / 2) ** 2 + cos(lat_1) * cos(lat_2) * sin((lon_2 - lon_1) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(min(1.0, chord)))
