"""Who buys what, carries it where, and scans it when."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from firmware_sim.world.arrays import Bools, Floats, Ints, Random
from firmware_sim.world.country.mobility import Mobility
from firmware_sim.world.country.positions import Observer, Seen, at_shops, seen_from
from firmware_sim.world.fates import Attack, Fates
from firmware_sim.world.goods import Goods
from firmware_sim.world.network import Network
from firmware_sim.world.parameters import Nature, Request, new_years
from firmware_sim.world.routing import Routes

_PURCHASE_DAYS: Final = 20.0
_DRINK_DAYS: Final = 12.0
_FEAST_SHARE: Final = 0.2
_FEAST_WITHIN: Final = 40.0
_LOYAL: Final = 0.8
"""How many of a shop's buyers live in its county."""
_DIVERTED_TRAVEL: Final = 0.06
_SEVERAL: Final = 0.15
_SEVERAL_CASES: Final = 3
_VENUE_DEGREES: Final = 0.0004
_CLONE_DAYS: Final = 45.0
_OTHERS: Final = 1 << 36
_GIVEN: Final = 0.25
_GIVEN_FAR: Final = 0.4
_GIVEN_DAYS: Final = 20.0
_ACCURACY: Final = 30
"""Halvings in the search for the travel that makes the foreign share."""


