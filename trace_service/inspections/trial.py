"""A world folder with inspectors in it: what they find enters the engine like any inspection, and is scored.

Two mornings a week a policy chooses who sets out, and where to. In a city an inspector goes to `SHOPS` shops, the same
whoever sent him there, and scans what stands in them, at most `CASES` cases each. What is read is a sighting of kind
"inspect" at the shop's position, with the dealer that the papers name at that moment.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np
from msgspec import Struct

from trace_service.backtest.events import Event
from trace_service.backtest.feed import Feed
from trace_service.backtest.run import finding_of
from trace_service.backtest.truth import Truth
from trace_service.backtest.world import World
from trace_service.detection.changes import Change, Raised
from trace_service.detection.engine import Engine
from trace_service.detection.network import Network, distances_km
from trace_service.detection.observations import Observation, Shipment, Sighting
from trace_service.detection.settings import DAY_MS
from trace_service.inspections.model import Base, Look, Place, Share, Visit
from trace_service.inspections.planning import plan
from trace_service.inspections.policies import Policy
from trace_service.inspections.tours import Rules
from trace_service.inspections.whereabouts import Shelf, Whereabouts

SHOPS: Final = 5
CASES: Final = 6
BASES: Final = 30
_THURSDAY: Final = 3  # the first day of the epoch
_SETS_OUT: Final = (1, 3)  # on Tuesdays and Thursdays
_WARM_UP_DAYS: Final = 30
_LONGEST_QUIET: Final = 7
_APART_KM: Final = 150.0


class Made(Struct, frozen=True):
    """One visit: where, by which share, whether diverted goods of an attack without an alert were scanned."""

    city: str
    at: int
    share: Share
    hours: float
    attacks: tuple[int, ...]


class Played(Struct, kw_only=True):
    """What one policy gave on one world: first right alert of each attack, alerts, and the visits."""

    policy: str
    found: dict[int, int] = {}
    alerts: int = 0
    right: int = 0
    visits: list[Made] = []


class _Inspected(Feed):
    """The world's stream, and what inspectors scan."""

    def inspected(self, event: Event) -> Iterator[Sighting]:
        yield from self._sightings(event)


class Trial:
    """One world, to be played under several policies."""

    def __init__(self, world: World, network: Network, truth: Truth, where: Whereabouts, seed: int) -> None:
        self.world, self.network, self.truth, self.where, self.seed = world, network, truth, where, seed
        self.places = tuple(
            Place(city=each.adcode, lat=each.lat, lon=each.lon, population=each.population) for each in network.cities
        )
        self.bases = bases(self.places)
        self.attack_of: dict[str, int] = {}
        for index, attack in enumerate(truth.attacks):
            # Of a copied or made-up label one scan shows nothing: only diverted cases are counted as met.
            self.attack_of |= dict.fromkeys(attack.cases, index)

    def play(self, engine: Engine, policy: Policy | None, goods: "Goods", played: Played) -> None:
        """Play the world through an engine, with the inspectors of a policy or with none."""
        walks = [] if policy is None else [Walk(policy, played)]
        self._run(_Run(self, engine, played, walks), goods)

    def watch(self, engine: Engine, walks: list["Walk"], goods: "Goods", alone: Played) -> None:
        """Play the world once, without inspections, and let every policy's inspectors look on beside each other.

        What they scan does not enter the engine: an attack is found when its goods are come upon.
        """
        self._run(_Run(self, engine, alone, walks, enters=False), goods)
        for walk in walks:
            walk.played.alerts, walk.played.right = alone.alerts, alone.right
            for index, at in alone.found.items():
                walk.played.found[index] = min(at, walk.played.found.get(index, at))

    def _run(self, run: "_Run", goods: "Goods") -> None:
        for observation in run.feed:
            run.mornings(observation.received_at)
            goods.observe(observation)
            for walk in run.walks:
                walk.policy.observe(observation)
            run.observe(observation)

    def standing(self, city: str, now: int, found: Iterable[int]) -> int:
        """Return how many shelves of a city hold diverted goods of attacks that are not among `found`."""
        done, number = set(found), 0
        for shelf in self.where.cities.get(city, ()):
            attacks = {self.attack_of.get(shelf.cases[row]) for row in shelf.there(now)}
            number += bool(attacks - done - {None})
        return number


class Goods:
    """What came with each shipment, in yuan a case, and what of it was seen."""

    def __init__(self, world: World, engine: Engine) -> None:
        self._prices = {each.gtin: each.unit_price * each.items_per_case for each in world.channel.products}
        self._product = {item.case: item.product for item in world.items.values()}
        self._cases: dict[str, tuple[int, float]] = {}
        self._seen = engine.sightings.shipments

    def observe(self, observation: Observation) -> None:
        """Note what a paper brings."""
        if isinstance(observation, Shipment) and observation.cases:
            price = self._prices.get(self._product.get(observation.cases[0], ""), 0.0)
            self._cases[observation.key] = len(observation.cases), price

    def left(self, shipments: frozenset[str]) -> float:
        """Return the yuan of what was seen nowhere yet."""
        total = 0.0
        for each in shipments:
            cases, price = self._cases.get(each, (0, 0.0))
            total += max(0, cases - len(self._seen.get(each, ()))) * price
        return total


