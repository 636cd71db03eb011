"""Ways of choosing where to look, as they are measured: each gives every city a worth for today."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from trace_service.detection.engine import Engine
from trace_service.detection.network import FloatArray
from trace_service.detection.observations import CodeState, Observation, Sighting
from trace_service.detection.placing import Placer
from trace_service.detection.settings import DAY_MS
from trace_service.inspections.gain import Model, prospects
from trace_service.inspections.model import Known, Look, Place, Prospect
from trace_service.inspections.observing import Left, Watch

_RECENT_DAYS: Final = 28
# How many people complain: of a code that nobody issued, of goods from elsewhere, and of anything at all a week.
_COMPLAINTS: Final = {"unknown": 0.3, "foreign": 0.05}
_NOISE_A_WEEK: Final = 4.0


class Policy(Protocol):
    """What is told of every observation, and asked once a day. `by_lot` lets it be compared with chance."""

    name: str
    by_lot: float

    def observe(self, observation: Observation) -> None:
        """Take in what the engine observes."""
        ...

    def worth(self, now: int, looks: Sequence[Look]) -> list[Prospect]:
        """Return what a visit to each place is worth today."""
        ...


class Planner:
    """The plan of this package."""

    name, by_lot = "planner", 0.1

    def __init__(self, engine: Engine, places: tuple[Place, ...], left: Left, setting: tuple[int, Model]) -> None:
        self._watch, self._places = Watch(engine, left), places
        self._seed, self._model = setting

    def observe(self, observation: Observation) -> None:
        """Do nothing: the engine has seen it."""

    def worth(self, now: int, looks: Sequence[Look]) -> list[Prospect]:
        """Return the expected gain of each place."""
        known = Known(places=self._places, suspicions=tuple(self._watch.suspicions(now)), looks=tuple(looks))
        return prospects(known, now, self._seed, self._model)


class Lottery:
    """Places by lot, by their people: the figure that anything else has to beat."""

    name, by_lot = "random", 1.0

    def __init__(self, places: tuple[Place, ...], seed: int) -> None:
        self._places, self._random = places, np.random.default_rng([seed, 3])

    def observe(self, observation: Observation) -> None:
        """Do nothing: chance has no eyes."""

    def worth(self, now: int, looks: Sequence[Look]) -> list[Prospect]:
        """Return the people times chance: who sets out is drawn like where to."""
        del now, looks
        people = np.array([each.population for each in self._places])
        return _prospects(self._places, people * self._random.exponential(1.0, people.size))


class Counted:
    """Places by how many scans of a kind came from there in four weeks and since the last visit."""

    by_lot = 0.0

    def __init__(self, name: str, engine: Engine, places: tuple[Place, ...], seed: int) -> None:
        self.name = name
        self._placer: Placer = engine.sightings.placer
        self._cities = engine.network.cities
        self._places = places
        self._random = np.random.default_rng([seed, 2])
        self._people = np.array([each.population for each in places])
        self._came: defaultdict[str, list[int]] = defaultdict(list)
        self._noisy_until = 0

    def observe(self, observation: Observation) -> None:
        """Count a consumer's scan that is foreign, or that makes somebody complain."""
        if not isinstance(observation, Sighting) or observation.kind != "scan":
            return
        placed = self._placer.place(observation)
        if placed is None:
            return
        unknown = observation.goods.state is CodeState.UNKNOWN
        counts = placed.foreign
        if self.name == "complaints":
            chance = _COMPLAINTS["unknown"] if unknown else _COMPLAINTS["foreign"] * placed.foreign
            counts = bool(self._random.random() < chance)
        if counts:
            self._came[self._cities[placed.city].adcode].append(observation.received_at)

    def worth(self, now: int, looks: Sequence[Look]) -> list[Prospect]:
        """Return the counts."""
        if self.name == "complaints":
            self._complain_of_anything(now)
        last: dict[str, int] = {}
        for look in looks:
            last[look.city] = max(look.at, last.get(look.city, 0))
        since = now - _RECENT_DAYS * DAY_MS
        counts = Counter(
            {city: sum(at >= max(since, last.get(city, 0)) for at in moments) for city, moments in self._came.items()}
        )
        return _prospects(self._places, np.array([float(counts[each.city]) for each in self._places]))

    def _complain_of_anything(self, now: int) -> None:
        weeks = min(1.0, (now - self._noisy_until) / (7 * DAY_MS))
        self._noisy_until = now
        chosen = self._random.choice(
            len(self._places), int(self._random.poisson(_NOISE_A_WEEK * weeks)), p=self._people / self._people.sum()
        )
        for index in chosen.tolist():
            self._came[self._places[index].city].append(now)


def _prospects(places: tuple[Place, ...], worth: FloatArray) -> list[Prospect]:
    return [
        Prospect(place=place, gain=float(gain), explore=0.0, tie=0.0) for place, gain in zip(places, worth, strict=True)
    ]


class Oracle:
    """Knows where diverted goods of attacks without an alert stand: the bound of what visits can find."""

    name, by_lot = "oracle", 0.0

    def __init__(self, places: tuple[Place, ...], standing: Callable[[str, int], int]) -> None:
        self._places, self._standing = places, standing

    def observe(self, observation: Observation) -> None:
        """Do nothing: it knows already."""

    def worth(self, now: int, looks: Sequence[Look]) -> list[Prospect]:
        """Return how many cases of each attack are there, of few that look is enough."""
        del looks
        return _prospects(self._places, np.array([float(self._standing(each.city, now)) for each in self._places]))
