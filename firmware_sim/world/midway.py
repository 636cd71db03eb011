"""What changes in the middle of a world's time: territories change hands, with their shops, and warehouses move."""

from typing import Final

import numpy as np

from firmware_sim.world.arrays import Ints, Random, distance_km
from firmware_sim.world.network import Builder, Change, Network

_SWAPS_ONE_IN: Final = 50
_MOVES_ONE_IN: Final = 40
_MIDDLE: Final = (0.3, 0.7)


def change_midway(network: Network, builder: Builder, days: int, random: Random) -> None:
    """Hand cities of some dealers to their neighbours, and move some warehouses."""
    dealers = network.dealers
    parents = {dealer.parent for dealer in dealers}
    wide = [n for n, dealer in enumerate(dealers) if dealer.kind == "city" and len(dealer.units) > 1]
    untouched = [number for number in wide if number not in parents]
    chosen = random.permutation(untouched)[: max(1, len(dealers) // _SWAPS_ONE_IN)]
    changed: set[int] = set()
    for giver in map(int, chosen):
        heir = _neighbour(network, giver, changed)
        if giver not in changed and heir >= 0:
            changed |= {giver, heir}
            _hand_over(network, giver, heir, days * float(random.uniform(*_MIDDLE)))
    movers = [n for n, dealer in enumerate(dealers) if dealer.kind in {"city", "county"}]
    for number in map(int, random.permutation(movers)[: max(1, len(dealers) // _MOVES_ONE_IN)]):
        site = int(random.choice(dealers[number].counties))
        lat, lon = builder.place_in(site)
        day = days * float(random.uniform(*_MIDDLE))
        network.moves.append(Change(number, day, site=site, lat=lat, lon=lon))


def _neighbour(network: Network, giver: int, changed: set[int]) -> int:
    dealers = network.dealers
    others = [n for n, d in enumerate(dealers) if d.kind == "city" and n != giver and n not in changed]
    if not others:
        return -1
    here = dealers[giver]
    lats, lons = (np.array([getattr(dealers[n], name) for n in others]) for name in ("lat", "lon"))
    return others[int(distance_km(np.array(here.lat), np.array(here.lon), lats, lons).argmin())]


def _hand_over(network: Network, giver: int, heir: int, day: float) -> None:
    land = network.land
    lost = network.dealers[giver].units[-1]
    counties = np.flatnonzero(land.county_city == land.cities.adcodes.index(lost))
    old = network.dealers[giver]
    network.change(Change(giver, day, old.units[:-1], _without(old.counties, counties)))
    new = network.dealers[heir]
    network.change(Change(heir, day, (*new.units, lost), np.union1d(new.counties, counties)))
    for number in network.stores_of.get(giver, []):
        store = network.stores[number]
        if store.county in counties:
            store.heir, store.handed_day = heir, day
            network.inherited.setdefault(heir, []).append(number)


def _without(counties: Ints, lost: Ints) -> Ints:
    return np.asarray(np.setdiff1d(counties, lost))
