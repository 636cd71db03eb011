"""What stands on load cells, as a belief over counts: steps count, zeros are watched, empty shelves tell.

A level is n·w + z + d: n units of mean weight w, the cell's drifted zero z, and the units' own deviations d. Steps give
n; d shrinks as units leave, so that an error made at a large refill shows itself once few are left; a zero that would
have to lie far out speaks against a count. Each hypothesis carries its z as a Gaussian (a bank of Kalman filters).

Everything works on arrays of channels, shape (channels,) or (channels, hypotheses): a device runs it with one channel,
the benchmark with thousands.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HYPOTHESES: Final = 9
_MIDDLE: Final = HYPOTHESES // 2
_OFFSETS: Final[Ints] = np.arange(HYPOTHESES, dtype=np.int64)
ZERO_SD_G: Final = 15.0
"""How far the zero of a cell lies from its tare when it is first looked at, one standard deviation."""
WANDERING_SD_G: Final = 40.0
"""How far it wanders in weeks of drift and temperature."""
NOISE_SD_G: Final = 0.5
"""Of the difference of two plateaus."""
_CREEP: Final = 0.003
_UNIT_SD: Final = 0.02
_WEIGHT_SD: Final = 0.01
_LEAST_WEIGHT_SD: Final = 0.002
_BATCH_SD: Final = 0.005
"""By how much the mean weight of a refill differs from that of what stood there, relative."""
_LEAST_UNIT_SD: Final = 0.004
_MOST_UNIT_SD: Final = 0.15
_PRIOR_UNITS: Final = 3.0
_FEW: Final = 3
"""Steps of at most so many units teach how much units differ."""
_MOST_UNITS_LEARNT: Final = 200.0
_LEARNING_LIMIT: Final = 0.1
_OUTLIER: Final = 1e-7
_STRANGE: Final = 1e-3
"""How often something else than whole units is moved; it weighs as much as some number of them, ± `_WIDE` units."""
_WIDE: Final = 0.25
_WHOLE_PACKS: Final = 0.8
"""Share of refills that come in whole packs where a product has any."""
_WORST: Final = -40.0
_REACH: Final = 2
_REFILL: Final = 5
"""More units than that put up at once are a refill."""
RESIDUAL: Final = 0.25
RESIDUAL_A_UNIT: Final = 0.02
_CLEARLY_STRANGE: Final = 4.0
"""Standard deviations."""
_DECISIVE: Final = 6.0
_HINT: Final = 9.0


@dataclass(slots=True)
class Belief:
    """The state of channels. `base` is the count of the first hypothesis; `level` and `zero` are grams."""

    base: Ints
    log: Floats
    zero: Floats
    zero_var: Floats
    level: Floats
    nominal: Floats
    weight: Floats
    weight_var: Floats
    unit_var: Floats
    learnt: Floats
    foreign: Floats

    def counts(self) -> Ints:
        """Return every hypothesis' count, shape (channels, hypotheses)."""
        return self.base[:, None] + _OFFSETS

    def units(self) -> Ints:
        """Return the most probable counts."""
        best: Ints = self.base + np.argmax(self._score(), axis=1)
        return best

    def confidence(self) -> Floats:
        """Return the probability of the most probable counts, lower where a step was no whole number of units."""
        score = self._score()
        weights = np.exp(score - score.max(axis=1, keepdims=True))
        sure: Floats = 1.0 / weights.sum(axis=1)
        strange = np.abs(self.foreign) > 0
        return np.where(strange, np.minimum(sure, 0.4), sure)

    def take(self, rows: Ints) -> "Belief":
        """Return a copy of some channels."""
        return Belief(*(getattr(self, each.name)[rows] for each in fields(self)))

    def put(self, rows: Ints, other: "Belief") -> None:
        """Replace some channels."""
        for each in fields(self):
            getattr(self, each.name)[rows] = getattr(other, each.name)

    def _score(self) -> Floats:
        # One look at the zero, with Student's t of three degrees: drift may wander, but it does not jump by a unit.
        score: Floats = self.log - 2 * np.log1p(self.zero**2 / (3 * WANDERING_SD_G**2))
        return score


