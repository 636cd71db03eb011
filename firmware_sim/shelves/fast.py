"""Thousands of load cells at once, from plateau to plateau: the physics of `cell`, without the samples in between."""

from dataclasses import dataclass
from math import pi
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware_sim.shelves.cell import CREEP, NOISE_G

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PLATEAU_SAMPLES: Final = 8
_CREEP_HOURS: Final = 1 / 6
_SWING_C: Final = 3.0
_WEATHER_C: Final = 1.0
_WEATHER_HOURS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What stands on a cell: a unit's weight in grams, its relative spread, and how many fit."""

    unit_g: float
    spread: float
    capacity: int


class CellFleet:
    """`channels` cells of every kind, each with its own drift; weights of all units are kept one by one."""

    def __init__(
        self, kinds: list[Kind], channels: int, random: np.random.Generator, *, drift_g_per_c: float, walk_g: float
    ) -> None:
        self._random = random
        self.kind = np.repeat(np.arange(len(kinds)), channels)
        self.nominal = np.array([kinds[k].unit_g for k in self.kind])
        self.spread = np.array([kinds[k].spread for k in self.kind])
        self.capacity = np.array([kinds[k].capacity for k in self.kind])
        size = len(self.kind)
        self._product = self.nominal * (1 + random.normal(0, 0.01, size))
        self._per_degree = drift_g_per_c * random.choice([-1.0, 1.0], size)
        self._walk = walk_g
        self._zero = random.normal(0, 3.0, size)
        self._weather = np.zeros(size)
        self._phase = random.uniform(0, 2 * pi, size)
        self._hour = 0.0
        self._units = np.zeros((size, int(self.capacity.max())))
        self.count = np.zeros(size, dtype=np.int64)
        self._creep = np.zeros(size)

    def advance(self, hours: float) -> None:
        """Let time pass: the day's warmth, the weather, the zero's walk and the creep."""
        size = len(self.kind)
        self._hour += hours
        self._zero += self._random.normal(0, self._walk * hours**0.5, size)
        fade = np.exp(-hours / _WEATHER_HOURS)
        self._weather = self._weather * fade + self._random.normal(0, _WEATHER_C * (1 - fade**2) ** 0.5, size)
        self._creep += (CREEP * self._load() - self._creep) * min(1.0, hours / _CREEP_HOURS)

    def take(self, rows: Ints, wanted: Ints) -> None:
        """Let customers take units, drawn by chance from those that stand there."""
        for row, number in zip(rows.tolist(), wanted.tolist(), strict=True):
            there = int(self.count[row])
            for _ in range(min(number, there)):
                chosen = int(self._random.integers(there))
                there -= 1
                self._units[row, chosen] = self._units[row, there]
                self._units[row, there] = 0.0
            self.count[row] = there

    def put(self, rows: Ints, wanted: Ints) -> None:
        """Fill up with units of a new batch, whose mean is half a percent from the product's."""
        for row, number in zip(rows.tolist(), wanted.tolist(), strict=True):
            batch = self._product[row] * (1 + self._random.normal(0, 0.005))
            there = int(self.count[row])
            fresh = self._random.normal(batch, self.spread[row] * batch, number)
            self._units[row, there : there + number] = fresh
            self.count[row] += number

    def levels(self) -> Floats:
        """Return what a plateau of each cell shows, grams after tare."""
        warm = self._per_degree * (_SWING_C * np.sin(2 * pi * self._hour / 24 + self._phase) + self._weather)
        noise = self._random.normal(0, NOISE_G / _PLATEAU_SAMPLES**0.5, len(self.kind))
        shown: Floats = self._load() + self._zero + warm + self._creep + noise
        return shown

    def _load(self) -> Floats:
        total: Floats = self._units.sum(axis=1)
        return total
