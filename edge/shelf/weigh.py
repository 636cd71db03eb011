"""From samples to units: medians twice a second, plateaus after four quiet seconds, and a count that follows steps.

Drift between plateaus moves the zero and not the count; a step that is no whole number of units is flagged. What a
count rests on is told in `edge.shelf.belief`.
"""

from collections import deque
from dataclasses import fields
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct

from contracts.shelf_registers import RAW_LIMIT
from edge.shelf.belief import RESIDUAL, Belief, begin, drift, reanchor, step
from edge.shelf.product import Steps

MOST_UNITS: Final = 1_000_000
QUIET_SAMPLES: Final = 8
MEDIAN_SECONDS: Final = 0.5
_STUCK_SECONDS: Final = 30.0
_FAILED_SECONDS: Final = 3.0
"""Of a controller that says one of its cells is dead: it does not say which, but that one repeats its last reading."""
_UNSTABLE_SECONDS: Final = 20.0
_GAP_SECONDS: Final = 2.0
_MOST_ANNOUNCED: Final = 24
_SURE: Final = 0.98
_DOUBTFUL: Final = 0.5
_LEAST_TOLERANCE_G: Final = 2.0
_MOST_TOLERANCE_G: Final = 20.0
NEGATIVE_G: Final = -120.0
"""Three times what a zero wanders: below it the tray is gone or the tare wrong, and nothing can be counted."""
_UNSEEN_SD_G: Final = 10.0
"""How far a zero may go while nobody looks: overnight, or while a controller is away."""


class Sample(NamedTuple):
    """One reading: the converter's counts, grams after tare, whether a cell of the controller answers no more."""

    raw: int
    grams: int
    cell_failed: bool = False


class Estimate(NamedTuple):
    """What a channel holds; a `fault` says why the figure should not be believed, as in `contracts.messages.Stock`."""

    units: int
    grams: int
    confidence: float
    fault: str


class _Run(NamedTuple):
    """Announced refills from `first` to before `end`, and the units of all of them."""

    first: int
    end: int
    units: int


class Memory(Struct, frozen=True):
    """What a restart must not forget: the belief of `edge.shelf.belief`, one channel's row of each array."""

    state: dict[str, list[float] | float]

    def belief(self) -> Belief:
        """Return the belief; `KeyError` or `ValueError` for a memory of another version."""
        rows = {name: np.array([value]) for name, value in self.state.items()}
        rows["base"] = rows["base"].astype(np.int64)
        found = Belief(**{each.name: rows[each.name] for each in fields(Belief)})
        if found.log.shape != found.counts().shape or found.zero.shape != found.log.shape:
            raise ValueError("another number of hypotheses")
        return found


class Plateaus:
    """Finds quiet levels in a stream of samples, about four a second; times are monotonic seconds."""

    def __init__(self, tolerance_g: float) -> None:
        self._tolerance = tolerance_g
        self._recent: deque[int] = deque(maxlen=3)
        self._levels: deque[float] = deque(maxlen=QUIET_SAMPLES)
        self._due = float("-inf")

    def clear(self) -> None:
        """Forget what was seen: what comes next does not follow it."""
        self._recent.clear()
        self._levels.clear()

    @property
    def last(self) -> float | None:
        """The newest level, quiet or not."""
        return self._levels[-1] if self._levels else None

    def feed(self, grams: int, now: float) -> float | None:
        """Take a sample in; return the level where it has been quiet."""
        self._recent.append(grams)
        if now < self._due:
            return None
        self._due = max(self._due + MEDIAN_SECONDS, now)
        self._levels.append(median(self._recent))
        if len(self._levels) < QUIET_SAMPLES or max(self._levels) - min(self._levels) > self._tolerance:
            return None
        return sum(self._levels) / QUIET_SAMPLES


class Guard:
    """Watches one converter: a reading that stands at its end, or still, or never still, is worth nothing."""

    def __init__(self) -> None:
        self._last_at = self._quiet_at = self._raw_since = float("-inf")
        self._raw = RAW_LIMIT + 1

    def resumes(self, now: float) -> bool:
        """Note that a sample came; whether it comes after a gap."""
        gap = now - self._last_at > _GAP_SECONDS
        self._last_at = now
        if gap:
            self._quiet_at = self._raw_since = now
        return gap

    def broken(self, sample: Sample, now: float) -> str:
        """Return why the reading itself is worthless; a working converter's noise never stands still."""
        if sample.raw != self._raw:
            self._raw, self._raw_since = sample.raw, now
        if abs(sample.raw) >= RAW_LIMIT:
            fault = "SATURATED"
        elif now - self._raw_since >= (_FAILED_SECONDS if sample.cell_failed else _STUCK_SECONDS):
            fault = "STUCK"
        else:
            return ""
        self._quiet_at = now
        return fault

    def quiet(self, now: float) -> None:
        """Note a plateau."""
        self._quiet_at = now

    def unstable(self, now: float) -> bool:
        """Whether it has not rested for long."""
        return now - self._quiet_at > _UNSTABLE_SECONDS