def begin(level: Floats, nominal: Floats, known: Ints | None = None) -> Belief:
    """Return the belief of channels that show `level` grams first; `known` are counts that a person made, if any."""
    unit_var = (_UNIT_SD * nominal) ** 2
    shape = (len(level), HYPOTHESES)
    belief = Belief(
        base=_by_level(level, nominal) if known is None else known - _MIDDLE,
        log=np.zeros(shape),
        zero=np.zeros(shape),
        zero_var=np.zeros(shape),
        level=level.copy(),
        nominal=nominal.copy(),
        weight=nominal.copy(),
        weight_var=(_WEIGHT_SD * nominal) ** 2,
        unit_var=unit_var,
        learnt=np.full(len(level), _PRIOR_UNITS),
        foreign=np.zeros(len(level)),
    )
    _fresh(belief, np.ones(shape, bool), log=np.ones(len(level), bool))
    if known is not None:
        belief.log = np.where(belief.counts() == known[:, None], belief.log, _WORST)
        # A zero so far out that no drift explains it: they were counted wrong, or the cell was tared with goods on it.
        zero = level - known * nominal
        spread = np.sqrt(WANDERING_SD_G**2 + known * unit_var + (known * _WEIGHT_SD * nominal) ** 2)
        belief.foreign = np.where(np.abs(zero) > np.maximum(_CLEARLY_STRANGE * spread, RESIDUAL * nominal), zero, 0.0)
    return belief


def drift(belief: Belief, level: Floats) -> None:
    """Follow levels at which no unit was moved: the zero went along."""
    belief.zero += (level - belief.level)[:, None]
    belief.level[:] = level


def step(belief: Belief, level: Floats, gap_sd: Floats, expected: Ints, pack: Ints) -> None:
    """Take in levels after something was moved.

    `gap_sd` is how many grams the zero may have moved unseen in between (0 while watching), `expected` the units of a
    refill that scans announce, 0 for none, `pack` how many units refills mostly come in multiples of, 1 for none.
    """
    delta = level - belief.level
    nearest = np.rint(delta / belief.weight).astype(np.int64)
    noise = NOISE_SD_G**2 + (_CREEP * delta) ** 2 + gap_sd**2
    count, before = belief.counts(), belief.log
    best = np.full(before.shape, -np.inf)
    zero, zero_var, moves = belief.zero.copy(), belief.zero_var.copy(), np.zeros_like(count)
    for shift in range(-_REACH, _REACH + 1):
        moved = nearest + shift
        fit, new_zero, new_var = _moved(belief, count, moved, level, noise)
        hint = np.where((expected > 0) & (moved == expected), _HINT, _packed(moved, pack))
        score = _shifted(before + fit + hint[:, None], shift, -np.inf)
        better = score > best
        best = np.where(better, score, best)
        zero = np.where(better, _shifted(new_zero, shift, 0.0), zero)
        zero_var = np.where(better, _shifted(new_var, shift, 0.0), zero_var)
        moves = np.where(better, moved[:, None], moves)
    top = best.max(axis=1, keepdims=True)
    lost = ~np.isfinite(top[:, 0])
    top[lost] = 0.0
    belief.base = np.where(lost, _by_level(level, belief.weight), belief.base + nearest)
    belief.log = np.where(np.isfinite(best), np.maximum(best - top, _WORST), _WORST)
    belief.zero, belief.zero_var = zero, zero_var
    belief.level = level.copy()
    _fresh(belief, ~np.isfinite(best), log=lost)
    _notice(belief, delta, np.take_along_axis(moves, np.argmax(belief.log, axis=1)[:, None], 1)[:, 0], noise)
    # More was taken than there was: what is known begins anew, and stays doubtful until the weight agrees.
    belief.foreign = np.where(lost, belief.weight, belief.foreign)
    _recentre(belief)
    reanchor(belief)


