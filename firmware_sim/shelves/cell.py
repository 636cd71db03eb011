"""One load cell and the goods on it: what a converter would read, with noise, drift, creep and settling."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, exp, pi, sqrt
from typing import Final

import numpy as np

COUNTS_PER_GRAM: Final = 150
"""The converter's gain: a 24-bit converter then ends at ± 56 kg."""
TRAY_G: Final = 850.0
"""What stands on a cell when its channel is empty."""
SPREAD: Final = 0.003
"""Standard deviation of a unit's weight, relative."""
NOISE_G: Final = 0.3
CREEP: Final = 0.0003
_CREEP_SECONDS: Final = 600.0
_DRIFT_G_PER_ROOT_HOUR: Final = 2.0
_PER_DEGREE_G: Final = 0.5
_NEUTRAL_C: Final = 21.0
_RING_HZ: Final = 2.5
_RING_SECONDS: Final = 0.3
_RING_OVER_SECONDS: Final = 3.0
_PUSH_G: Final = 60.0


@dataclass(slots=True)
class _Ring:
    """How a pan swings after a change; `amplitude` is what is missing from the reading at first, grams."""

    amplitude: float
    age: float = 0.0

    def value(self) -> float:
        return self.amplitude * exp(-self.age / _RING_SECONDS) * cos(2 * pi * _RING_HZ * self.age)


class LoadCell:
    """A cell under `units`, the weight of each in grams; `zero_g` is how far the cell has drifted."""

    def __init__(self, units: Sequence[float], random: np.random.Generator, *, zero_g: float = 0.0) -> None:
        self.units = list(units)
        self.zero_g = zero_g
        self._random = random
        self._creep = CREEP * self.load_g
        self._per_degree = float(random.normal(0, _PER_DEGREE_G))
        self._rings: list[_Ring] = []

    @property
    def load_g(self) -> float:
        """The true weight on the cell, tray included."""
        return TRAY_G + sum(self.units)

    def take(self) -> float:
        """Remove one unit and return its weight; there must be one."""
        weight = self.units.pop(int(self._random.integers(len(self.units))))
        self._disturb(-weight)
        return weight

    def put(self, weights: Sequence[float]) -> None:
        """Put units back or add new ones."""
        self.units.extend(weights)
        self._disturb(sum(weights))

    def advance(self, seconds: float) -> None:
        """Let time pass: drift, creep and swinging go on."""
        self.zero_g += float(self._random.normal(0, _DRIFT_G_PER_ROOT_HOUR * sqrt(seconds / 3600)))
        self._creep += (CREEP * self.load_g - self._creep) * min(seconds / _CREEP_SECONDS, 1.0)
        for ring in self._rings:
            ring.age += seconds
        self._rings = [ring for ring in self._rings if ring.age < _RING_OVER_SECONDS]

    def measure(self, temperature_c: float) -> float:
        """Return grams as the cell shows them now, tray included."""
        swing = sum(ring.value() for ring in self._rings)
        warm = self._per_degree * (temperature_c - _NEUTRAL_C)
        return self.load_g + self.zero_g + self._creep + warm + swing + float(self._random.normal(0, NOISE_G))

    def _disturb(self, change_g: float) -> None:
        self._rings.append(_Ring(-change_g + float(self._random.normal(0, _PUSH_G))))


def weigh_units(count: int, unit_weight_g: float, random: np.random.Generator) -> list[float]:
    """Return the weights of `count` fresh units, grams."""
    return [round(float(weight), 2) for weight in random.normal(unit_weight_g, SPREAD * unit_weight_g, count)]
