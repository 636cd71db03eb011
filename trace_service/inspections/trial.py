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
        run = _Run(self, engine, policy, played)
        for observation in run.feed:
            run.mornings(observation.received_at)
            goods.observe(observation)
            if policy is not None:
                policy.observe(observation)
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


class _Run:
    """One playing of a world."""

    def __init__(self, trial: Trial, engine: Engine, policy: Policy | None, played: Played) -> None:
        self.trial, self.engine, self.policy, self.played = trial, engine, policy, played
        self.feed = _Inspected(trial.world, trial.network)
        self._looks: list[Look] = []
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
        if clock is None or self.policy is None:
            return
        self._begun = self._begun or clock
        for day in range(clock // DAY_MS + 1, min(now // DAY_MS, clock // DAY_MS + _LONGEST_QUIET) + 1):
            if (day + _THURSDAY) % 7 in _SETS_OUT and day * DAY_MS >= self._begun + _WARM_UP_DAYS * DAY_MS:
                self._note(self.engine.advance(day * DAY_MS))
                self._morning(self.policy, day * DAY_MS)

    def _morning(self, policy: Policy, now: int) -> None:
        worth = policy.worth(now, self._looks)
        rules = Rules(lot_share=policy.by_lot)
        for tour in plan(worth, self.trial.bases, now, self.trial.seed, rules):
            for visit in tour.visits:
                self._visit(visit, now)

    def _visit(self, visit: Visit, now: int) -> None:
        city = visit.prospect.place.city
        shelves = self.trial.where.cities.get(city, [])
        random = np.random.default_rng([self.trial.seed, now // DAY_MS, int(city)])
        chosen = random.permutation(len(shelves))[:SHOPS].tolist()
        foreign: set[str] = set()
        attacks: set[int] = set()
        before = set(self.played.found)
        for number, index in enumerate(chosen):
            shelf = shelves[index]
            rows = random.permutation(shelf.there(now))[:CASES].tolist()
            attacks |= {self.trial.attack_of.get(shelf.cases[row] or shelf.codes[row], -1) for row in rows}
            if rows:
                event = _event(shelf, [shelf.codes[row] for row in rows], now + number, city)
                foreign |= self._scan(event)
        fresh = attacks - before - {-1}
        hours = visit.hours
        self.played.visits.append(Made(city=city, at=now, share=visit.share, hours=hours, attacks=tuple(sorted(fresh))))
        self._looks.append(Look(city=city, at=now, dealers=tuple(sorted(foreign))))

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