def reanchor(belief: Belief) -> None:
    """Forget doubts where weighing alone settles the count: units so heavy that drift and spread cannot hide one."""
    count = belief.units()
    spread = np.sqrt(ZERO_SD_G**2 + np.maximum(count, 0) * belief.unit_var)
    agrees = np.abs(belief.level - count * belief.weight) <= RESIDUAL * belief.weight
    belief.foreign = np.where(agrees & (_DECISIVE * spread < belief.weight), 0.0, belief.foreign)


def _by_level(level: Floats, weight: Floats) -> Ints:
    return np.maximum(np.rint(level / weight).astype(np.int64), 0) - _MIDDLE


def _moved(belief: Belief, count: Ints, moved: Ints, level: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how well `moved` units explain the step under each hypothesis, and its zero's mean and variance then."""
    weight, unit_var = belief.weight[:, None], belief.unit_var[:, None]
    change, noise = (level - belief.level)[:, None], noise[:, None]
    k = moved[:, None]
    deviation = belief.level[:, None] - count * weight - belief.zero
    size = np.abs(k)
    there = np.maximum(count, 1)
    share = np.where(k < 0, np.minimum(size / there, 1.0), 0.0)
    # Of units on the shelf, those taken share its deviation; added ones bring their own, and are of another batch.
    batch_var = belief.weight_var[:, None] + (_BATCH_SD * weight) ** 2
    spread = np.where(k < 0, unit_var * size * (1 - share), unit_var * size + k**2 * batch_var)
    expected = deviation * share
    surprise = np.where(k < 0, -change - size * weight, change - k * weight) - expected
    total = belief.zero_var * share**2 + spread + noise
    # How much units differ is learnt from few at first: Student's t, not Gauss, or an odd unit would upset the count.
    freedom = belief.learnt[:, None]
    fit = -0.5 * ((freedom + 1) * np.log1p(surprise**2 / (freedom * total)) + np.log(2 * np.pi * total))
    wide = total + (_WIDE * weight) ** 2
    outlier = np.log(_STRANGE) - 0.5 * (surprise**2 / wide + np.log(2 * np.pi * wide))
    outlier = np.maximum(outlier, np.log(_OUTLIER / weight))
    covariance = np.where(k < 0, belief.zero_var * share * (1 - share) - spread, spread)
    left = deviation * (1 - share) + covariance / total * surprise
    left_var = belief.zero_var * (1 - share) ** 2 + spread - covariance**2 / total
    strange = fit < outlier
    left = np.where(strange, deviation * (1 - share), left)
    zero = level[:, None] - (count + k) * weight - left
    possible = (count + k >= 0) & (count >= 0)
    return np.where(possible, np.maximum(fit, outlier), -np.inf), zero, np.maximum(left_var, 0.0)


def _packed(moved: Ints, pack: Ints) -> Floats:
    """Return by how much a refill of whole packs is more probable than another, natural logarithms."""
    lead = np.log(_WHOLE_PACKS / (1 - _WHOLE_PACKS) * np.maximum(pack - 1, 1))
    return np.where((pack > 1) & (moved > _REFILL) & (moved % pack == 0), lead, 0.0)


def _notice(belief: Belief, delta: Floats, moved: Ints, noise: Floats) -> None:
    """Learn the units' weight and its spread from clear steps, and keep account of weight that is no whole unit."""
    residual = delta - moved * belief.weight
    size = np.abs(moved)
    allowed = belief.weight * (RESIDUAL + RESIDUAL_A_UNIT * size)
    spread = np.sqrt(size * belief.unit_var + size**2 * belief.weight_var + noise)
    strange = (np.abs(residual) > allowed) & (np.abs(residual) > _CLEARLY_STRANGE * spread)
    foreign = np.where(strange, belief.foreign + residual, belief.foreign)
    belief.foreign = np.where(np.abs(foreign) < RESIDUAL * belief.weight, 0.0, foreign)
    clear = ~strange & (size > 0) & (belief.confidence() > 0.9)  # noqa: PLR2004  probability
    seen = np.abs(delta) / np.maximum(size, 1)
    seen_var = (belief.unit_var + noise / np.maximum(size, 1)) / np.maximum(size, 1)
    gain = np.where(clear, belief.weight_var / (belief.weight_var + seen_var), 0.0)
    few = clear & (size <= _FEW)
    square = np.maximum(residual**2 - noise, 0.0) / np.maximum(size, 1)
    learnt = np.minimum(belief.learnt, _MOST_UNITS_LEARNT)
    unit_var = np.where(few, (belief.unit_var * learnt + square) / (learnt + 1), belief.unit_var)
    least, most = _LEAST_UNIT_SD * belief.nominal, _MOST_UNIT_SD * belief.nominal
    belief.unit_var = np.clip(unit_var, least**2, most**2)
    belief.learnt = np.where(few, learnt + 1, belief.learnt)
    weight = belief.weight + gain * (seen - belief.weight)
    span = _LEARNING_LIMIT * belief.nominal
    belief.weight = np.clip(weight, belief.nominal - span, belief.nominal + span)
    fresh = np.where(moved > _REFILL, (_BATCH_SD * belief.nominal) ** 2, 0.0)
    belief.weight_var = np.maximum(belief.weight_var * (1 - gain) + fresh, (_LEAST_WEIGHT_SD * belief.nominal) ** 2)


def _recentre(belief: Belief) -> None:
    """Bring the best hypothesis back to the middle; new neighbours begin with what the level alone says."""
    shifts = np.argmax(belief.log, axis=1) - _MIDDLE
    if not shifts.any():
        return
    wanted = _OFFSETS + shifts[:, None]
    inside = (wanted >= 0) & (wanted < HYPOTHESES)
    source = np.clip(wanted, 0, HYPOTHESES - 1)
    belief.log = np.where(inside, np.take_along_axis(belief.log, source, 1), _WORST)
    belief.zero = np.take_along_axis(belief.zero, source, 1)
    belief.zero_var = np.take_along_axis(belief.zero_var, source, 1)
    belief.base = belief.base + shifts
    _fresh(belief, ~inside, log=np.zeros(len(shifts), bool))


def _fresh(belief: Belief, where: NDArray[np.bool_], *, log: NDArray[np.bool_]) -> None:
    """Give hypotheses without a past what the level alone says of their zero; of channels in `log`, of them too."""
    count = belief.counts()
    own = np.maximum(count, 0) * belief.unit_var[:, None] + count**2 * belief.weight_var[:, None] + NOISE_SD_G**2
    seen = belief.level[:, None] - count * belief.weight[:, None]
    total = ZERO_SD_G**2 + own
    zero = seen * ZERO_SD_G**2 / total
    belief.zero = np.where(where, zero, belief.zero)
    belief.zero_var = np.where(where, ZERO_SD_G**2 * own / total, belief.zero_var)
    fit = np.maximum(-0.5 * (seen**2 / total + np.log(total)), _WORST)
    # However odd the level is, the count nearest to it is the one to begin with.
    fit[:, _MIDDLE] = np.maximum(fit[:, _MIDDLE], _WORST / 2)
    belief.log = np.where(where & log[:, None], fit, belief.log)
    belief.log = np.where(count < 0, _WORST, belief.log)


def _shifted(values: Floats, by: int, fill: float) -> Floats:
    """Move values along the hypotheses: what came from `h` stands at `h + by`."""
    if not by:
        return values
    moved = np.full_like(values, fill)
    if by > 0:
        moved[:, by:] = values[:, :-by]
    else:
        moved[:, :by] = values[:, -by:]
    return moved
