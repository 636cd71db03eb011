"""Orders beyond what a dealer needs: a prior for what flow detectors say of the dealer, never an alert of its own.

A negative-binomial CUSUM of each week's orders (in shipments of usual size) against the dealer's own past weeks, its
peers' week, and what consumers' scans say that it sells (Page 1954; likelihood ratio of 2.5 times the mean). What the
dealer passes on to others within three weeks was not ordered for itself: a week is weighed three weeks later.
Kept: five figures a dealer, the cases ordered in the last three weeks, and those of each paper.
"""

from collections.abc import Iterable
from math import exp, log
from typing import Final

from msgspec import Struct

from trace_service.detection.changes import Claim
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Shipment, Sighting
from trace_service.detection.settings import DAY_MS

_MONDAY: Final = 4
_MORE: Final = 2.5
_DISPERSION: Final = 1.0
_MEMORY_WEEKS: Final = 26.0
_CONSUMED_WEEKS: Final = 8.0
_PRIOR_WEEKS: Final = 6.0
_LEAST_MEAN: Final = 0.15
_SPEAKS: Final = 1.0
_LARGEST: Final = 2.0
_FADES: Final = 0.93
_PEERS: Final = (0.5, 2.0)
_PASSED_ON_WEEKS: Final = 3


class _Dealer(Struct):
    """Cases ordered this week; mean cases a week, mean scans a week, scans this week, and the CUSUM."""

    week: float = 0.0
    mean: float = 0.0
    scans: float = 0.0
    scanned: float = 0.0
    excess: float = 0.0
    weeks: int = 0


class OrderingPrior:
    """Feeds `priors`: nats, at most 2, by dealer; kept up to date once a week."""

    wants: tuple[type, ...] = (Shipment, Sighting)

    def __init__(self, network: Network) -> None:
        self.network = network
        self.priors: dict[str, float] = {}
        self._dealers: dict[str, _Dealer] = {}
        # case → dealer and week; what is passed on within three weeks changes its dealer.
        self._recent: dict[str, tuple[str, int]] = {}
        self._told: dict[tuple[str, str], tuple[str, ...]] = {}  # dealer and shipment → its cases
        self._size = [20.0, 1.0]  # cases, shipments

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count what is ordered and what is scanned."""
        if isinstance(observation, Shipment):
            if observation.kind != "delivery" and observation.receiver in self.network.dealers:
                self._ordered(observation, now // (7 * DAY_MS))
        elif isinstance(observation, Sighting) and observation.kind == "scan":
            dealer = observation.goods.dealer
            if dealer is not None and dealer in self.network.dealers:
                self._of(dealer).scanned += 1
        return ()

    def close_day(self, now: int) -> Iterable[Claim]:
        """Weigh the week on Mondays."""
        if (now // DAY_MS - _MONDAY) % 7 == 0:
            self._keep(now // (7 * DAY_MS) - _PASSED_ON_WEEKS)
            rush = self._rush()
            self.priors = {}
            for name, dealer in self._dealers.items():
                self._weigh(dealer, rush)
                if dealer.excess > _SPEAKS:
                    self.priors[name] = round(min(_LARGEST, dealer.excess - _SPEAKS), 3)
        return ()

    def _ordered(self, paper: Shipment, week: int) -> None:
        """Count a paper's cases; of one that is told again, since goods joined or left it, those that are new."""
        which = paper.receiver, paper.key
        before = frozenset(self._told.get(which, ()))
        self._recent.update((case, (paper.receiver, week)) for case in paper.cases if case not in before)
        self._size[0] += len(paper.cases) - len(before)
        self._size[1] += which not in self._told
        self._told[which] = paper.cases

    def _keep(self, week: int) -> None:
        """Count the cases that were ordered until a week and stayed where they came."""
        for case in [case for case, (_, since) in self._recent.items() if since <= week]:
            self._of(self._recent.pop(case)[0]).week += 1

    def _of(self, dealer: str) -> _Dealer:
        found = self._dealers.get(dealer)
        if found is None:
            found = self._dealers[dealer] = _Dealer()
        return found

    def _rush(self) -> float:
        """Return how much more than usual everybody ordered this week: a season, no single dealer."""
        old = [each for each in self._dealers.values() if each.weeks > _PRIOR_WEEKS]
        ordered, usual = sum(each.week for each in old), sum(each.mean for each in old)
        return min(_PEERS[1], max(_PEERS[0], (ordered + 10.0) / (usual + 10.0)))

    def _weigh(self, dealer: _Dealer, rush: float) -> None:
        size = self._size[0] / self._size[1]
        demand = 1.0
        if dealer.scans > 0.5:  # noqa: PLR2004  scans a week below which they say nothing of demand
            demand = min(2.0, max(1.0, (dealer.scanned + 2.0) / (dealer.scans + 2.0)))
        if dealer.weeks >= _PRIOR_WEEKS:
            count = dealer.week / size
            usual = max(_LEAST_MEAN, dealer.mean / size * rush * demand)
            more = _MORE * usual
            shape = 1 / _DISPERSION
            nats = count * log(more / usual) - (count + shape) * log((shape + more) / (shape + usual))
            dealer.excess = max(0.0, _FADES * dealer.excess + nats)
        memory = min(_MEMORY_WEEKS, dealer.weeks + 1.0)
        # What is far beyond the usual teaches little of it.
        taught = min(dealer.week, 3 * dealer.mean + size) if dealer.weeks else dealer.week
        dealer.mean += (taught - dealer.mean) / memory
        dealer.scans += (dealer.scanned - dealer.scans) * (1 - exp(-1 / _CONSUMED_WEEKS))
        dealer.week = dealer.scanned = 0.0
        dealer.weeks += 1