class Walk:
    """One policy's inspectors, and what came of their visits."""

    def __init__(self, policy: Policy, played: Played) -> None:
        self.policy, self.played = policy, played
        self.looks: list[Look] = []


class _Run:
    """One playing of a world; `played` keeps the engine's alerts."""

    def __init__(self, trial: Trial, engine: Engine, played: Played, walks: list[Walk], *, enters: bool = True) -> None:
        self.trial, self.engine, self.played, self.walks, self._enters = trial, engine, played, walks, enters
        self.feed = _Inspected(trial.world, trial.network)
        self._begun: int | None = None

    def observe(self, observation: Observation) -> None:
        """Let the engine observe, and note which attacks its alerts are right about."""
        self._note(self.engine.observe(observation))

    def _note(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, Raised):
                attacks = self.trial.truth.right(finding_of(change.alert))
                self.played.alerts += 1
                self.played.right += bool(attacks)
                for index in attacks:
                    self.played.found.setdefault(index, change.alert.raised_at)

    def mornings(self, now: int) -> None:
        """Send somebody out on each of the days for it that begin until now."""
        clock = self.engine.clock
        if clock is None or not self.walks:
            return
        self._begun = self._begun or clock
        for day in range(clock // DAY_MS + 1, min(now // DAY_MS, clock // DAY_MS + _LONGEST_QUIET) + 1):
            if (day + _THURSDAY) % 7 in _SETS_OUT and day * DAY_MS >= self._begun + _WARM_UP_DAYS * DAY_MS:
                self._note(self.engine.advance(day * DAY_MS))
                for walk in self.walks:
                    self._morning(walk, day * DAY_MS)

    def _morning(self, walk: Walk, now: int) -> None:
        worth = walk.policy.worth(now, walk.looks)
        rules = Rules(lot_share=walk.policy.by_lot)
        for tour in plan(worth, self.trial.bases, now, self.trial.seed, rules):
            for visit in tour.visits:
                self._visit(walk, visit, now)

    def _visit(self, walk: Walk, visit: Visit, now: int) -> None:
        city = visit.prospect.place.city
        shelves = self.trial.where.cities.get(city, [])
        random = np.random.default_rng([self.trial.seed, now // DAY_MS, int(city)])
        chosen = random.permutation(len(shelves))[:SHOPS].tolist()
        foreign: set[str] = set()
        attacks: set[int] = set()
        before = {*self.played.found, *walk.played.found}
        for number, index in enumerate(chosen):
            shelf = shelves[index]
            rows = random.permutation(shelf.there(now))[:CASES].tolist()
            attacks |= {self.trial.attack_of.get(shelf.cases[row], -1) for row in rows}
            if rows and self._enters:
                event = _event(shelf, [shelf.codes[row] for row in rows], now + number, city)
                foreign |= self._scan(event)
        fresh = attacks - before - {-1}
        if not self._enters:
            foreign = {self.trial.truth.attacks[each].dealer or "" for each in attacks - {-1}}
            walk.played.found |= dict.fromkeys(fresh, now)
        made = Made(city=city, at=now, share=visit.share, hours=visit.hours, attacks=tuple(sorted(fresh)))
        walk.played.visits.append(made)
        walk.looks.append(Look(city=city, at=now, dealers=tuple(sorted(foreign))))

    def _scan(self, event: Event) -> set[str]:
        """Let the engine see what was scanned; return the dealers whose goods may not be there."""
        found = set()
        placer = self.engine.sightings.placer
        for sighting in list(self.feed.inspected(event)):
            placed = placer.place(sighting)
            if placed is not None and placed.foreign and sighting.goods.dealer is not None:
                found.add(sighting.goods.dealer)
            self.observe(sighting)
        return found


def bases(places: Sequence[Place]) -> tuple[Base, ...]:
    """Return the bases of a trial: the largest cities that are not near a larger one."""
    found: list[Place] = []
    for place in sorted(places, key=lambda each: -each.population):
        lats, lons = np.array([each.lat for each in found]), np.array([each.lon for each in found])
        if not found or distances_km(place.lat, place.lon, lats, lons).min() > _APART_KM:
            found.append(place)
        if len(found) == BASES:
            break
    return tuple(Base(name=each.city, lat=each.lat, lon=each.lon) for each in found)


def _event(shelf: Shelf, codes: list[str], now: int, city: str) -> Event:
    moment = datetime.fromtimestamp(now / 1000, UTC)
    return Event(
        event_id=f"visit/{city}/{shelf.shop}/{now}", type="inspect", occurred_at=moment, received_at=moment,
        source="store", place=shelf.shop, lat=shelf.lat, lon=shelf.lon, adcode=shelf.adcode, codes=codes,
        occurred=now, received=now,
    )  # fmt: skip
