"""From weight to units: steps between quiet plateaus are counted, since a load cell drifts but its steps do not.

Drift between plateaus moves the reference and not the count; a step that is no whole number of units is flagged.
"""

from collections import deque
from statistics import median
from typing import Final, NamedTuple

from msgspec import Struct

from contracts.shelf_registers import RAW_LIMIT

MOST_UNITS: Final = 1_000_000
_SMOOTHED: Final = 3
_QUIET_SAMPLES: Final = 8
_STUCK_SECONDS: Final = 30.0
_UNSTABLE_SECONDS: Final = 20.0
_GAP_SECONDS: Final = 2.0
_SURE: Final = 0.98
_DOUBTFUL: Final = 0.5
_RESIDUAL: Final = 0.25
_RESIDUAL_A_UNIT: Final = 0.02
_LEARNING_STEPS: Final = 20
_LEARNING_LIMIT: Final = 0.1
_LEAST_TOLERANCE_G: Final = 2.0
_MOST_TOLERANCE_G: Final = 20.0


class Sample(NamedTuple):
    """One reading of a channel: the converter's counts, grams after tare, and the controller's own complaint."""

    raw: int
    grams: int
    cell_failed: bool = False


class Estimate(NamedTuple):
    """What a channel holds; a `fault` says why the figure should not be believed, as in `contracts.messages.Stock`."""

    units: int
    grams: int
    confidence: float
    fault: str


class Memory(Struct, frozen=True):
    """What a restart must not forget: the count, the weight it belongs to, and the learnt unit weight, grams."""

    units: int
    reference_g: float
    unit_weight_g: float
    confidence: float


class Weigher:
    """Counts the units of one channel. Feed it about four samples a second; times are monotonic seconds."""

    def __init__(self, unit_weight_g: float, memory: Memory | None = None) -> None:
        self._nominal = unit_weight_g
        self._memory = memory
        self._recent: deque[int] = deque(maxlen=_SMOOTHED)
        self._levels: deque[float] = deque(maxlen=_QUIET_SAMPLES)
        self._last_at = self._quiet_at = self._raw_since = float("-inf")
        self._raw = RAW_LIMIT + 1
        self._settled = False

    @property
    def memory(self) -> Memory | None:
        """What to keep for a restart; None before the first plateau."""
        return self._memory

    def feed(self, sample: Sample, now: float) -> Estimate | None:
        """Take a sample in and return what the channel holds; None until a weight has stood still.

        That goes for the time after a gap too: what happened meanwhile is not known yet.
        """
        if now - self._last_at > _GAP_SECONDS:
            self._recent.clear()
            self._levels.clear()
            self._quiet_at = self._raw_since = now
            self._settled = False
        self._last_at = now
        if sample.raw != self._raw:
            self._raw, self._raw_since = sample.raw, now
        fault = self._broken(sample, now)
        if not fault:
            self._smooth(sample, now)
            fault = "UNSTABLE" if now - self._quiet_at > _UNSTABLE_SECONDS else ""
        if self._memory is None or not (self._settled or fault):
            return None
        grams = round(self._levels[-1]) if self._levels else sample.grams
        if fault:
            return Estimate(self._memory.units, grams, 0.0, fault)
        doubt = "UNIT_WEIGHT" if self._memory.confidence < _DOUBTFUL else ""
        return Estimate(self._memory.units, grams, round(self._memory.confidence, 2), doubt)

    def _broken(self, sample: Sample, now: float) -> str:
        """Return why the reading itself is worthless; a working converter's noise never stands still."""
        fault = ""
        if abs(sample.raw) >= RAW_LIMIT:
            fault = "SATURATED"
        elif sample.cell_failed or now - self._raw_since > _STUCK_SECONDS:
            fault = "STUCK"
        if fault:
            self._recent.clear()
            self._levels.clear()
            self._quiet_at = now
        return fault

    def _smooth(self, sample: Sample, now: float) -> None:
        self._recent.append(sample.grams)
        if len(self._recent) == _SMOOTHED:
            self._levels.append(median(self._recent))
        if len(self._levels) == _QUIET_SAMPLES and max(self._levels) - min(self._levels) <= self._tolerance:
            self._quiet_at = now
            self._settled = True
            self._memory = self._step(median(self._levels))

    @property
    def _tolerance(self) -> float:
        return max(_LEAST_TOLERANCE_G, min(self._nominal / 10, _MOST_TOLERANCE_G))

    def _step(self, level: float) -> Memory:
        """Return what a plateau at `level` grams makes of what was known."""
        if self._memory is None:
            units = max(round(level / self._nominal), 0)
            return Memory(units, level, self._nominal, _belief(level / self._nominal, units))
        known = self._memory
        steps = (level - known.reference_g) / known.unit_weight_g
        count = round(steps)
        unit_weight = known.unit_weight_g
        belief = _belief(steps, count)
        confidence = min(known.confidence, belief)
        if count and belief > _DOUBTFUL:
            unit_weight = self._learn(unit_weight, (level - known.reference_g) / count, abs(count))
        units = known.units + count
        if not 0 <= units <= MOST_UNITS:
            units, confidence = max(0, min(units, MOST_UNITS)), 0.0
        if abs(level / unit_weight - units) <= _RESIDUAL:
            confidence = max(confidence, min(_SURE, _belief(level / unit_weight, units)))
        return Memory(units, level, unit_weight, confidence)

    def _learn(self, believed: float, seen: float, steps: int) -> float:
        """Move the unit weight towards what a step showed, never further than a tenth from what was configured."""
        learnt = believed + (seen - believed) * steps / (steps + _LEARNING_STEPS)
        span = self._nominal * _LEARNING_LIMIT
        return max(self._nominal - span, min(learnt, self._nominal + span))


def _belief(steps: float, count: int) -> float:
    """Return 1 for a whole number of units, 0.5 where the residual reaches .25 + .02 a unit, and 0 from twice that."""
    return max(0.0, 1.0 - 0.5 * abs(steps - count) / (_RESIDUAL + _RESIDUAL_A_UNIT * abs(count)))
