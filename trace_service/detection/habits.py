"""What honest customers do now: the weekly baseline, and how far today's travel exceeds it."""

from typing import Final, NamedTuple

import numpy as np

from trace_service.detection.baseline import Baseline
from trace_service.detection.geometry import Geometries
from trace_service.detection.network import FloatArray, Network
from trace_service.detection.placing import KINDS
from trace_service.detection.ratios import SEEN
from trace_service.detection.settings import DAY_MS
from trace_service.detection.sightings import Sightings

_HABIT_DAYS: Final = 365
# A rush of a few days, and a season.
_SURGE_DAYS: Final = (4, 14)
_SURGE_PRIOR: Final = 3.0
_NATION_PRIOR: Final = 20.0
LARGEST_SURGE: Final = 12.0
_MOST_OF_ONE: Final = 3.0
# Cases that the usual chance of a case to be seen is believed for while shipments age.
_SEEN_PRIOR: Final = 200.0


class _Rush(NamedTuple):
    """Pieces seen and expected in the last days: by dealer and place, and in sum over dealers."""

    seen: FloatArray
    usual: FloatArray
    nation: float


class Habits:
    """Expected shares and surges by dealer and place; fitted anew each week, looked at anew each day.

    A place is a city by its index in the network, or a province by its index behind the last city.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.rows: dict[str, int] = {}
        self.snapshot = "none"
        self.share: FloatArray = np.zeros((KINDS, 0, 0))
        self.provinces: list[str] = []
        self.province_of: list[int] = []
        self._rushes: list[_Rush] = []
        self._totals: dict[int, list[tuple[float, float]]] = {}  # by place, of each rush: pieces seen and expected
        self._aged: dict[int, list[int]] = {}  # cases that came so many days ago, and those that were seen by then
        self._geometries = Geometries(network)
        self._geometry = self._geometries.at([], 0)

    @property
    def seen_share(self) -> float:
        """How likely a case is ever seen: no less than by any age that shipments have reached; with a prior."""
        shares = ((seen + _SEEN_PRIOR * SEEN) / (cases + _SEEN_PRIOR) for cases, seen in self._aged.values())
        return max(shares, default=SEEN)

    def aged(self, days: int, cases: int, seen: int) -> None:
        """Count a shipment's cases when they came so many days ago, and those that were seen by then."""
        counted = self._aged.setdefault(days, [0, 0])
        counted[0] += cases
        counted[1] += seen

    def learn(self, sightings: Sightings, now: int) -> None:
        """Fit the baseline to the last year of sightings."""
        dealers = sorted(each for each in self.network.dealers if not self.network.is_national(each, now))
        self.rows = {dealer: row for row, dealer in enumerate(dealers)}
        geometry = self._geometries.at(dealers, now)
        baseline = Baseline(geometry)
        since = now - _HABIT_DAYS * DAY_MS
        seen = self._seen(sightings, since, geometry.home.shape[1])
        baseline.fit(seen, sightings.exposure.table(dealers, since))
        self.snapshot = baseline.snapshot
        self.provinces = geometry.provinces
        self.province_of = geometry.city_province.tolist()
        self._geometry = geometry
        foreign = baseline.share * ~geometry.home
        self.share = np.concatenate([baseline.share, self._geometry.into(foreign)], axis=2)
        self.watch(sightings, now)

    def watch(self, sightings: Sightings, now: int) -> None:
        """Compare each place's recent inflow with the usual one."""
        self._rushes, self._totals = [], {}
        cities = len(self.province_of)
        if not self.rows or not cities:
            return
        for days in _SURGE_DAYS:
            since = now - days * DAY_MS
            located = sightings.exposure.table(list(self.rows), since)
            usual = np.einsum("kd,kdp->dp", located, self.share)
            seen = np.minimum(self._seen(sightings, since, cities).sum(axis=0), _MOST_OF_ONE)
            nation = (seen.sum() + _NATION_PRIOR) / (usual[:, :cities].sum() + _NATION_PRIOR)
            seen = np.concatenate([seen, self._geometry.into(seen)], axis=1)
            self._rushes.append(_Rush(seen, usual, float(nation)))

    def _seen(self, sightings: Sightings, since: int, cities: int) -> FloatArray:
        """Return pieces since a moment, shape (kinds, dealers, cities)."""
        found = np.zeros((KINDS, len(self.rows), cities))
        for cell in sightings.cells.values():
            row = self.rows.get(cell.dealer)
            if row is None or cell.confirmed or cell.latest < since:
                continue
            for piece in cell.independent():
                if piece.at >= since:
                    found[piece.kind, row, cell.city] += 1
        return found

    def shares(self, dealer: str, place: int) -> tuple[float, ...] | None:
        """Return the expected share for each kind of position, None for a dealer without a baseline."""
        row = self.rows.get(dealer)
        return None if row is None else tuple(self.share[:, row, place].tolist())

    def surge(self, dealer: str, place: int) -> float:
        """Return how much more other dealers' goods come to a place than usual, at least 1."""
        row = self.rows.get(dealer)
        found = 1.0
        if row is None:
            return found
        totals = self._totals.get(place)
        if totals is None:
            totals = [(float(each.seen[:, place].sum()), float(each.usual[:, place].sum())) for each in self._rushes]
            self._totals[place] = totals
        for rush, (seen, usual) in zip(self._rushes, totals, strict=True):
            others, expected = seen - float(rush.seen[row, place]), usual - float(rush.usual[row, place])
            found = max(found, (others + _SURGE_PRIOR) / (expected + _SURGE_PRIOR), rush.nation)
        return min(found, LARGEST_SURGE)

    def place_of_province(self, city: int) -> int:
        """Return the place that stands for a city's whole province."""
        return len(self.province_of) + self.province_of[city]
