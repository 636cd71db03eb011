"""Where inspectors stop trucks: near the straight way for honest ones, far off it for those that make a detour."""

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from firmware_sim.world.arrays import Ints, Random
from firmware_sim.world.model import World
from firmware_sim.world.routing import ORDER

_STOPPED = 0.04
_CASES = 6
_BESIDE = 0.07
_DETOUR = (0.7, 1.6)
_DETOUR_STOPS = 2


class Check(Struct, frozen=True):
    """One stop: cases that were read, where and when; `attack` is None for an honest truck."""

    day: float
    lat: float
    lon: float
    cases: tuple[int, ...]
    inspector: str
    attack: int | None


def checkpoints(world: World) -> Iterator[Check]:
    """Yield the stops of a world in which detours were asked for; no other world has any."""
    detours = {
        deed.other: (number, float(deed.day))
        for number, attack in enumerate(world.attacks)
        for deed in attack.deeds
        if deed.kind == "detour"
    }
    if not detours:
        return
    random = np.random.default_rng([world.request.seed, 4])
    table, ways = world.routes.table, world.routes.ways
    kinds = table.ints("kind")
    honest = np.flatnonzero((kinds == ORDER) & (random.random(kinds.size) < _STOPPED))
    for number in sorted({*honest.tolist(), *detours}):
        lots = np.flatnonzero((ways == number).any(axis=1) & (world.fates.silent_from > ways.shape[1]))
        cases = np.flatnonzero(np.isin(world.goods.case_lot, lots))
        attack = detours.get(number)
        if cases.size and table.floats("arrived")[number] < world.request.days:
            for _ in range(1 if attack is None else _DETOUR_STOPS):
                yield _check(world, number, cases, None if attack is None else attack[0], random)


def _check(world: World, number: int, cases: Ints, attack: int | None, random: Random) -> Check:
    table, dealers = world.routes.table, world.network.dealers
    ends = [dealers[int(table.ints(name)[number])] for name in ("sender", "receiver")]
    left, came = (float(table.floats(name)[number]) for name in ("departed", "arrived"))
    share = float(random.uniform(0.15, 0.85))
    away = np.array([ends[1].lat - ends[0].lat, ends[1].lon - ends[0].lon])
    side = float(random.normal(0, _BESIDE)) if attack is None else float(random.uniform(*_DETOUR))
    lat = ends[0].lat + share * away[0] - side * away[1]
    lon = ends[0].lon + share * away[1] + side * away[0]
    chosen = random.permutation(cases)[:_CASES]
    return Check(
        left + share * (came - left), round(float(lat), 6), round(float(lon), 6), tuple(map(int, chosen)),
        f"I-ROAD-{number % 40:02}", attack,
    )  # fmt: skip
