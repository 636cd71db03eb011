"""Shipments that end up in many foreign cities at once, in none of them often enough to speak by itself.

A shipment's cases that were seen abroad, one a city, are held against the dealer's other shipments: beta-binomial, so
that a dealer at a railway hub is compared with itself. Presents, one buyer of several cases and a carrier's gateway go
to one city and count once.
"""

from collections.abc import Iterable, Iterator
from math import exp, lgamma, log, log1p
from typing import Final

from msgspec import Struct, structs

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.detectors.flow import FlowDetector
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Sighting, Withdrawn
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import AT_HOME

_LEAST_CITIES: Final = 6
# How much of a shipment goes elsewhere, if some of it does.
_PHIS: Final = (0.3, 0.6, 0.9)
# Pieces that the market's share counts for beside a dealer's own, and the most that any share is believed for: honest
# shipments of one dealer differ.
_MARKET_WORTH: Final = 20.0
_MOST_WORTH: Final = 30.0
_MARKET_PRIOR: Final = (2.0, 10.0)
_SEASON_PRIOR: Final = 5.0
_SEASON_MS: Final = 30 * DAY_MS


class _Tally(Struct):
    """Foreign cities and located pieces."""

    away: int = 0
    located: int = 0


class _Shipment(Struct):
    """A shipment to a dealer, its season (months since the epoch), and what is counted of it."""

    dealer: str
    season: int
    away: int = 0
    located: int = 0


class OutflowDetector:
    """Counts with every sighting the shipment that it belongs to; where a cell of it is an alert it is silent."""

    wants: tuple[type, ...] = (Sighting, Withdrawn)

    def __init__(self, network: Network, settings: Settings, flow: FlowDetector) -> None:
        self.network, self.settings, self.flow = network, settings, flow
        self._shipments: dict[str, _Shipment] = {}
        self._of: dict[str, str] = {}
        self._dealers: dict[str, _Tally] = {}
        self._seasons: dict[int, _Tally] = {}
        self._market = _Tally()
        self._near: set[str] = set()

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count the shipments of a sighting anew: the one that it was of, and the one that it is of."""
        if not isinstance(observation, Sighting | Withdrawn):
            return
        touched = [self._of.pop(observation.key, None)]
        if isinstance(observation, Sighting) and observation.goods.shipment is not None:
            goods, shipment = observation.goods, observation.goods.shipment
            if goods.dealer in self.network.dealers and not self.network.is_national(goods.dealer, now):
                self._of[observation.key] = shipment
                season = (goods.shipped_at or now) // _SEASON_MS
                known = self._shipments.get(shipment)
                if known is None or known.dealer != goods.dealer:
                    self._count(shipment, 0, 0)
                    self._shipments[shipment] = _Shipment(goods.dealer, season)
                touched.append(shipment)
        for each in dict.fromkeys(touched):
            if each is not None and each in self._shipments:
                yield from self._claims(each)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Time alone makes nobody guilty."""
        del now
        return ()

    def _count(self, shipment: str, away: int, located: int) -> None:
        known = self._shipments.get(shipment)
        if known is None:
            return
        for tally in (
            self._market,
            self._dealers.setdefault(known.dealer, _Tally()),
            self._seasons.setdefault(known.season, _Tally()),
        ):
            tally.away += away - known.away
            tally.located += located - known.located
        known.away, known.located = away, located

    def _claims(self, shipment: str) -> Iterator[Claim]:
        known = self._shipments[shipment]
        trace = self.flow.sightings.traces[shipment, known.dealer]
        located = trace.home + len(trace.away)
        self._count(shipment, len(trace.away), located)
        usual, nats = self._usual(known), -1.0
        if len(trace.away) >= _LEAST_CITIES and not any(
            (known.dealer, city) in self.flow.alarming for city in trace.away
        ):
            nats = scattered_nats(known.away, known.located, usual, self._worth(known))
        threshold = self.settings.outflow_nats + self.flow.stricter()
        claim = Claim(
            key=f"outflow/{shipment}", detector="outflow", kind="bulk", dealer=known.dealer, nats=nats,
            threshold=threshold,
        )  # fmt: skip
        if nats >= threshold - self.settings.retract_margin_nats:
            self._near.add(shipment)
            yield self._with_evidence(claim, shipment, round(usual * located, 2))
        elif shipment in self._near:
            self._near.discard(shipment)
            yield claim

    def _cities(self, shipment: str, dealer: str) -> dict[int, str]:
        """Return a case for each foreign city of a shipment."""
        sightings = self.flow.sightings
        cities: dict[int, str] = {}
        for case in sightings.shipments.get(shipment, ()):
            place = sightings.place_of(dealer, case)
            if place is not None and place != AT_HOME:
                cities.setdefault(place, case)
        return cities

    def _usual(self, known: _Shipment) -> float:
        """Return the dealer's share in its other shipments, as the market's were in the season."""
        market = (self._market.away - known.away + _MARKET_PRIOR[0]) / (
            self._market.located - known.located + sum(_MARKET_PRIOR)
        )
        own = self._dealers[known.dealer]
        share = (own.away - known.away + _MARKET_WORTH * market) / (own.located - known.located + _MARKET_WORTH)
        season = self._seasons[known.season]
        others = season.located - known.located
        rush = (season.away - known.away + _SEASON_PRIOR) / (others * market + _SEASON_PRIOR)
        return min(0.8, share * max(1.0, rush))

    def _worth(self, known: _Shipment) -> float:
        return min(_MOST_WORTH, self._dealers[known.dealer].located - known.located + _MARKET_WORTH)

    def _with_evidence(self, claim: Claim, shipment: str, expected: float) -> Claim:
        known = self._shipments[shipment]
        cells = self.flow.sightings.cells
        hits = [
            cells[known.dealer, city].hits[case]
            for city, case in self._cities(shipment, known.dealer).items()
            if (known.dealer, city) in cells and case in cells[known.dealer, city].hits
        ]
        hits.sort(key=lambda each: (each.at, each.case))
        share = round(claim.nats / max(1, len(hits)), 3)
        return structs.replace(
            claim,
            contributions=tuple(
                Contribution(case=hit.case, nats=share, events=tuple(hit.events), first_at=hit.at) for hit in hits
            ),
            units=tuple(dict.fromkeys(unit for hit in hits for unit in hit.units)),
            shipments=(shipment,),
            figures={"observed": known.away, "expected": expected, "shipment_seen": known.located},
        )


def scattered_nats(away: int, located: int, usual: float, worth: float) -> float:
    """Return ln of the mean over phi of P(away | phi of it went elsewhere) / P(away | usual).

    Honest shares are beta distributed of mean `usual` and sum of parameters `worth`; both kinds of counts are of
    `located` pieces.
    """
    first, second = usual * worth, (1 - usual) * worth
    honest = (
        lgamma(away + first) + lgamma(located - away + second) - lgamma(located + worth)
        - lgamma(first) - lgamma(second) + lgamma(worth)
    )  # fmt: skip
    shares = [1 - (1 - usual) * (1 - phi) for phi in _PHIS]
    guilty = [away * log(share) + (located - away) * log1p(-share) for share in shares]
    return log(sum(exp(each - honest) for each in guilty) / len(_PHIS))