@dataclass(slots=True)
class Scans:
    """Consumer scans, one entry each. `item` is -1 - n for the n-th forged label; `attack` is -1 for honest goods."""

    item: Ints
    case: Ints
    day: Floats
    county: Ints
    device: Ints
    attack: Ints
    party: Bools
    shop: Ints
    seen: Seen

    def taken(self, rows: Ints) -> Self:
        """Return some entries."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return type(self)(**columns, seen=self.seen.taken(rows))


class Crowd:
    """All consumers of a world."""

    def __init__(
        self, world: tuple[Network, Goods, Routes, Mobility], nature: Nature, request: Request, random: Random
    ) -> None:
        self._network, self._goods, self._routes, self._mobility = world
        self._nature, self._request, self._random = nature, request, random
        self._observer = Observer(self._mobility.land, _volumes(self._network), (nature, request), random)

    def scan(self, fates: Fates, attacks: list[Attack]) -> tuple[Scans, float]:
        """Return all scans before the world's end, and how willingly people travel."""
        item, case = self._scanned(fates)
        buyer_of, whole = self._buyers(fates)
        day = self._days(fates, case, whole)
        kept = day < self._request.days
        item, case, day = item[kept], case[kept], day[kept]
        home, shop = self._homes(fates, case)
        device = np.where(whole[case], buyer_of[case], fates.day.size + np.arange(case.size))
        together = whole[case] & (_hash(buyer_of[case], 1) < self._nature.taken_along)
        away = self._away(home, buyer_of[case], day, together)
        attack, party = fates.attack[case], fates.party[case] >= 0
        at_home = self._observer.observe(home, day, attack >= 0)
        in_shop = (shop >= 0) & (attack < 0) & self._coin(case.size, self._nature.in_store)
        at_home = at_shops(at_home, in_shop, self._shop_county(shop), self._mobility.land)
        elsewhere = self._observer.observe(away, day, attack >= 0)
        urge, chance = self._urges(buyer_of[case], day, together)
        foreign = [self.foreign(case, day, seen) for seen in (at_home, elsewhere)]
        free = (attack < 0) & ~party
        travel = _balance(
            urge, foreign, free, at_home.located & elsewhere.located & (attack < 0), self._nature.foreign_share
        )
        gone = np.where(free, urge < travel, (attack >= 0) & (chance < _DIVERTED_TRAVEL))
        gone = gone & ~at_home.in_shop
        seen = seen_from(gone, elsewhere, at_home)
        self._gather(seen, fates.party[case], fates.linger[case])
        scans = Scans(item, case, day, np.where(gone, away, home), device, attack, party, shop, seen)
        return self._more(scans, attacks), travel

    def foreign(self, case: Ints, day: Floats, seen: Seen) -> Bools:
        """Tell which scans were seen outside of the area of the dealer whom the papers entitle at that moment."""
        dealer = self._routes.entitled(self._goods.case_lot[case], day)
        by_city = self._network.may_sell_in_city(dealer, seen.city, day)
        by_county = self._network.may_sell(dealer, np.maximum(seen.county, 0), day)
        return np.asarray(seen.located & ~np.where(seen.county >= 0, by_county, by_city))

    def _buyers(self, fates: Fates) -> tuple[Ints, Bools]:
        """Return who buys each case, named by the first case bought, and whether the case is bought whole."""
        lots = self._goods.case_lot
        nth = np.arange(lots.size) - np.searchsorted(lots, lots)
        first = np.arange(lots.size) - nth % _SEVERAL_CASES
        buyer = np.where(_hash(first, 3) < _SEVERAL, first, np.arange(lots.size))
        buyer = np.where(fates.free & fates.free[buyer], buyer, np.arange(lots.size))
        several = buyer != np.arange(lots.size)
        fates.day[several] = fates.day[buyer[several]]
        whole = self._random.random(lots.size) < self._nature.whole_case
        whole[buyer[several]] = True
        return buyer, whole[buyer]

    def _gather(self, seen: Seen, party: Ints, linger: Floats) -> None:
        """Bring the guests of a wedding to one place in their county."""
        guests = np.flatnonzero((party >= 0) & (linger < 1) & (seen.county >= 0) & ~seen.in_shop)
        spots, county = self._mobility.land.counties, seen.county[guests]
        north = (_hash(party[guests], 4) - 0.5) * self._mobility.land.radius_km[county] / 111.2
        seen.lat[guests] = spots.lat[county] + north + self._random.normal(0, _VENUE_DEGREES, guests.size)
        seen.lon[guests] = spots.lon[county] + north + self._random.normal(0, _VENUE_DEGREES, guests.size)

    def _scanned(self, fates: Fates) -> tuple[Ints, Ints]:
        dealers = len(self._network.dealers)
        habit = self._random.lognormal(-0.045, 0.3, dealers)[self._routes.seller]
        rate = self._request.chance * habit[self._goods.case_lot] * fates.rate
        sizes = np.diff(self._goods.case_first)
        count = self._random.binomial(sizes, np.clip(rate, 0, 0.95))
        case = np.repeat(np.arange(sizes.size), count)
        # The n-th scanned item of a case: a step that is coprime to no size repeats none, for n runs below the size.
        nth = np.arange(case.size) - np.repeat(np.cumsum(count) - count, count)
        turn = self._random.integers(0, 1 << 30, sizes.size)[case]
        return self._goods.case_first[case] + (turn + nth) % sizes[case], case

    def _days(self, fates: Fates, case: Ints, whole: Bools) -> Floats:
        random = self._random
        lag = random.exponential(_DRINK_DAYS, case.size)
        lag += np.where(whole[case], 0.0, random.exponential(_PURCHASE_DAYS, case.size))
        diverted = ~np.isnan(fates.linger[case])
        lag = np.where(diverted, random.exponential(np.nan_to_num(fates.linger[case], nan=1.0)), lag)
        day = fates.day[case] + lag
        for eve in new_years(self._nature):
            drawn = ~diverted & (day > eve - _FEAST_WITHIN) & (day < eve) & self._coin(case.size, _FEAST_SHARE)
            day = np.where(drawn, np.maximum(fates.day[case], eve + random.normal(0, 4.0, case.size)), day)
        # People scan at table: in China's evening.
        return np.asarray(np.floor(day) + np.clip(random.normal(0.5, 0.12, case.size), 0, 0.999))

    def _homes(self, fates: Fates, case: Ints) -> tuple[Ints, Ints]:
        lots = self._goods.case_lot[case]
        # What came before a territory changed is sold off where it came to, and what came after is not.
        area = self._network.version(self._routes.seller[lots], self._routes.ready[lots])
        home, shop = fates.county[case].copy(), self._routes.case_store[case].copy()
        shop[home >= 0] = -1
        loyal = (home < 0) & (shop >= 0) & self._coin(case.size, _LOYAL)
        home[loyal] = self._shop_county(shop)[loyal]
        people = self._mobility.land.counties.population
        open_ = np.flatnonzero(home < 0)
        open_ = open_[np.argsort(area[open_], kind="stable")]
        for part in np.split(open_, np.flatnonzero(np.diff(area[open_])) + 1):
            if part.size:
                own = self._network.area(int(area[part[0]]))
                sums = people[own].cumsum()
                home[part] = own[np.searchsorted(sums / sums[-1], self._random.random(part.size) * 0.999_999)]
        return home, shop

    def _shop_county(self, shop: Ints) -> Ints:
        counties = np.array([store.county for store in self._network.stores] or [0])
        return np.where(shop >= 0, counties[shop], -1)

    def _away(self, home: Ints, buyer: Ints, day: Floats, together: Bools) -> Ints:
        modes = self._mobility.modes(day, self._random)
        away = self._mobility.destinations(home, modes, self._random)
        # What one buyer takes along is opened where it was taken.
        first = np.unique(buyer, return_index=True, return_inverse=True)
        return np.where(together, away[first[1][first[2].ravel()]], away)

    def _urges(self, buyer: Ints, day: Floats, together: Bools) -> tuple[Floats, Floats]:
        """Return a number that travellers have below a threshold, and an even one."""
        even = np.where(together, _hash(buyer, 2), self._random.random(buyer.size))
        habits = self._random.lognormal(0, self._nature.dealer_sigma, len(self._network.dealers))
        habit = habits[self._routes.seller[self._goods.case_lot[buyer]]]
        return even / (habit * self._mobility.intensity(day) ** 0.5), even

    def _more(self, scans: Scans, attacks: list[Attack]) -> Scans:
        """Add scans of copied and forged labels, then what people scan again."""
        extra = [self._labels(number, attack) for number, attack in enumerate(attacks) if attack.type in _LABELS]
        scans = _joined([scans, *extra])
        again = np.flatnonzero(self._coin(scans.item.size, self._nature.rescans))
        day = scans.day[again] + self._random.exponential(1.5, again.size)
        again, day = again[day < self._request.days], day[day < self._request.days]
        twice = scans.taken(again)
        if self._request.second_phones:
            day = self._handed_on(twice, day)
        twice.day, twice.seen = day, self._observer.observe(twice.county, day, twice.attack >= 0)
        return _joined([scans, twice])

    def _handed_on(self, twice: Scans, day: Floats) -> Floats:
        """Let somebody else scan again: at the same table, or who was given the bottle; return when."""
        random = np.random.default_rng([self._request.seed, 5])
        other = random.random(day.size) < self._request.second_phones
        given = other & (random.random(day.size) < _GIVEN)
        twice.device = np.where(other, _OTHERS + np.arange(day.size), twice.device)
        homes = random.choice(self._mobility.land.county_city.size, day.size)
        far = given & (random.random(day.size) < _GIVEN_FAR)
        twice.county = np.where(far, homes, twice.county)
        return np.minimum(
            day + np.where(given, random.exponential(_GIVEN_DAYS, day.size), 0), self._request.days - 0.01
        )

    def _labels(self, number: int, attack: Attack) -> Scans:
        forged = attack.type == "forged"
        items = -1 - np.arange(len(attack.codes)) if forged else attack.items
        items = items[self._coin(items.size, self._request.chance)]
        day = attack.first_day + 3 + self._random.exponential(_CLONE_DAYS, items.size)
        items, day = items[day < self._request.days], day[day < self._request.days]
        size = items.size
        county = self._mobility.somewhere(self._random.choice(attack.cities, size), self._random)
        case = np.full(size, -1) if forged else np.searchsorted(self._goods.case_first, items, side="right") - 1
        seen = self._observer.observe(county, day, np.ones(size, np.bool_))
        device = -1 - (number << 20) - np.arange(size)
        none = np.full(size, -1)
        return Scans(items, case, day, county, device, np.full(size, number), np.zeros(size, np.bool_), none, seen)

    def _coin(self, size: int, chance: float) -> Bools:
        return self._random.random(size) < chance


