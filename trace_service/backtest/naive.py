"""Rules that are commonly used instead of evidence, scored on the same stream so that the figures can be compared."""

from collections import defaultdict
from typing import Final, NamedTuple

import numpy as np

from trace_service.backtest.isolation import isolation_scores
from trace_service.backtest.truth import Finding
from trace_service.detection.network import Network, province
from trace_service.detection.observations import Observation, Sighting
from trace_service.detection.placing import Placer
from trace_service.detection.settings import DAY_MS, Settings

EVERY: Final = "every foreign scan"
PROVINCE: Final = "≥ 3 cases a province and week"
ISOLATION: Final = "isolation forest"
_LEAST: Final = 3
_CONTAMINATION: Final = 0.01
_WEEK_MS: Final = 7 * DAY_MS


class _Week(NamedTuple):
    """What one dealer's goods did in one week: located scans, and cases by foreign city."""

    scans: list[int]
    cities: dict[str, set[str]]


class NaiveRules:
    """Watches the stream beside the engine; `findings` answers at its end."""

    def __init__(self, network: Network) -> None:
        self._network = network
        # No sell-off after a swap: these rules know the territory of the day and nothing else.
        self._placer = Placer(network, Settings(runoff_days=0))
        self._every: list[Finding] = []
        self._province: list[Finding] = []
        self._cases: dict[tuple[str, str, int], set[str]] = defaultdict(set)
        self._weeks: dict[tuple[str, int], _Week] = defaultdict(lambda: _Week([0], defaultdict(set)))
        self._seen: set[str] = set()

    def observe(self, observation: Observation) -> None:
        """Take in one observation; each scan once, as it came."""
        if not isinstance(observation, Sighting) or observation.kind != "scan" or observation.key in self._seen:
            return
        self._seen.add(observation.key)
        dealer, case = observation.goods.dealer, observation.goods.case
        placed = self._placer.place(observation)
        if placed is None or dealer is None or case is None:
            return
        week = observation.received_at // _WEEK_MS
        tally = self._weeks[dealer, week]
        tally.scans[0] += 1
        if not placed.foreign:
            return
        city = self._network.cities[placed.city].adcode
        tally.cities[city].add(case)
        self._every.append(_finding(observation, dealer, city, {case}))
        cases = self._cases[dealer, province(city), week]
        if len(cases) < _LEAST:
            cases.add(case)
            if len(cases) == _LEAST:
                self._province.append(_finding(observation, dealer, province(city), cases))

    def findings(self) -> dict[str, list[Finding]]:
        """Return each rule's alerts."""
        return {EVERY: self._every, PROVINCE: self._province, ISOLATION: self._isolated()}

    def _isolated(self) -> list[Finding]:
        """Return the dealer-week in a hundred that is isolated soonest, learned from the whole year."""
        keys = sorted(key for key, week in self._weeks.items() if week.cities)
        if not keys:
            return []
        rows = []
        for key in keys:
            week = self._weeks[key]
            counts = [len(cases) for cases in week.cities.values()]
            rows.append((week.scans[0], sum(counts), max(counts), len(counts), sum(counts) / week.scans[0]))
        scores = isolation_scores(np.array(rows, dtype=np.float64))
        chosen = np.argsort(-scores, kind="stable")[: max(1, round(_CONTAMINATION * len(self._weeks)))]
        found = []
        for index in sorted(chosen.tolist()):
            dealer, number = keys[index]
            city, cases = max(self._weeks[keys[index]].cities.items(), key=lambda each: len(each[1]))
            found.append(Finding(dealer=dealer, raised_at=(number + 1) * _WEEK_MS, adcode=city, cases=frozenset(cases)))
        return found


def _finding(sighting: Sighting, dealer: str, adcode: str, cases: set[str]) -> Finding:
    return Finding(dealer=dealer, raised_at=sighting.received_at, adcode=adcode, cases=frozenset(cases))
