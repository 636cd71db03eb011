"""Where goods really stand, day by day: a truth that no detector reads, for measuring inspections.

Diverted cases lie in one to six shops of each city where they went; honest ones in the shop on their papers or, where
these name none, every other one in a shop of their dealer's area that the brand does not know. A few honest cases
stand in a foreign shop near by, whose owner buys where it is cheap. A case is there until its last items are sold.
The chance behind it is apart from the world's, whose other files stay as they are.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from msgspec import Struct

from firmware_sim.world.arrays import Floats, Ints, Random, distance_km, moved, pick
from firmware_sim.world.model import World
from firmware_sim.world.telling.ledger import Ledger, iso

HEADER: Final = "code case shop lat lon adcode since until"
_STREAM: Final = 3
_PEOPLE_A_SHOP: Final = 400_000.0
_MOST_SHOPS: Final = 25
_CASES_A_SHOP: Final = 8.0
_MOST_OF_ONE: Final = 6
_NEAR_BY: Final = 0.004
_NEAR_KM: Final = 80.0
_UNKNOWN_SHOP: Final = 0.5
_LAST_ITEMS_DAYS: Final = 5.0
_COPY_DAYS: Final = 45.0
# The part of the days until a diverted item is scanned in which it is still on a shelf.
_ON_THE_SHELF: Final = 0.6


class Shops(Struct, frozen=True):
    """Every shop: those of the brand's list first, then those that only their neighbours know."""

    ids: list[str]
    county: Ints
    lat: Floats
    lon: Floats
    of_city: dict[int, Ints]


class Standing(Struct, frozen=True):
    """Cases in shops, or copied labels with the case -1 and a code: in which shop, between which days."""

    case: Ints
    shop: Ints
    since: Floats
    until: Floats
    codes: list[str] = []


def rows(world: World, ledger: Ledger, codes: list[str]) -> Iterator[tuple[object, ...]]:
    """Yield the table's rows: what an inspector reads who is in a shop between two moments."""
    random = np.random.default_rng([world.request.seed, _STREAM])
    shops = _shops(world, random)
    for part in (_honest(world, shops, random), _diverted(world, shops, random), _labels(world, shops, codes, random)):
        seen = np.flatnonzero((part.until > 0) & (part.since < world.request.days) & (part.until > part.since))
        moments = [iso(ledger.ms(days[seen])) for days in (part.since, part.until)]
        names = world.goods.sscc(part.case[seen]) if not part.codes else [""] * seen.size
        for row, name, since, until in zip(seen.tolist(), names, *moments, strict=True):
            code = part.codes[row] if part.codes else codes[int(world.goods.case_first[part.case[row] + 1]) - 1]
            yield code, name, *_address(world, shops, int(part.shop[row])), since, until


def _address(world: World, shops: Shops, shop: int) -> tuple[str, float, float, str]:
    where = round(float(shops.lat[shop]), 5), round(float(shops.lon[shop]), 5)
    return shops.ids[shop], *where, world.land.counties.adcodes[shops.county[shop]]


def _shops(world: World, random: Random) -> Shops:
    land, stores = world.land, world.network.stores
    counties, ids = [each.county for each in stores], [each.id for each in stores]
    for city, people in enumerate(land.cities.population.tolist()):
        own = np.flatnonzero(land.county_city == city)
        if own.size:
            count = min(2 + int(people / _PEOPLE_A_SHOP), _MOST_SHOPS)
            counties += own[pick(land.counties.population[own], count, random)].tolist()
            ids += [f"X{land.cities.adcodes[city]}-{number:02}" for number in range(count)]
    county = np.array(counties, np.int64)
    km = land.radius_km[county] * np.sqrt(random.random(county.size))
    lat, lon = moved(land.counties.lat[county], land.counties.lon[county], km, random)
    lat[: len(stores)], lon[: len(stores)] = [each.lat for each in stores], [each.lon for each in stores]
    lies_in = land.county_city[county]
    return Shops(ids, county, lat, lon, {int(each): np.flatnonzero(lies_in == each) for each in np.unique(lies_in)})


