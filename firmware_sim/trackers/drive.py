"""A truck on its way: where it is at which moment, in metres along the road that it takes."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from firmware_sim.trackers.roads import Road, joined
from geofence.coordinates import FloatArray

_TOWN_M: Final = 4_000.0
_STRIDE_M: Final = 500.0


class Visit(NamedTuple):
    """When a truck came to a stop and when it went on, in seconds since the epoch."""

    arrived: float
    left: float


@dataclass
class Drive:
    """A journey as it grows: the roads taken, and knots of (seconds since the epoch, metres driven)."""

    rng: np.random.Generator
    now: float
    roads: list[Road] = field(default_factory=list)
    driven: float = 0.0
    knots: list[tuple[float, float]] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.knots.append((self.now, 0.0))

    def stand(self, seconds: float) -> tuple[float, float]:
        """Stand for a while; return from when to when."""
        began = self.now
        self.now += seconds
        self.knots.append((self.now, self.driven))
        return began, self.now

    def visit(self, seconds: float) -> None:
        """Stay at a stop."""
        self.visits.append(Visit(*self.stand(seconds)))

    def take(self, stretch: Road, *, jams: bool = True) -> tuple[float, float]:
        """Drive along a road, slowly near both ends; return from when to when."""
        began, length, gone = self.now, stretch.length_m, 0.0
        while gone < length:
            step = min(_STRIDE_M, length - gone)
            town = min(gone, length - gone) < _TOWN_M
            speed = self.rng.uniform(7.0, 14.0) if town else self.rng.uniform(15.0, 23.0)
            gone += step
            self.now += step / speed
            self.driven += step
            self.knots.append((self.now, self.driven))
            if jams and not town and self.rng.random() < 0.01:  # noqa: PLR2004  every 50 km
                self.stand(self.rng.uniform(60.0, 600.0))
        self.roads.append(stretch)
        return began, self.now

    def sampled(self, every_s: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return times, positions and metres driven at each of the tracker's moments."""
        knots = np.array(self.knots)
        times = np.arange(knots[0, 0], knots[-1, 0], every_s)
        metres = np.interp(times, knots[:, 0], knots[:, 1])
        whole = joined(*self.roads)
        return times, whole.at(metres * whole.length_m / self.driven), metres
