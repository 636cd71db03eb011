"""The attacks of a world: ten types, in sizes from a few bottles to a truck, each with the truth about it."""

from collections.abc import Callable
from typing import Final

import numpy as np

from firmware_sim.world.arrays import Floats, Ints, Random, distance_km, pick
from firmware_sim.world.country.mobility import Mobility
from firmware_sim.world.fates import Attack, Deed, Fates
from firmware_sim.world.goods import Goods
from firmware_sim.world.network import Network
from firmware_sim.world.parameters import Nature, Request
from firmware_sim.world.routing import Routes

TYPES: Final = ("drip", "bulk", "promo", "backflow", "skip", "rebind", "strip", "clone", "forged", "collusion")
SHARES: Final = np.array([0.25, 0.26, 0.13, 0.05, 0.05, 0.05, 0.05, 0.06, 0.06, 0.04])
HARD_SHARES: Final = np.array([0.30, 0.20, 0.10, 0.04, 0.04, 0.04, 0.05, 0.05, 0.05, 0.13])
_CASES: Final = {
    "drip": (2.9, 1.0),
    "bulk": (2.7, 1.1),
    "promo": (3.5, 0.9),
    "collusion": (2.9, 0.8),
    "strip": (3.3, 0.6),
}
_OTHER_CASES: Final = (2.6, 0.8)
_FAR_KM: Final = 160.0
_BORDER_KM: Final = (20.0, 130.0)
_TRUCK_DAYS: Final = (1.0, 6.0)
_COPIES: Final = ((100, 1), (100, 1), (40, 2), (12, 6), (6, 12), (3, 40), (2, 60))
"""How many copies of each of how many labels."""
_LETTERS: Final = "0123456789ABCDEFGHJKLMNPQRSTVWXY"
_SERIAL: Final = 12
_SCATTERED_CASES: Final = 60
_SCATTERED_CITIES: Final = 40


