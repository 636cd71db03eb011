"""Dealers from the brand down to the deepest sub-dealer, where they may sell, their shops, and what changes midway."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from firmware_sim.world.arrays import Bools, Floats, Ints, Random, distance_km, moved, pick
from firmware_sim.world.country.geography import Land

REGIONAL_SHARE: Final = 0.06
CITY_SHARE: Final = 0.46
_DEEP_ONE_IN: Final = 70
_DEEPEST: Final = (18, 22)
_SMALL_NETWORK: Final = 40
_PARTNERS_KM: Final = 160.0
_PARTNER_CHANCE: Final = 0.45
_COUNTRY: Final = "100000"
_KINDS_OF_SHOP: Final = ("supermarket", "convenience", "liquor", "restaurant")
_SHARES_OF_SHOPS: Final = np.array([0.25, 0.25, 0.35, 0.15])


@dataclass(slots=True)
class Dealer:
    """One dealer: `counties` are the indices of where it may sell, `units` the division codes that say so."""

    id: str
    parent: int
    level: int
    name: str
    kind: str
    channel: str
    units: tuple[str, ...]
    counties: Ints
    site: int
    lat: float = 0.0
    lon: float = 0.0
    weight: float = 0.0


@dataclass(slots=True)
class Change:
    """A territory that changes hands, or a warehouse that moves, at a day."""

    dealer: int
    day: float
    units: tuple[str, ...] = ()
    counties: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    site: int = -1
    lat: float = 0.0
    lon: float = 0.0


@dataclass(slots=True)
class Store:
    """A shop; from `handed_day` on it belongs to `heir`."""

    id: str
    dealer: int
    county: int
    lat: float
    lon: float
    kind: str
    heir: int = -1
    handed_day: float = np.inf


class Network:
    """The dealers, number 0 being the brand itself."""

    def __init__(self, land: Land, dealers: list[Dealer]) -> None:
        self.land = land
        self.dealers = dealers
        self.swaps: list[Change] = []
        self.moves: list[Change] = []
        self.stores: list[Store] = []
        self.stores_of: dict[int, list[int]] = {}
        self.inherited: dict[int, list[int]] = {}
        self._allowed = np.zeros((len(dealers), len(land.counties.adcodes)), np.bool_)
        for number, dealer in enumerate(dealers):
            self._allowed[number, dealer.counties] = True
        self._second = np.arange(len(dealers))
        self._since = np.full(len(dealers), np.inf)
        self._cities = self._by_city()

    def path(self, dealer: int) -> list[int]:
        """Return the dealers from the brand down to this one."""
        found = [dealer]
        while found[-1] != 0:
            found.append(self.dealers[found[-1]].parent)
        return found[::-1]

    def shops(self, dealer: int, day: float) -> list[int]:
        """Return the shops that a dealer supplies on a day."""
        stores = self.stores
        own = [n for n in self.stores_of.get(dealer, []) if day < stores[n].handed_day]
        return own + [n for n in self.inherited.get(dealer, []) if day >= stores[n].handed_day]

    def area(self, version: int) -> Ints:
        """Return the counties of a version of a territory."""
        return np.flatnonzero(self._allowed[version])

    def change(self, swap: Change) -> None:
        """Give a dealer another territory from a day on."""
        row = np.zeros((1, self._allowed.shape[1]), np.bool_)
        row[0, swap.counties] = True
        self._allowed = np.vstack([self._allowed, row])
        self._second[swap.dealer] = self._allowed.shape[0] - 1
        self._since[swap.dealer] = swap.day
        self._cities = self._by_city()
        self.swaps.append(swap)

    def may_sell(self, dealers: Ints, counties: Ints, days: Floats) -> Bools:
        """Tell whether each dealer is entitled to a county on a day."""
        return np.asarray(self._allowed[self.version(dealers, days), counties])

    def may_sell_in_city(self, dealers: Ints, cities: Ints, days: Floats) -> Bools:
        """Tell whether each dealer is entitled to any county of a city on a day."""
        return np.asarray(self._cities[self.version(dealers, days), cities])

    def version(self, dealers: Ints, days: Floats) -> Ints:
        """Return the version of each dealer's territory on a day."""
        return np.where(days >= self._since[dealers], self._second[dealers], dealers)

    def _by_city(self) -> Bools:
        cities = np.zeros((self._allowed.shape[0], len(self.land.cities.adcodes)), np.bool_)
        rows, counties = np.nonzero(self._allowed)
        cities[rows, self.land.county_city[counties]] = True
        return cities