def _honest(world: World, shops: Shops, random: Random) -> Standing:
    goods, routes = world.goods, world.routes
    cases = np.flatnonzero((world.fates.attack < 0) & (routes.ready[goods.case_lot] < world.request.days))
    shop = routes.case_store[cases].copy()
    delivered = routes.case_delivery[cases]
    since = routes.ready[goods.case_lot[cases]]
    arrived = routes.table.floats("arrived")[np.maximum(delivered, 0)]
    since = np.where(delivered >= 0, arrived, since)
    elsewhere = random.random(cases.size) < _NEAR_BY
    unknown = (shop < 0) & (random.random(cases.size) < _UNKNOWN_SHOP)
    sellers = routes.seller[goods.case_lot[cases]]
    for row in np.flatnonzero(elsewhere | unknown).tolist():
        shop[row] = _some_shop(world, shops, (int(sellers[row]), bool(elsewhere[row])), random)
    until = np.maximum(world.fates.day[cases], since) + random.exponential(_LAST_ITEMS_DAYS, cases.size)
    there = shop >= 0
    return Standing(cases[there], shop[there], since[there], until[there])


def _some_shop(world: World, shops: Shops, of: tuple[int, bool], random: Random) -> int:
    """Return a shop of a dealer's area, or a near one outside of it."""
    dealer = world.network.dealers[of[0]]
    inside = np.isin(shops.county, dealer.counties)
    weights: Floats = np.where(inside, world.land.counties.population[shops.county], 0.0)
    if of[1]:
        away = distance_km(np.array(dealer.lat), np.array(dealer.lon), shops.lat, shops.lon)
        weights = np.where(inside, 0.0, np.exp(-away / _NEAR_KM))
    return int(pick(weights, 1, random)[0]) if weights.sum() > 0 else -1


def _diverted(world: World, shops: Shops, random: Random) -> Standing:
    parts: list[tuple[Ints, Ints]] = []
    for number, attack in enumerate(world.attacks):
        if attack.type == "strip":
            continue  # no label, nothing to read
        cases = attack.cases[world.fates.attack[attack.cases] == number]
        deed = next((each for each in attack.deeds if each.store >= 0), None)
        if deed is not None:
            parts.append((cases, np.full(cases.size, deed.store)))
            continue
        city = world.land.county_city[world.fates.county[cases]]
        for each in np.unique(city).tolist():
            there = cases[city == each]
            parts.append((there, _some_of(shops, each, there.size, random)))
    case = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)])
    shop = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    sizes = np.diff(world.goods.case_first)[case]
    slowest = random.random(case.size) ** (1 / np.maximum(sizes, 1))
    sold = -np.log1p(-np.minimum(slowest, 1 - 1e-9)) * world.nature.linger_days * _ON_THE_SHELF
    since = world.fates.day[case]
    return Standing(case, shop, since, since + sold)


def _some_of(shops: Shops, city: int, count: int, random: Random) -> Ints:
    """Return a shop for each of an attack's cases in a city: the more cases, the more shops take some."""
    known = shops.of_city[city]
    size = min(known.size, _MOST_OF_ONE, 1 + int(random.poisson(count / _CASES_A_SHOP)))
    return random.choice(random.choice(known, size, replace=False), count)


def _labels(world: World, shops: Shops, codes: list[str], random: Random) -> Standing:
    """Return copied and forged labels: one row each, in one or more shops of the cities where they are sold."""
    names: list[str] = []
    shop: list[Ints] = [np.zeros(0, np.int64)]
    since: list[Floats] = [np.zeros(0)]
    until: list[Floats] = [np.zeros(0)]
    for attack in world.attacks:
        own = attack.codes or [codes[item] for item in attack.items.tolist()]
        if attack.type not in {"clone", "forged"} or not own:
            continue
        city = attack.cities[random.integers(0, attack.cities.size, len(own))]
        taken = {each: _some_of(shops, each, len(own), random) for each in np.unique(city).tolist()}
        names += own
        shop.append(np.array([taken[each][row] for row, each in enumerate(city.tolist())], np.int64))
        since.append(np.full(len(own), attack.first_day + 2.0))
        until.append(attack.first_day + 3.0 + random.exponential(_COPY_DAYS, len(own)) * _ON_THE_SHELF)
    joined = np.concatenate(since), np.concatenate(until)
    return Standing(np.full(len(names), -1), np.concatenate(shop), *joined, names)
