"""Policies held against each other on the same worlds: attacks found per 100 visits, beyond those found without."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Struct

from trace_service.backtest.errors import WorldError
from trace_service.backtest.truth import Truth, read_attacks
from trace_service.backtest.world import World, read_world
from trace_service.detection.engine import Engine
from trace_service.detection.network import Network
from trace_service.detection.settings import DAY_MS
from trace_service.inspections.gain import Model
from trace_service.inspections.model import Share
from trace_service.inspections.policies import Counted, Lottery, Oracle, Planner, Policy
from trace_service.inspections.trial import Goods, Played, Trial, Walk
from trace_service.inspections.whereabouts import Whereabouts

POLICIES: Final = ("random", "complaints", "foreign scans", "planner", "oracle")
_DRAWS: Final = 2_000
Progress = Callable[[str], None]


class Result(Struct, kw_only=True):
    """One policy on one world, against the same world without inspections."""

    world: str
    policy: str
    attacks: int
    visits: int
    hours: float
    beyond: int  # attacks found, less those found without
    earlier: list[float]  # days by which an attack that is found without as well was found earlier
    alerts: int
    right: int
    met: int  # visits that scanned diverted goods of an attack without an alert
    lots: int
    lots_met: int


class Rate(Struct, frozen=True):
    """A figure with its 95 % interval from drawing worlds again."""

    value: float
    low: float
    high: float


def _opened(folder: Path) -> tuple[World, Trial]:
    world = read_world(folder, lambda _: None)
    attacks = read_attacks(folder)
    if attacks is None:
        raise WorldError(f"{folder} has no labels.json", advice="Only a generated world says what was found.")
    network = Network(world.channel)
    trial = Trial(world, network, Truth(attacks, network), Whereabouts(folder, network), _seed(folder))
    return world, trial


def measure(folder: Path, progress: Progress, policies: Sequence[str] = POLICIES) -> list[Result]:
    """Play one world once without inspections and once under each policy. Raises WorldError."""
    world, trial = _opened(folder)
    found: list[Result] = []
    alone = None
    for name in ("none", *policies):
        engine = Engine(trial.network)
        goods = Goods(world, engine)
        played = Played(policy=name)
        policy = None if name == "none" else _policy(name, trial, engine, (goods, Model(), partial(_found, played)))
        trial.play(engine, policy, goods, played)
        alone = alone or played
        found.append(_result(folder.name, trial, played, alone))
        progress(_line(folder, trial, played))
    return found


def watch(folder: Path, progress: Progress, policies: Sequence[str] = POLICIES) -> list[Result]:
    """Play one world once, with the inspectors of every policy looking on. Raises WorldError."""
    world, trial = _opened(folder)
    engine = Engine(trial.network)
    goods, alone = Goods(world, engine), Played(policy="none")
    walks = []
    for name in policies:
        played = Played(policy=name)
        policy = _policy(name, trial, engine, (goods, Model(), partial(_found, played, alone)))
        walks.append(Walk(policy, played))
    trial.watch(engine, walks, goods, alone)
    for played in (alone, *(each.played for each in walks)):
        progress(_line(folder, trial, played))
    return [_result(folder.name, trial, played, alone) for played in (alone, *(each.played for each in walks))]


def _found(*played: Played) -> set[int]:
    return {index for each in played for index in each.found}


def _line(folder: Path, trial: Trial, played: Played) -> str:
    of = f"{len(played.found)} of {len(trial.truth.attacks)} attacks found"
    return f"{folder.name}: {played.policy}, {len(played.visits)} visits, {of}"


def _policy(name: str, trial: Trial, engine: Engine, parts: tuple[Goods, Model, Callable[[], set[int]]]) -> Policy:
    goods, model, found = parts
    if name == "planner":
        return Planner(engine, trial.places, goods.left, (trial.seed, model))
    if name == "random":
        return Lottery(trial.places, trial.seed)
    if name == "oracle":
        return Oracle(trial.places, lambda city, now: trial.standing(city, now, found()))
    return Counted(name, engine, trial.places, trial.seed)


def _result(world: str, trial: Trial, played: Played, alone: Played) -> Result:
    both = played.found.keys() & alone.found.keys()
    lots = [each for each in played.visits if each.share is Share.LOT]
    return Result(
        world=world,
        policy=played.policy,
        attacks=len(trial.truth.attacks),
        visits=len(played.visits),
        hours=sum(each.hours for each in played.visits),
        beyond=len(played.found) - len(alone.found),
        earlier=[(alone.found[each] - played.found[each]) / DAY_MS for each in sorted(both)],
        alerts=played.alerts,
        right=played.right,
        met=sum(bool(each.attacks) for each in played.visits),
        lots=len(lots),
        lots_met=sum(bool(each.attacks) for each in lots),
    )


def per_hundred(results: Sequence[Result], what: Callable[[Result], float], of: Callable[[Result], float]) -> Rate:
    """Return 100 × the sum of one figure over that of another, with the interval from drawing worlds again."""
    top, bottom = (np.array([figure(each) for each in results], np.float64) for figure in (what, of))
    drawn = np.random.default_rng(1).integers(0, len(results), (_DRAWS, len(results)))
    rates = 100 * top[drawn].sum(axis=1) / np.maximum(bottom[drawn].sum(axis=1), 1e-9)
    low, high = np.quantile(rates, (0.025, 0.975)).tolist()
    return Rate(float(100 * top.sum() / max(bottom.sum(), 1e-9)), low, high)


def table(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return a row a policy, pooled over worlds, each rate with its 95 % interval."""
    rows = []
    for name in POLICIES:
        mine = [each for each in results if each.policy == name]
        if not mine:
            continue
        earlier = [days for each in mine for days in each.earlier]
        beyond = per_hundred(mine, lambda each: each.beyond, lambda each: each.visits)
        met = per_hundred(mine, lambda each: each.met, lambda each: each.visits)
        rows.append(
            {
                "policy": name,
                "worlds": len(mine),
                "visits": sum(each.visits for each in mine),
                "beyond": sum(each.beyond for each in mine),
                "beyond_per_100": _shown(beyond),
                "met_per_100": _shown(met),
                "days_earlier": round(sum(earlier) / max(1, len(earlier)), 2),
                "precision": round(sum(each.right for each in mine) / max(1, sum(each.alerts for each in mine)), 3),
                "lots_met": f"{sum(each.lots_met for each in mine)}/{sum(each.lots for each in mine)}",
            }
        )
    return rows


def _shown(rate: Rate) -> list[float]:
    return [round(each, 2) for each in (rate.value, rate.low, rate.high)]


def _seed(folder: Path) -> int:
    digits = "".join(each for each in folder.name if each.isdigit())
    return int(digits or 0)
