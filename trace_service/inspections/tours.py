"""One inspector's day: places inserted where they cost least way for what they give."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from msgspec import Struct

from trace_service.detection.network import FloatArray, distances_km
from trace_service.inspections.model import Base, Prospect, Share, Tour, Visit

# Roads are longer than the crow flies.
_DETOUR: Final = 1.3
VISIT_HOURS: Final = 2.5
LOT_SHARE: Final = 0.1
_TIE: Final = 1e-3


class Rules(Struct, frozen=True, kw_only=True):
    """How days are made. `visit_hours` is the work at one place: five shops. `crews` is how many set out a day."""

    visit_hours: float = VISIT_HOURS
    lot_share: float = LOT_SHARE
    crews: int = 1


class Field:
    """Prospects and the ways between them, in hours at one kilometre an hour."""

    def __init__(self, prospects: Sequence[Prospect]) -> None:
        self.prospects = prospects
        self.lats = np.array([each.place.lat for each in prospects])
        self.lons = np.array([each.place.lon for each in prospects])
        self.worth = np.array([each.gain + _TIE * each.tie for each in prospects])
        self._rows: dict[int, FloatArray] = {}

    def km_from(self, lat: float, lon: float) -> FloatArray:
        """Return the kilometres by road from a point to every place."""
        return _DETOUR * distances_km(lat, lon, self.lats, self.lons)

    def km(self, index: int) -> FloatArray:
        """Return the kilometres by road from one place to every place."""
        if index not in self._rows:
            self._rows[index] = self.km_from(float(self.lats[index]), float(self.lons[index]))
        return self._rows[index]


class Day:
    """One inspector's stops, in order."""

    def __init__(self, field: Field, base: Base, rules: Rules) -> None:
        self.field, self.base, self.rules = field, base, rules
        self.stops: list[int] = []
        self._lots: set[int] = set()
        self._home = field.km_from(base.lat, base.lon)
        self._reach = 2 * self._home / base.speed_kmh + rules.visit_hours <= base.hours

    @property
    def worth(self) -> float:
        """What the stops are expected to give together."""
        return float(self.field.worth[self.stops].sum())

    def fill(self, taken: set[int]) -> None:
        """Insert what brings most for each hour that it adds, for as long as the day has hours."""
        closed = ~self._reach
        closed[list(taken)] = True
        while True:
            closed[self.stops] = True
            left = self.base.hours - self.hours(self.stops)
            added, where = self._insertions()
            worth = np.where(closed | (added > left + 1e-9), 0.0, self.field.worth / added)
            best = int(worth.argmax())
            if worth[best] <= 0:
                return
            self.stops.insert(int(where[best]), best)

    def draw_lots(self, taken: set[int], random: np.random.Generator) -> None:
        """Let a lot decide for each stop whether chance takes its place; what hours remain are filled up again."""
        drawn = int((random.random(len(self.stops)) < self.rules.lot_share).sum())
        if not drawn:
            return
        people = np.array([each.place.population for each in self.field.prospects]) * self._reach
        people[list(taken)] = 0.0
        self.stops = []
        while drawn and people.sum() > 0:
            chosen = int(random.choice(people.size, p=people / people.sum()))
            people[chosen] = 0.0
            added, where = self._insertions()
            if self.hours(self.stops) + added[chosen] <= self.base.hours:
                self.stops.insert(int(where[chosen]), chosen)
                self._lots.add(chosen)
                drawn -= 1
        self.fill(taken)

    def hours(self, stops: Sequence[int]) -> float:
        """Return how long a day with these stops is."""
        if not stops:
            return 0.0
        way = self._home[stops[0]] + self._home[stops[-1]]
        way += sum(self.field.km(first)[second] for first, second in pairwise(stops))
        return float(way) / self.base.speed_kmh + self.rules.visit_hours * len(stops)

    def tour(self) -> Tour:
        """Return the day as it is; a visit's hours are what it adds."""
        whole = self.hours(self.stops)
        visits = tuple(
            Visit(
                prospect=self.field.prospects[stop],
                share=Share.LOT if stop in self._lots else Share.PLANNED,
                hours=whole - self.hours(self.stops[:number] + self.stops[number + 1 :]),
            )
            for number, stop in enumerate(self.stops)
        )
        return Tour(base=self.base, visits=visits, hours=whole)

    def _insertions(self) -> tuple[FloatArray, FloatArray]:
        """Return for every place the hours that it adds where it adds least, and before which stop that is."""
        ends = [self._home, *(self.field.km(stop) for stop in self.stops), self._home]
        legs = [self._home[self.stops[0]]] if self.stops else [0.0]
        legs += [self.field.km(first)[second] for first, second in pairwise(self.stops)]
        legs += [self._home[self.stops[-1]]] if self.stops else []
        added = np.array([before + after - leg for (before, after), leg in zip(pairwise(ends), legs, strict=True)])
        return added.min(axis=0) / self.base.speed_kmh + self.rules.visit_hours, added.argmin(axis=0)
