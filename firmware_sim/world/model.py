"""A whole world in memory: everything that its files say, and the truth behind it."""

from typing import Final

import numpy as np
from msgspec import Struct

from firmware_sim.world.arrays import Random
from firmware_sim.world.attacks import Attackers
from firmware_sim.world.consumers import Crowd, Scans
from firmware_sim.world.country.geography import Land, load_land
from firmware_sim.world.country.mobility import Mobility
from firmware_sim.world.extras import Requested, Withheld
from firmware_sim.world.fates import Attack, Fates, blank, feasts, put_on_shelves
from firmware_sim.world.goods import Goods, make_goods
from firmware_sim.world.midway import change_midway
from firmware_sim.world.naive import Difficulty, measure
from firmware_sim.world.network import Builder, Network, add_stores
from firmware_sim.world.parameters import Nature, Request, draw_nature
from firmware_sim.world.routing import Router, Routes

_PROMOTIONS: Final = 0.13
_ON_PAPER: Final = 0.5
"""How often diverted cases are delivered to a shop on paper."""


class World(Struct, frozen=True):
    """What happened, as arrays; `travel` is how willingly people travel, `feasts` how many took cases along."""

    request: Request
    nature: Nature
    land: Land
    network: Network
    goods: Goods
    routes: Routes
    fates: Fates
    attacks: list[Attack]
    scans: Scans
    difficulty: Difficulty
    feasts: int
    travel: float
    withheld: Withheld


def make_world(request: Request) -> World:
    """Return the world of a request; the same request gives the same world."""
    nature = draw_nature(request)
    random = np.random.default_rng([request.seed, 1])
    land = load_land()
    builder = Builder(land, request.dealers, random)
    network = builder.build()
    add_stores(network, builder, random)
    change_midway(network, builder, request.days, random)
    promoted = [] if request.attack_free else _promotions(network, nature, request, random)
    dice = np.random.default_rng([request.seed, 3])
    promoted += _promotions_wanted(network, request, dice)
    goods = make_goods(network, nature, request, promoted, random)
    routes = Router(network, goods, nature, random).route()
    mobility = Mobility(land, nature, request.days, random)
    parts = (network, goods, routes, mobility)
    fates = blank(goods, routes, request.days)
    wanted = _take_wanted(promoted, request)
    attacks = [] if request.attack_free else Attackers(parts, nature, request, random).plan(fates, promoted)
    withheld = Withheld()
    if request.extra:
        attackers = Attackers(parts, nature, request, dice)
        attackers.attacks = attacks
        attackers.promote(fates, wanted)
        Requested(attackers, withheld, request, dice).plan(fates)
    _leave_shops(fates, routes, random)
    put_on_shelves(fates, routes, random)
    parties = feasts(fates, goods, mobility, nature, random)
    crowd = Crowd(parts, nature, request, random)
    scans, travel = crowd.scan(fates, attacks)
    dealer = routes.entitled(goods.case_lot[scans.case], scans.day)
    judged = (dealer, crowd.foreign(scans.case, scans.day, scans.seen))
    difficulty = measure(land, scans, judged, attacks)
    return World(
        request, nature, land, network, goods, routes, fates, attacks, scans, difficulty, parties, round(travel, 4),
        withheld,
    )  # fmt: skip


def _promotions(network: Network, nature: Nature, request: Request, random: Random) -> list[tuple[int, float]]:
    """Choose the dealers whose promotions end elsewhere, and when these begin."""
    dealers = [n for n, dealer in enumerate(network.dealers) if dealer.kind in {"city", "county"}]
    count = max(1, round(nature.attacks_per_300k * request.items / 3e5 * _PROMOTIONS))
    return [(int(random.choice(dealers)), float(random.uniform(0.1, 0.7) * request.days)) for _ in range(count)]


def _promotions_wanted(network: Network, request: Request, random: Random) -> list[tuple[int, float]]:
    """Choose the promotions that somebody asked for."""
    dealers = [n for n, dealer in enumerate(network.dealers) if dealer.kind in {"city", "county"}]
    count = sum(extra.count for extra in request.extra if extra.type == "promo")
    return [(int(random.choice(dealers)), float(random.uniform(0.3, 0.7) * request.days)) for _ in range(count)]


def _take_wanted(promoted: list[tuple[int, float]], request: Request) -> list[tuple[int, float]]:
    """Take out the promotions that somebody asked for: they come last."""
    count = sum(extra.count for extra in request.extra if extra.type == "promo")
    return [promoted.pop() for _ in range(count)]


def _leave_shops(fates: Fates, routes: Routes, random: Random) -> None:
    """Diverted cases reach no shop, whatever their papers say."""
    diverted = fates.attack >= 0
    routes.case_store[diverted] = -1
    paper = random.random(int(fates.attack.max(initial=0)) + 1) < _ON_PAPER
    routes.case_delivery[diverted & ~paper[np.maximum(fates.attack, 0)]] = -1