class Builder:
    """Grows a network of a given size, level by level."""

    def __init__(self, land: Land, size: int, random: Random) -> None:
        self._land = land
        self._size = size
        self._random = random
        everywhere = np.arange(len(land.counties.adcodes))
        capital = int(np.flatnonzero(land.county_city == land.capitals[0])[0])
        self.dealers = [Dealer("BRAND", -1, 0, "品牌方", "brand", "all", (_COUNTRY,), everywhere, capital)]

    def build(self) -> Network:
        """Return the network with shops, and with what changes in the middle of the world's time."""
        regions = self._regions()
        cities = self._city_dealers(regions)
        self._national()
        self._restaurants(cities)
        deep = max(1, self._size // _DEEP_ONE_IN)
        for number in range(deep):
            if self._size > _SMALL_NETWORK:
                self._branch(cities[(number * 7) % len(cities)])
        while len(self.dealers) < self._size:
            self._county_or_sub(cities)
        for dealer in self.dealers:
            dealer.lat, dealer.lon = self.place_in(dealer.site)
            dealer.weight = self._weight(dealer)
        return Network(self._land, self.dealers)

    def place_in(self, county: int) -> tuple[float, float]:
        """Return somewhere in a county."""
        spots = self._land.counties
        km = np.array([self._land.radius_km[county] * self._random.random() ** 0.5])
        lat, lon = moved(spots.lat[[county]], spots.lon[[county]], km, self._random)
        return round(float(lat[0]), 5), round(float(lon[0]), 5)

    def _add(self, parent: int, kind: str, channel: str, units: tuple[str, ...], counties: Ints) -> int:
        people = self._land.counties.population[counties]
        site = int(counties[pick(people, 1, self._random)[0]])
        number = len(self.dealers)
        name = f"{self._land.cities.names[self._land.county_city[site]]}经销商{number:03}"
        level = self.dealers[parent].level + 1
        self.dealers.append(Dealer(f"D{number:04}", parent, level, name, kind, channel, units, counties, site))
        return number

    def _of_cities(self, cities: Ints) -> Ints:
        return np.flatnonzero(np.isin(self._land.county_city, cities))

    def _regions(self) -> dict[int, int]:
        """Add the regional dealers and return which of them has each province."""
        provinces = np.arange(len(self._land.province_codes))
        count = int(np.clip(round(self._size * REGIONAL_SHARE), 4, 14))
        owner = {}
        for group in np.array_split(provinces, count):
            cities = np.flatnonzero(np.isin(self._land.province_of_city, group))
            units = tuple(self._land.province_codes[province] for province in group)
            number = self._add(0, "regional", "general", units, self._of_cities(cities))
            owner.update(dict.fromkeys(map(int, group), number))
        return owner

    def _city_dealers(self, regions: dict[int, int]) -> list[int]:
        land, random = self._land, self._random
        free = np.ones(len(land.cities.adcodes), np.bool_)
        found = []
        for _ in range(min(round(self._size * CITY_SHARE), free.size // 2)):
            seat = int(pick(land.cities.population**0.7 * free, 1, random)[0])
            free[seat] = False
            apart = distance_km(land.cities.lat[[seat]], land.cities.lon[[seat]], land.cities.lat, land.cities.lon)
            same = land.province_of_city == land.province_of_city[seat]
            near = np.flatnonzero(free & same & (apart < _PARTNERS_KM))
            partners = near[random.random(near.size) < _PARTNER_CHANCE][:2]
            free[partners] = False
            cities = np.concatenate([[seat], partners])
            units = tuple(land.cities.adcodes[city] for city in cities)
            parent = regions[int(land.province_of_city[seat])]
            found.append(self._add(parent, "city", "general", units, self._of_cities(cities)))
        return found

    def _national(self) -> None:
        everywhere = self.dealers[0].counties
        for _ in range(max(1, self._size // 80)):
            self._add(0, "online", "online", (_COUNTRY,), everywhere)
        self._add(0, "regional", "group", (_COUNTRY,), everywhere)

    def _restaurants(self, cities: list[int]) -> None:
        for number in range(max(1, self._size // 40)):
            parent = cities[(number * 5 + 2) % len(cities)]
            of = self.dealers[parent]
            self._add(parent, "horeca", "horeca", of.units, of.counties)

    def _branch(self, parent: int) -> None:
        """Grow a branch in which dealer sells to dealer, twenty levels and deeper."""
        low, high = _DEEPEST
        room = max((self._size - len(self.dealers)) - 2, 0)
        depth = min(int(self._random.integers(low, high + 1)), room)
        for _ in range(depth):
            of = self.dealers[parent]
            keep = max(1, round(of.counties.size * (0.6 if of.level < 3 else 0.85)))  # noqa: PLR2004 - county dealers
            parent = self._child(parent, keep)

    def _child(self, parent: int, counties: int) -> int:
        of = self.dealers[parent]
        chosen = np.sort(self._random.permutation(of.counties)[:counties])
        units = tuple(self._land.counties.adcodes[county] for county in chosen)
        kind = "county" if of.kind == "city" else "sub"
        return self._add(parent, kind, "general", units, chosen)

    def _county_or_sub(self, cities: list[int]) -> None:
        counties = [n for n, dealer in enumerate(self.dealers) if dealer.kind == "county"]
        if counties and self._random.random() < 1 / 3:
            self._child(counties[int(self._random.integers(len(counties)))], 1)
            return
        parent = cities[int(self._random.integers(len(cities)))]
        self._child(parent, min(int(self._random.integers(1, 4)), self.dealers[parent].counties.size))

    def _weight(self, dealer: Dealer) -> float:
        people = float(self._land.counties.population[dealer.counties].sum())
        spread = float(self._random.lognormal(0, 1.05))
        share = {"brand": 0.0, "regional": 0.1, "online": 0.12, "horeca": 0.3, "sub": 0.8}.get(dealer.kind, 1.0)
        return share * math.sqrt(people) * spread


def add_stores(network: Network, builder: Builder, random: Random) -> None:
    """Give every dealer that sells to consumers a few shops."""
    land = network.land
    for number, dealer in enumerate(network.dealers):
        if dealer.kind in {"brand", "online"} or _COUNTRY in dealer.units:
            continue
        count = 2 + int(random.poisson(4))
        counties = dealer.counties[pick(land.counties.population[dealer.counties], count, random)]
        kinds = pick(_SHARES_OF_SHOPS, count, random)
        for county, kind in zip(counties, kinds, strict=True):
            shop = "restaurant" if dealer.kind == "horeca" else _KINDS_OF_SHOP[kind]
            lat, lon = builder.place_in(int(county))
            network.stores_of.setdefault(number, []).append(len(network.stores))
            network.stores.append(Store(f"S{len(network.stores):05}", number, int(county), lat, lon, shop))