_LABELS: Final = ("clone", "forged")
_COLUMNS: Final = ("item", "case", "day", "county", "device", "attack", "party", "shop")


def _volumes(network: Network) -> Floats:
    """Return how much is sold in each city, on some scale."""
    land = network.land
    weights = np.zeros(len(land.cities.adcodes))
    for dealer in network.dealers:
        people = land.counties.population[dealer.counties]
        np.add.at(weights, land.county_city[dealer.counties], dealer.weight * people / people.sum())
    return weights


def _balance(urge: Floats, foreign: list[Bools], free: Bools, counted: Bools, wanted: float) -> float:
    """Return the threshold of `urge` below which people travel, so that the wanted share is seen abroad."""
    low, high = 0.0, 1.0
    for _ in range(_ACCURACY):
        middle = (low + high) / 2
        seen = np.where(free & (urge < middle), foreign[1], foreign[0])
        share = float(seen[counted].mean()) if counted.any() else wanted
        low, high = (middle, high) if share < wanted else (low, middle)
    return (low + high) / 2


def _hash(numbers: Ints, salt: int) -> Floats:
    """Return an even number in [0, 1) that depends on the number alone."""
    mixed = (numbers.astype(np.uint64) + np.uint64(salt * 7919)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53)


def _joined(parts: list[Scans]) -> Scans:
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return Scans(**columns, seen=Seen.joined([part.seen for part in parts]))
