"""What becomes of each case: sold where it belongs, opened at a feast far away, or diverted."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from firmware_sim.world.arrays import Bools, Floats, Ints, Random
from firmware_sim.world.country.mobility import MIGRATION, Mobility
from firmware_sim.world.goods import Goods
from firmware_sim.world.parameters import Nature
from firmware_sim.world.routing import Routes

_SHELF_DAYS: Final = 25.0
_PARTY_CASES: Final = 0.28
_MOST_PARTY_CASES: Final = 12
_GIFT_SHARE: Final = 0.3


@dataclass(slots=True)
class Fates:
    """One entry a case. `county` is where its buyers live, or -1 for the dealer's own area; `day` when it is there."""

    county: Ints
    day: Floats
    linger: Floats
    rate: Floats
    attack: Ints
    party: Ints
    free: Bools
    silent_from: Ints
    """One entry a lot: the hop from which nobody reports it, because it takes another way than its papers."""


@dataclass(slots=True)
class Deed:
    """An event of an attack that is no consumer's scan: `kind` as in the events file."""

    kind: str
    cases: Ints
    day: float
    dealer: int
    other: int = -1
    store: int = -1
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Attack:
    """One attack: dealers by number, cities by number, days since the start; `codes` are not of the print job."""

    id: str
    type: str
    dealer: int
    parties: tuple[int, ...]
    cities: Ints
    first_day: float
    cases: Ints
    lost: Floats
    deeds: list[Deed] = field(default_factory=list)
    items: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    codes: list[str] = field(default_factory=list)


def blank(goods: Goods, routes: Routes, end: float) -> Fates:
    """Return fates of which nothing is decided but when each case reaches the shelf."""
    cases = goods.case_lot.size
    ready = routes.ready[goods.case_lot]
    return Fates(
        county=np.full(cases, -1),
        day=ready.copy(),
        linger=np.full(cases, np.nan),
        rate=np.ones(cases),
        attack=np.full(cases, -1),
        party=np.full(cases, -1),
        free=ready < end,
        silent_from=np.full(routes.seller.size, 99),
    )


def put_on_shelves(fates: Fates, routes: Routes, random: Random) -> None:
    """Let every case wait for its first buyer, in the shop where it went or at the dealer's."""
    delivered = routes.case_delivery >= 0
    arrived = routes.table.floats("arrived")[np.maximum(routes.case_delivery, 0)]
    start = np.where(delivered, arrived, fates.day)
    fates.day = np.where(fates.attack >= 0, fates.day, start + random.exponential(_SHELF_DAYS, start.size))


def feasts(fates: Fates, goods: Goods, mobility: Mobility, nature: Nature, random: Random) -> int:
    """Open several cases of one dealer in one foreign place: weddings in a day, company gifts in weeks."""
    lots = np.flatnonzero(np.bincount(goods.case_lot[fates.free], minlength=goods.lot_day.size) > 1)
    count = min(int(random.poisson(nature.parties_per_100k * goods.item_count / 1e5)), lots.size)
    for number, lot in enumerate(random.choice(lots, count, replace=False)):
        free = np.flatnonzero((goods.case_lot == lot) & fates.free)
        size = min(int(random.geometric(_PARTY_CASES)), _MOST_PARTY_CASES, free.size)
        cases = free[:size]
        home = random.choice(mobility.land.county_city.size)
        if size == 0:
            continue
        gift = random.random() < _GIFT_SHARE
        day = fates.day[cases].min() + float(random.exponential(20.0))
        modes = np.array([MIGRATION if random.random() < 0.5 else mobility.modes(np.array([day]), random)[0]])  # noqa: PLR2004 - half of the weddings are at the migrants' homes
        place = mobility.destinations(np.array([home]), modes, random)[0]
        fates.county[cases], fates.day[cases], fates.party[cases] = place, day, number
        fates.linger[cases] = 10.0 if gift else 0.3
        fates.rate[cases] = float(random.uniform(1.0, 2.0 if gift else 5.0))
        fates.free[cases] = False
    return count
