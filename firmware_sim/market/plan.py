"""What will be scanned in one run, and the truth about it; the same print job and seed give the same plan."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from msgspec import Struct

from contracts.errors import ConfigurationError
from firmware_sim.market import scans
from firmware_sim.market.honest import HonestMarket
from firmware_sim.market.people import Spot, distance_km, is_home, near, outlets, reading, somewhere_in
from firmware_sim.market.scans import Planned
from firmware_sim.print_job import Case, Dealer, Place, World

DIVERTED_CASES: Final = 14
SMALLEST_DIVERSION: Final = 12
FORGED_CODES: Final = 3
_FAR_KM: Final = 800.0
_QUIET_SECONDS: Final = 8.0
_GAP_SECONDS: Final = 0.9
_LATE_SCANS: Final = 12
_BUYER_METRES: Final = 400.0
"""How far from the shop a bottle is opened at most."""


class Diversion(Struct, frozen=True):
    """One dealer's cases that were sold in a far city, each in a shop of its own."""

    dealer: Dealer
    destination: Place
    cases: tuple[Case, ...]
    shops: tuple[Spot, ...]


class Plan(Struct, frozen=True):
    """All scans of a run, in the order of their numbers, and the truth, which no detector may read."""

    scans: tuple[Planned, ...]
    truth: dict[str, Any]


def make_plan(world: World, seed: int, *, attack: bool) -> Plan:
    """Return the plan; raises `ConfigurationError` where no dealer has cases enough to divert."""
    random = np.random.default_rng(seed)
    diversion = _divert(world, random) if attack else None
    gone = {case.sscc for case in diversion.cases} if diversion else set()
    market = HonestMarket(world, random)
    honest = list(market.plan([case for case in world.cases if case.sscc not in gone]))
    crimes = _crimes(diversion, random) if diversion else []
    later = [planned for planned in honest + crimes if planned.later]
    # Goods that were diverted go on being scanned between all the others.
    mixed = [later[int(index)] for index in random.permutation(len(later))]
    told = sorted((planned for planned in honest + crimes if not planned.later), key=lambda planned: planned.after)
    truth = {"run": world.run, "seed": seed, "honest": dict(market.counts), "attacks": _truth(diversion, crimes)}
    return Plan(tuple(told + mixed), truth)


def _divert(world: World, random: np.random.Generator) -> Diversion:
    order = max(world.orders, key=lambda order: len(world.cases_of(order.id)), default=None)
    cases = world.cases_of(order.id) if order is not None else ()
    if order is None or len(cases) < SMALLEST_DIVERSION:
        raise ConfigurationError(
            f"no order has the {SMALLEST_DIVERSION} cases that a diversion takes",
            advice="Print a larger order, or play the honest market with --no-attack.",
        )
    dealer = world.dealer_of_order[order.id]
    chosen = random.choice(len(cases), size=min(DIVERTED_CASES, len(cases)), replace=False)
    city = _far_city(world, dealer, random)
    sold = tuple(cases[int(index)] for index in sorted(chosen))
    return Diversion(dealer, city, sold, outlets(city, len(sold), random))


def _far_city(world: World, dealer: Dealer, random: np.random.Generator) -> Place:
    """Choose a far city that another dealer is entitled to, or else the farthest of all."""
    foreign = [place for place in world.places if not is_home(place, dealer)]
    far = [place for place in foreign if distance_km(dealer, place) >= _FAR_KM]
    sold = [place for place in far if any(is_home(place, other) for other in world.dealers)]
    if sold:
        return sold[int(random.integers(len(sold)))]
    if not foreign:
        raise ConfigurationError(
            f"{dealer.id} may sell in every place of the print job", advice="Name places outside its territory."
        )
    return max(foreign, key=lambda place: distance_km(dealer, place))


def _crimes(diversion: Diversion, random: np.random.Generator) -> list[Planned]:
    """Scan one item of each diverted case within seconds, some more of their items later, and a few forgeries."""

    def sold(number: int, item: str, after: float, *, later: bool = False) -> Planned:
        position = reading(near(diversion.shops[number], _BUYER_METRES, random), random)
        return Planned(cases[number].order, after, scans.consumer(item, position), later)

    cases = diversion.cases
    found = [sold(index, case.items[0], _QUIET_SECONDS + index * _GAP_SECONDS) for index, case in enumerate(cases)]
    rest = [(index, item) for index, case in enumerate(cases) for item in case.items[1:]]
    late = random.permutation(len(rest))[:_LATE_SCANS]
    found.extend(sold(*rest[int(chosen)], after=0.0, later=True) for chosen in late)
    for index in range(FORGED_CODES):
        position = reading(somewhere_in(diversion.destination, random), random)
        label = scans.forged(cases[0].items[0], position, random)
        found.append(Planned(cases[0].order, _QUIET_SECONDS + index * _GAP_SECONDS, label, later=index > 0))
    return found


def _truth(diversion: Diversion | None, crimes: Sequence[Planned]) -> list[dict[str, Any]]:
    if diversion is None:
        return []
    printed = {item for case in diversion.cases for item in case.items}
    codes = [planned.scan.code for planned in crimes]
    city = diversion.destination
    place = {"adcode": city.adcode, "name": city.name_en, "lat": city.lat, "lon": city.lon}
    return [
        {
            "id": "A1",
            "type": "bulk",
            "dealer": diversion.dealer.id,
            "destinations": [place],
            "shipments": [diversion.cases[0].order],
            "cases": [case.sscc for case in diversion.cases],
            "items": sorted(printed),
            "scanned_items": [code for code in codes if code in printed],
        },
        {
            "id": "A2",
            "type": "forged",
            "dealer": "",
            "destinations": [place],
            "items": [code for code in codes if code not in printed],
        },
    ]
