"""The honest market: most goods are scanned where they were sold to, and a fifth wherever their buyers travelled.

Travellers spread over flows of people: large cities attract, near ones too, and every dealer's customers have their
own corridors. One dealer's goods never turn up as three cases in one foreign city, nor as five in one province: a
demonstration's few minutes stand for weeks, and in those weeks such a cluster would deserve a look.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import exp
from typing import Final

import numpy as np

from firmware_sim.market import scans
from firmware_sim.market.people import Spot, distance_km, draw, is_home, near, reading, somewhere_in
from firmware_sim.market.scans import Planned
from firmware_sim.print_job import Case, Dealer, Place, World

FOREIGN_SHARE: Final = 0.2
CASES_PER_CITY: Final = 2
CASES_PER_PROVINCE: Final = 4
_CITY_DIGITS, _PROVINCE_DIGITS = 4, 2
_NO_POSITION_SHARE: Final = 0.05
_RESCAN_SHARE: Final = 0.05
_RESCAN_METRES: Final = 60.0
_SLIP_SHARE: Final = 0.03
_INSPECTED_SHARE: Final = 0.04
_TOLD_SHARE: Final = 0.28
_TOLD_SECONDS: Final = 14.0
_CORRIDOR_SPREAD: Final = 0.7
_NEAR_KM: Final = 150.0


class Travellers:
    """Where one dealer's customers carry their bottles."""

    def __init__(self, dealer: Dealer, places: Sequence[Place], random: np.random.Generator) -> None:
        self._places = [place for place in places if not is_home(place, dealer)]
        self._weights = [
            place.population**0.6
            * (1 + 2 * exp(-distance_km(dealer, place) / _NEAR_KM))
            * float(random.lognormal(0, _CORRIDOR_SPREAD))
            for place in self._places
        ]
        self._seen: defaultdict[str, set[str]] = defaultdict(set)

    def destination(self, case: str, random: np.random.Generator) -> Place | None:
        """Return a foreign city that may see this case, or None where every city has had its share."""
        open_places = [index for index, place in enumerate(self._places) if self._admits(place.adcode, case)]
        if not open_places:
            return None
        weights = [self._weights[index] for index in open_places]
        place = draw([self._places[index] for index in open_places], weights, random)
        for digits in (_CITY_DIGITS, _PROVINCE_DIGITS):
            self._seen[place.adcode[:digits]].add(case)
        return place

    def _admits(self, adcode: str, case: str) -> bool:
        limits = ((_CITY_DIGITS, CASES_PER_CITY), (_PROVINCE_DIGITS, CASES_PER_PROVINCE))
        return all(len(self._seen[adcode[:digits]] | {case}) <= limit for digits, limit in limits)


class HonestMarket:
    """Plans the scans of every item that is not diverted."""

    def __init__(self, world: World, random: np.random.Generator) -> None:
        self._world = world
        self._random = random
        self._travellers = {dealer.id: Travellers(dealer, world.places, random) for dealer in world.dealers}
        self.counts: Counter[str] = Counter()

    def plan(self, cases: Sequence[Case]) -> Iterator[Planned]:
        """Yield the scans of the items of `cases`: some soon after their order left, the others later."""
        items = [(case, item) for case in cases for item in case.items]
        self._random.shuffle(items)
        for number, (case, item) in enumerate(items):
            later = number >= len(items) * _TOLD_SHARE
            after = 1.0 + float(self._random.uniform(0, _TOLD_SECONDS))
            yield from self._one(case, item, after, later=later)

    def _one(self, case: Case, item: str, after: float, *, later: bool) -> Iterator[Planned]:
        random, dealer = self._random, self._world.dealer_of_order[case.order]
        if random.random() < _INSPECTED_SHARE:
            spot = self._home(dealer)
            name = f"INSPECTOR-{1 + int(random.integers(6)):02}"
            self.counts["inspected"] += 1
            yield Planned(case.order, after, scans.inspector(item, reading(spot, random), name), later)
            return
        spot = self._spot(dealer, case)
        position = None if random.random() < _NO_POSITION_SHARE else reading(spot, random)
        if random.random() < _SLIP_SHARE:
            slip = scans.mistyped if random.random() < 1 / 2 else scans.fragment
            self.counts["slips"] += 1
            yield Planned(case.order, after, slip(item, position, random), later)
        yield Planned(case.order, after + 2.0, scans.consumer(item, position), later)
        if random.random() < _RESCAN_SHARE:
            self.counts["rescans"] += 1
            again = reading(near(spot, _RESCAN_METRES, random), random)
            yield Planned(case.order, after + 6.0, scans.consumer(item, again), later)

    def _spot(self, dealer: Dealer, case: Case) -> Spot:
        if self._random.random() < FOREIGN_SHARE:
            place = self._travellers[dealer.id].destination(case.sscc, self._random)
            if place is not None:
                self.counts["foreign"] += 1
                return somewhere_in(place, self._random)
        self.counts["home"] += 1
        return self._home(dealer)

    def _home(self, dealer: Dealer) -> Spot:
        places = [place for place in self._world.places if is_home(place, dealer)]
        if not places:
            return Spot(dealer.lon, dealer.lat, dealer.adcodes[0])
        return somewhere_in(draw(places, [place.population for place in places], self._random), self._random)
