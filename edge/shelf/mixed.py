"""Several products on one load cell: a step is counted where one explanation stands out, and flagged otherwise."""

from collections.abc import Sequence
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct

from edge.shelf.belief import Ints
from edge.shelf.weigh import NEGATIVE_G, Estimate, Guard, Plateaus, Sample, tolerance

_UNIT_SD: Final = 0.02
_NOISE_G: Final = 1.5
_MOST_MOVED: Final = 24
_MOST_SORTS: Final = 3
"""Sorts that one step can move: a customer takes one product, or swaps one for another."""
_A_UNIT: Final = 0.4
_BOTH_WAYS: Final = 3.0
_AHEAD: Final = 3.0
"""By how much the best explanation must lead, in natural logarithms: twenty to one."""
_WORST_FIT: Final = 6.0
_DOUBT: Final = 0.3
_STILL: Final = 0.4


class MixedMemory(Struct, frozen=True):
    """What a restart must not forget: counts, the level they belong to, and grams that nobody could explain."""

    units: list[int]
    level: float
    unexplained_g: float


class Explanation(NamedTuple):
    """How many units of each product were moved (negative: taken), or None where that cannot be told."""

    moved: tuple[int, ...] | None


def explain(
    change_g: float, weights: Sequence[float], units: Sequence[int], expected: Sequence[int] = ()
) -> Explanation:
    """Explain a change of weight by whole units of products that weigh `weights` and of which `units` are there.

    `expected` names refills that scans announced. Of explanations that fit about as well, fewer units and one direction
    are more probable; one that is not clearly ahead of the next is none.
    """
    moves = _moves(change_g, weights, units)
    if not len(moves):
        return Explanation(None)
    grams = np.asarray(weights)
    residual = change_g - moves @ grams
    variance = (np.abs(moves) * (_UNIT_SD * grams) ** 2).sum(axis=1) + _NOISE_G**2
    fit = 0.5 * residual**2 / variance
    both = (moves > 0).any(axis=1) & (moves < 0).any(axis=1)
    cost = fit + 0.5 * np.log(variance) + _A_UNIT * np.abs(moves).sum(axis=1) + _BOTH_WAYS * both
    if any(expected):
        cost = cost - _AHEAD * 2 * (moves == np.asarray(expected)).all(axis=1)
    order = np.argsort(cost)
    best = order[0]
    if fit[best] > _WORST_FIT or (len(order) > 1 and cost[order[1]] - cost[best] < _AHEAD):
        return Explanation(None)
    return Explanation(tuple(int(each) for each in moves[best]))


def _moves(change_g: float, weights: Sequence[float], units: Sequence[int]) -> Ints:
    """Return every combination of whole units that comes near a change, shape (combinations, products)."""
    most = max(1, round(abs(change_g) / min(weights))) + 2
    free = min(most, _MOST_MOVED // max(1, len(weights) - 1))
    spans = [range(-min(there, free), free + 1) for there in units[:-1]]
    last = weights[-1]
    found: list[tuple[int, ...]] = []
    for head in product(*spans):
        left = change_g - sum(k * weight for k, weight in zip(head, weights, strict=False))
        nearest = round(left / last)
        found.extend(
            (*head, k)
            for k in (nearest - 1, nearest, nearest + 1)
            if -units[-1] <= k <= _MOST_MOVED and sum(map(bool, head)) + bool(k) <= _MOST_SORTS
        )
    return np.array(found, dtype=np.int64).reshape(-1, len(weights))


class MixedWeigher:
    """Counts the units of each product on one cell. Feed it as a `Weigher`; it returns an estimate a product."""

    def __init__(
        self, unit_weights_g: Sequence[float], known: Sequence[int | None], memory: MixedMemory | None = None
    ) -> None:
        self._weights = list(unit_weights_g)
        self._known = list(known)
        self._plateaus = Plateaus(tolerance(min(unit_weights_g)))
        self._guard = Guard()
        self._memory = memory
        self._expected = [0] * len(self._weights)
        self._settled = False
        self._below = False

    @property
    def memory(self) -> MixedMemory | None:
        """What to keep for a restart; None before the first plateau."""
        return self._memory

    @property
    def counts(self) -> list[int]:
        """The counts: before the first plateau what a person counted, or nothing."""
        return [each or 0 for each in self._known] if self._memory is None else self._memory.units

    @property
    def announced(self) -> list[int]:
        """How many units of each product are still awaited."""
        return list(self._expected)

    def expect(self, index: int, units: int) -> None:
        """Expect a refill of one of the products; what comes case by case is put up together."""
        self._expected[index] += units

    def interrupt(self) -> None:
        """Forget the plateau: what comes next does not follow it."""
        self._plateaus.clear()
        self._settled = False

    def restart(self) -> None:
        """Keep the counts and begin with the next level: the cell was tared or calibrated anew."""
        self.interrupt()
        if self._memory is not None:
            self._known, self._memory = list(self._memory.units), None

    def feed(self, sample: Sample, now: float) -> list[Estimate] | None:
        """Take a sample in; return what each product's facing holds, None until a weight has stood still, or cannot."""
        if self._guard.resumes(now):
            self.interrupt()
        fault = self._guard.broken(sample, now)
        if fault:
            self._plateaus.clear()
        else:
            level = self._plateaus.feed(sample.grams, now)
            if level is not None:
                self._guard.quiet(now)
                self._below = level < NEGATIVE_G
                if not self._below:
                    self._settle(level)
            fault = "NEGATIVE" if self._below else "UNSTABLE" if self._guard.unstable(now) else ""
        grams = sample.grams if self._plateaus.last is None else round(self._plateaus.last)
        if fault:
            return [Estimate(units, grams, 0.0, fault) for units in self.counts]
        if self._memory is None or not self._settled:
            return None
        confidence = 0.98
        if abs(self._memory.unexplained_g) > 0:
            fault, confidence = "AMBIGUOUS", _DOUBT
        return [Estimate(units, grams, confidence, fault) for units in self._memory.units]

    def _settle(self, level: float) -> None:
        self._settled = True
        memory = self._memory
        if memory is None:
            self._memory = self._first(level)
            return
        change = level - memory.level
        if abs(change) < _STILL * min(self._weights):
            self._memory = MixedMemory(memory.units, level, memory.unexplained_g)
            return
        # What could not be told alone may be told together with what follows.
        owed = memory.unexplained_g + change
        if abs(owed) < _STILL * min(self._weights):
            self._memory = MixedMemory(memory.units, level, 0.0)
            return
        moved = explain(owed, self._weights, memory.units, self._expected).moved
        if moved is None:
            self._memory = MixedMemory(memory.units, level, owed)
            return
        if list(moved) == self._expected:
            self._expected = [0] * len(self._weights)
        self._memory = MixedMemory([a + b for a, b in zip(memory.units, moved, strict=True)], level, 0.0)

    def _first(self, level: float) -> MixedMemory:
        """Begin with what a person counted, or with an empty cell; anything else cannot be told apart."""
        units = [0 if each is None else each for each in self._known]
        weight = sum(each * grams for each, grams in zip(units, self._weights, strict=True))
        owed = level - weight
        return MixedMemory(units, level, 0.0 if abs(owed) < max(_STILL * min(self._weights), 0.02 * weight) else owed)
