"""Drip: a dealer's goods that appear in one foreign city, a case now and a case then. Pure.

docs/detection.md has the statistic. Times are event times, so a backlog gives the same answer as a live stream.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import asin, cos, inf, radians, sin, sqrt
from typing import Final, NamedTuple

from trace_service.domain.counts import log_ratio, negative_binomial, poisson

WINDOW: Final = timedelta(days=28)
THRESHOLD_NATS: Final = 9.5
LEAST_CASES: Final = 3
FOREIGN_SHARE: Final = 0.25
DISPERSION: Final = 0.8
DIVERTED_SHARES: Final = (0.03, 0.08, 0.2, 0.5)
LOCATED_RIGHT: Final = 0.85
# Beyond this many cases the answer does not change, and the sums would only grow.
LARGEST_COUNT: Final = 60
UNKNOWN_POPULATION: Final = 1_000_000.0
_EARTH_KM = 6371.0
_NEAR_KM = 30.0
_POPULATION_POWER = 0.8


class Hit(NamedTuple):
    """The first sighting of a case in a city."""

    at: datetime
    case: str


class City(NamedTuple):
    """Where honest customers may carry goods to: centre in WGS-84 degrees, inhabitants."""

    lon: float
    lat: float
    population: float


@dataclass(frozen=True, slots=True)
class Score:
    """The strongest window of a dealer × city cell: `cases` seen there, `seen` anywhere, `expected` honestly."""

    cases: frozenset[str]
    seen: int
    expected: float
    llr: float

    @property
    def alarming(self) -> bool:
        """Whether the evidence is enough to bother a person."""
        return len(self.cases) >= LEAST_CASES and self.llr >= THRESHOLD_NATS


def flow_shares(home: tuple[float, float], foreign: Mapping[str, City]) -> dict[str, float]:
    """Return for each foreign city the share of a dealer's goods that honest customers carry there.

    `home` is the middle of the dealer's own territory. The shares add up to FOREIGN_SHARE.
    """
    pull = {
        code: city.population**_POPULATION_POWER / (_distance_km(home, (city.lon, city.lat)) + _NEAR_KM)
        for code, city in foreign.items()
    }
    total = sum(pull.values())
    return {code: FOREIGN_SHARE * each / total for code, each in pull.items()}


def strongest_window(here: Iterable[Hit], anywhere: Sequence[datetime], share: float) -> Score:
    """Return the best score among all windows that end with a sighting in the city.

    `anywhere` are the times of all located hits of the dealer, sorted, those in the city included.
    """
    hits = sorted(here)
    best = Score(frozenset(), 0, 0.0, -inf)
    start = 0
    for end, last in enumerate(hits):
        while hits[start].at <= last.at - WINDOW:
            start += 1
        cases = frozenset(hit.case for hit in hits[start : end + 1])
        seen = bisect_right(anywhere, last.at) - bisect_right(anywhere, last.at - WINDOW)
        score = _score(cases, max(seen, len(cases)), share)
        if (score.llr, len(score.cases)) > (best.llr, len(best.cases)):
            best = score
    return best


def _score(cases: frozenset[str], seen: int, share: float) -> Score:
    expected = seen * share
    count = min(len(cases), LARGEST_COUNT)
    honest = negative_binomial(expected, DISPERSION, count)
    ratios = []
    for diverted in DIVERTED_SHARES:
        sold = poisson(diverted * seen * LOCATED_RIGHT, count)
        both = sum(honest[count - number] * sold[number] for number in range(count + 1))
        ratios.append(both / len(DIVERTED_SHARES))
    return Score(cases, seen, expected, log_ratio(sum(ratios), honest[count]))


def _distance_km(first: tuple[float, float], second: tuple[float, float]) -> float:
    lon_1, lat_1, lon_2, lat_2 = map(radians, (*first, *second))
    chord = sin((lat_2 - lat_1) / 2) ** 2 + cos(lat_1) * cos(lat_2) * sin((lon_2 - lon_1) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(min(1.0, chord)))