class Weigher:
    """Counts the units of one channel. Feed it about four samples a second; times are monotonic seconds."""

    def __init__(
        self, unit_weight_g: float, memory: Memory | None = None, known: int | None = None, pack: int = 1
    ) -> None:
        self._known = known
        self._pack = np.array([pack])
        self._nominal = unit_weight_g
        self._belief = memory.belief() if memory else None
        self._plateaus = Plateaus(tolerance(unit_weight_g))
        self._guard = Guard()
        self._steps = Steps(unit_weight_g)
        self._announced: list[int] = []
        self._settled = False
        self._watched = False
        self._below = False

    @property
    def memory(self) -> Memory | None:
        """What to keep for a restart; None before the first plateau."""
        if self._belief is None:
            return None
        return Memory({each.name: getattr(self._belief, each.name)[0].tolist() for each in fields(Belief)})

    @property
    def units(self) -> int | None:
        """The count, whatever it is worth; None before the first plateau."""
        return None if self._belief is None else self._bounded(int(self._belief.units()[0]))

    @property
    def counts(self) -> list[int]:
        """The count as a list: before the first plateau what a person counted, or nothing."""
        return [(self._known or 0) if self.units is None else self.units]

    @property
    def announced(self) -> list[int]:
        """The refills that are still awaited."""
        return list(self._announced)

    @property
    def unit_weight_g(self) -> float:
        """What a unit weighs by all that was seen."""
        return self._nominal if self._belief is None else float(self._belief.weight[0])

    def interrupt(self) -> None:
        """Forget the plateau: what comes next does not follow it."""
        self._plateaus.clear()
        self._settled = self._watched = False

    def restart(self) -> None:
        """Keep the count and begin with the next level: the cell was tared or calibrated anew."""
        self.interrupt()
        self._known, self._belief = self.units, None

    def expect(self, units: int) -> None:
        """Expect a refill: `units` have come in by scan. It settles how many of about that weight were put up.

        What comes in case by case may be put up at once, or bit by bit.
        """
        self._announced = [*self._announced, units][-_MOST_ANNOUNCED:]

    def feed(self, sample: Sample, now: float) -> Estimate | None:
        """Take a sample in and return what the channel holds; None until a weight has stood still, or cannot.

        That goes for the time after a gap too: what happened meanwhile is not known yet.
        """
        if self._guard.resumes(now):
            self.interrupt()
        fault = self._guard.broken(sample, now)
        if fault:
            self._plateaus.clear()
            self._watched = False
        else:
            level = self._plateaus.feed(sample.grams, now)
            if level is not None:
                self._guard.quiet(now)
                self._below = level < NEGATIVE_G
                if not self._below:
                    self._settle(level)
            fault = "NEGATIVE" if self._below else "UNSTABLE" if self._guard.unstable(now) else ""
        return self._estimate(sample, fault)

    def _estimate(self, sample: Sample, fault: str) -> Estimate | None:
        grams = sample.grams if self._plateaus.last is None else round(self._plateaus.last)
        if fault:
            return Estimate(self.counts[0], grams, 0.0, fault)
        if self._belief is None or not self._settled:
            return None
        units = int(self._belief.units()[0])
        confidence = min(float(self._belief.confidence()[0]), _SURE)
        if units > MOST_UNITS:
            confidence = 0.0
        if self._steps.are_of_another:
            return Estimate(self._bounded(units), grams, 0.0, "PLANOGRAM")
        doubt = "UNIT_WEIGHT" if confidence < _DOUBTFUL else ""
        return Estimate(self._bounded(units), grams, round(confidence, 2), doubt)

    def _settle(self, grams: float) -> None:
        """Let the belief follow a plateau."""
        level = np.array([grams])
        if self._belief is None:
            known = None if self._known is None else np.array([self._known])
            self._belief = begin(level, np.array([self._nominal]), known)
        elif abs(grams - float(self._belief.level[0])) < RESIDUAL * float(self._belief.weight[0]):
            drift(self._belief, level)
            reanchor(self._belief)
        else:
            gap = np.array([0.0 if self._watched else _UNSEEN_SD_G])
            before = int(self._belief.units()[0])
            change = grams - float(self._belief.level[0])
            self._steps.add(change)
            awaited = self._awaited(change / self.unit_weight_g)
            step(self._belief, level, gap, np.array([awaited.units]), self._pack)
            if awaited.units and int(self._belief.units()[0]) - before == awaited.units:
                del self._announced[awaited.first : awaited.end]
        self._settled = self._watched = True

    def _awaited(self, moved: float) -> _Run:
        """Return the announced refills, one after another, that together come nearest to what was moved."""
        ends = range(1, len(self._announced) + 1)
        runs = (_Run(first, end, sum(self._announced[first:end])) for end in ends for first in range(end))
        return min(runs, key=lambda run: abs(run.units - moved), default=_Run(0, 0, 0))

    @staticmethod
    def _bounded(units: int) -> int:
        return max(0, min(units, MOST_UNITS))


def tolerance(unit_weight_g: float) -> float:
    """Return by how many grams the levels of a plateau may differ: a tenth of a unit, 2 to 20 g."""
    return max(_LEAST_TOLERANCE_G, min(unit_weight_g / 10, _MOST_TOLERANCE_G))