class Attackers:
    """Plans attacks one after another; each takes cases that nobody else has taken."""

    def __init__(
        self, world: tuple[Network, Goods, Routes, Mobility], nature: Nature, request: Request, random: Random
    ) -> None:
        self.network, self.goods, self.routes, self.mobility = world
        self.nature, self.request, self.random = nature, request, random
        self.case_dealer = self.routes.seller[self.goods.case_lot]
        self.case_ready = self.routes.ready[self.goods.case_lot]
        self.attacks: list[Attack] = []
        self._dealers = [n for n, d in enumerate(self.network.dealers) if d.kind in {"city", "county", "sub"}]

    def plan(self, fates: Fates, promoted: list[tuple[int, float]]) -> list[Attack]:
        """Return the attacks, written into the fates of their cases."""
        shares = HARD_SHARES if self.request.hard else SHARES
        mean = self.nature.attacks_per_300k * self.request.items / 3e5
        count = max(len(TYPES), int(self.random.poisson(mean)))
        kinds = [*range(len(TYPES)), *pick(shares, count - len(TYPES), self.random).tolist()]
        for kind in kinds:
            attack = self.another(TYPES[kind], fates, promoted)
            if attack is not None:
                self.attacks.append(attack)
        return self.attacks

    def another(self, name: str, fates: Fates, promoted: list[tuple[int, float]]) -> Attack | None:
        """Return one attack of a type as every world has them, None where nothing is left to take."""
        makers: dict[str, Callable[[str, Fates], Attack | None]] = {
            "clone": self._clone, "forged": self._forged, "collusion": self._collusion, "skip": self._skip,
        }  # fmt: skip
        return makers[name](name, fates) if name in makers else self._diversion(name, fates, promoted)

    def promote(self, fates: Fates, promoted: list[tuple[int, float]]) -> None:
        """Dump the goods of some promotions, each of a dealer from a day on."""
        for _ in range(len(promoted)):
            attack = self._diversion("promo", fates, promoted)
            if attack is not None:
                self.attacks.append(attack)

    def scattered(self, fates: Fates) -> Attack | None:
        """Dump what came to a dealer within two weeks on traders who sell it all over the country."""
        dealer = self._some_dealer(fates, _SCATTERED_CASES)
        cases = self._take(fates, dealer, _SCATTERED_CASES, self._window(fates, dealer, 15.0))
        if cases.size == 0:
            return None
        _, here = self._destinations("promo", dealer)
        land = self.mobility.land
        weights = land.cities.population**0.6
        weights[np.unique(land.county_city[self.network.dealers[dealer].counties])] = 0.0
        cities = np.union1d(here, pick(weights, _SCATTERED_CITIES, self.random))
        leave = self.case_ready[cases] + self.random.exponential(2.0, cases.size)
        attack = self._attack("promo", (dealer,), cities, cases, leave)
        self._divert(fates, attack)
        return attack

    def _diversion(self, name: str, fates: Fates, promoted: list[tuple[int, float]]) -> Attack | None:
        """Send a dealer's own cases elsewhere: all types but those that have makers of their own."""
        size = self._size(name)
        if name == "promo" and promoted:
            dealer, start = promoted.pop()
            cases = self._take(fates, dealer, size, (start, start + 45.0))
        else:
            dealer = self._some_dealer(fates, size)
            span = float(self.random.uniform(25, 130)) if name == "drip" else 15.0
            cases = self._take(fates, dealer, size, self._window(fates, dealer, span))
        if cases.size == 0:
            return None
        others, cities = self._destinations(name, dealer)
        # A truck leaves with all of it, drops leave with each delivery, after the goods have come.
        leave = self.case_ready[cases] + self.random.exponential(2.0 if name != "drip" else 6.0, cases.size)
        lost = leave if name in {"drip", "promo"} else np.full(cases.size, leave.max())
        attack = self._attack(name, (dealer, *others), cities, cases, lost)
        if name in {"backflow", "rebind"}:
            attack.deeds.append(Deed(name, cases, float(lost.max()), dealer, others[0]))
        self._divert(fates, attack)
        if name == "strip":
            fates.rate[cases] = 0.0
        return attack

    def _collusion(self, name: str, fates: Fates) -> Attack | None:
        """Let two or three dealers send a little each to one place."""
        size = self._size(name)
        dealers = [self._some_dealer(fates, size) for _ in range(int(self.random.integers(2, 4)))]
        _, cities = self._destinations(name, dealers[0])
        found, lost = [], []
        for dealer in dealers:
            window = self._window(fates, dealer, float(self.random.uniform(60, 200)))
            cases = self._take(fates, dealer, max(1, size // len(dealers)), window)
            found.append(cases)
            lost.append(self.case_ready[cases] + self.random.exponential(5.0, cases.size))
            fates.free[cases] = False
        cases = np.concatenate(found)
        if cases.size == 0:
            return None
        attack = self._attack(name, tuple(dict.fromkeys(dealers)), cities, cases, np.concatenate(lost))
        self._divert(fates, attack)
        return attack

    def _skip(self, name: str, fates: Fates) -> Attack | None:
        """Send a whole lot past the level on its papers, straight to another dealer's shop."""
        network, routes = self.network, self.routes
        free = np.bincount(self.goods.case_lot, weights=fates.free) == np.bincount(self.goods.case_lot)
        hops = (routes.ways >= 0).sum(axis=1)
        lots = np.flatnonzero(free & (hops >= 2) & (routes.ready < self._end))  # noqa: PLR2004 - a level to be skipped
        shops = [n for n in network.stores_of if network.dealers[n].kind in {"city", "county"}]
        if not lots.size or not shops:
            return None
        lot = int(self.random.choice(lots))
        seller, other = int(routes.seller[lot]), int(self.random.choice(shops))
        upstream = int(routes.receivers[lot, hops[lot] - 2])
        store = int(self.random.choice(network.stores_of[other]))
        cases = np.flatnonzero(self.goods.case_lot == lot)
        cities = self.mobility.land.county_city[[network.stores[store].county]]
        lost = np.full(cases.size, routes.arrivals[lot, hops[lot] - 2] + 2.0)
        attack = self._attack(name, tuple(dict.fromkeys((upstream, seller, other))), cities, cases, lost)
        fates.silent_from[lot] = hops[lot] - 1
        self._divert(fates, attack)
        attack.deeds.append(Deed("shop", cases, float(lost[0] + 4.0), other, store=store))
        return attack

    def _clone(self, name: str, fates: Fates) -> Attack | None:
        """Copy the labels of a few genuine items; the copies are sold in up to four cities."""
        del name
        return self.copied(fates, None)

    def copied(self, fates: Fates, numbers: tuple[int, int] | None) -> Attack | None:
        """Copy labels: so many copies of each of so many, drawn where they are not given."""
        name = "clone"
        dealer = self._some_dealer(fates, 1)
        cases = self._take(fates, dealer, 12, self._window(fates, dealer, 60.0))
        if cases.size == 0:
            return None
        copies, labels = numbers or _COPIES[int(self.random.integers(len(_COPIES)))]
        first = self.goods.case_first
        items = np.concatenate([np.arange(first[case], first[case + 1]) for case in cases])[:labels]
        _, cities = self._destinations(name, dealer)
        start = float(self.case_ready[cases].min()) + float(self.random.exponential(10.0))
        attack = self._attack(name, (dealer,), cities, cases[:0], np.full(items.size, start))
        attack.items, attack.first_day = np.repeat(items, copies), start
        return attack

    def _forged(self, name: str, fates: Fates) -> Attack | None:
        """Make up labels after genuine ones, which nobody issued."""
        del name, fates
        return self.invented(_LETTERS, _SERIAL)

    def invented(self, letters: str, length: int) -> Attack:
        """Make up labels whose serials have so many of some letters; the issued form has twelve of 32."""
        name = "forged"
        dealer = int(self.random.choice(self._dealers))
        _, cities = self._destinations(name, dealer)
        count = int(self.random.lognormal(4.2, 1.0)) + 4
        start = float(self.random.uniform(0.05, 0.8) * self.request.days)
        attack = self._attack(name, (dealer,), cities, np.zeros(0, np.int64), np.full(count, start))
        gtin = self.goods.products[int(self.random.integers(len(self.goods.products)))].gtin
        drawn = self.random.integers(0, len(letters), (count, length))
        attack.codes = [f"/01/{gtin}/21/" + "".join(letters[n] for n in row) for row in drawn]
        attack.first_day = start
        return attack

    @property
    def _end(self) -> float:
        return self.request.days * 0.85

    def _size(self, name: str) -> int:
        mean, sigma = _CASES.get(name, _OTHER_CASES)
        return max(1, round(float(self.random.lognormal(mean, sigma)) * self.nature.attack_scale))

    def _some_dealer(self, fates: Fates, size: int) -> int:
        usable = fates.free & (self.case_ready < self._end)
        stock = np.bincount(self.case_dealer[usable], minlength=len(self.network.dealers)).astype(np.float64)
        chance = np.zeros(stock.size)
        chance[self._dealers] = np.where(stock[self._dealers] >= 2 * size, stock[self._dealers] ** 0.5, 1e-6)
        return int(pick(chance, 1, self.random)[0])

    def _window(self, fates: Fates, dealer: int, span: float) -> tuple[float, float]:
        ready = self.case_ready[(self.case_dealer == dealer) & fates.free & (self.case_ready < self._end)]
        start = float(self.random.choice(ready)) if ready.size else 0.0
        return start - 0.01, start + span

    def _take(self, fates: Fates, dealer: int, size: int, window: tuple[float, float]) -> Ints:
        ready = (self.case_ready >= window[0]) & (self.case_ready < min(window[1], self._end))
        found = np.flatnonzero((self.case_dealer == dealer) & fates.free & ready)
        if found.size > size:
            spread = window[1] - window[0] > 20.0  # noqa: PLR2004 - a truck takes what came together
            found = np.sort(self.random.permutation(found)[:size]) if spread else found[:size]
        return found

    def _destinations(self, name: str, dealer: int) -> tuple[tuple[int, ...], Ints]:
        """Return accomplices and cities; where goods go to an accomplice, the city is that dealer's."""
        network, land = self.network, self.mobility.land
        if name in {"backflow", "rebind"}:
            others = [n for n in self._dealers if n != dealer]
            other = int(self.random.choice(others))
            return (other,), land.county_city[[network.dealers[other].site]]
        here = network.dealers[dealer]
        apart = distance_km(np.array(here.lat), np.array(here.lon), land.cities.lat, land.cities.lon)
        own = np.unique(land.county_city[here.counties])
        fits = apart > _FAR_KM
        if self.request.hard and name == "drip" and self.random.random() < 0.5:  # noqa: PLR2004 - half of them
            fits = (apart > _BORDER_KM[0]) & (apart < _BORDER_KM[1])
        fits[own] = False
        if not fits.any():
            fits = apart > np.sort(apart)[apart.size // 2]
        return (), self._cities(name, fits * land.cities.population**0.6)

    def _cities(self, name: str, weights: Floats) -> Ints:
        land = self.mobility.land
        first = pick(weights, 1, self.random)
        more = {"promo": 3, "clone": 4, "drip": 2, "forged": 3}.get(name, 1)
        count = int(self.random.integers(1, more + 1))
        apart = distance_km(land.cities.lat[first], land.cities.lon[first], land.cities.lat, land.cities.lon)
        near = weights * np.exp(-apart / 300.0)
        near[first] = 0.0
        more_cities = pick(near, count - 1, self.random) if near.any() else first[:0]
        return np.unique(np.concatenate([first, more_cities]))

    def _attack(self, name: str, parties: tuple[int, ...], cities: Ints, cases: Ints, lost: Floats) -> Attack:
        number = f"A{len(self.attacks) + 1:03}"
        return Attack(number, name, parties[0], parties, cities, float(lost.min()), cases, lost)

    def _divert(self, fates: Fates, attack: Attack) -> None:
        cases = attack.cases
        cities = attack.cities[self.random.integers(0, attack.cities.size, cases.size)]
        fates.county[cases] = self.mobility.somewhere(cities, self.random)
        fates.day[cases] = attack.lost + self.random.uniform(*_TRUCK_DAYS, cases.size)
        fates.linger[cases] = self.nature.linger_days
        fates.attack[cases] = len(self.attacks)
        fates.free[cases] = False
