"""What the calendar does to demand: weekdays pooled over all series, promotions, and named days such as holidays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from trace_service.replenishment.kernel import Floats, Mask

WEEKS: Final = 26
_WEEKDAYS: Final = 7
# How many days of evidence "no effect" is worth.
_PRIOR_DAYS: Final = 2.0
_LEAST_FACTOR: Final = 0.1
_GREATEST_FACTOR: Final = 20.0


@dataclass(frozen=True, slots=True)
class Calendar:
    """Factors on demand, 1 where nothing is known; they are learned from the days before a forecast only."""

    weekday: Floats
    named: Mapping[str, float]
    promotion: float

    def of(self, days: tuple[date, ...], names: Mapping[date, str]) -> Floats:
        """Return the factor of each day, without promotions, shape (days,)."""
        return np.array([self.weekday[day.weekday()] * self.named.get(names.get(day, ""), 1.0) for day in days])


def learn(units: Floats, days: tuple[date, ...], promoted: Mask, names: Mapping[date, str]) -> Calendar:
    """Learn the factors from history, shapes (series, days); `names` holds days with a name, such as "spring festival".

    A weekday is held against the mean of the days around it; named days and promotions against what their weekday and
    neighbours suggest, drawn towards no effect while they were seen on few days only.
    """
    plain = _without(units, promoted) if promoted.any() else units
    totals = plain.sum(axis=0)
    week = np.array([day.weekday() for day in days])
    special = np.array([day in names for day in days], dtype=bool)
    weekday = _weekdays(totals, week, ~special)
    level = _around(np.where(special, 0.0, totals / weekday[week]), ~special)
    named = {}
    for name in sorted(set(names.values())):
        chosen = np.array([names.get(day) == name for day in days], dtype=bool)
        expected = float((level * weekday[week])[chosen].sum())
        named[name] = _shrunk(float(totals[chosen].sum()), expected, int(chosen.sum()))
    return Calendar(weekday, named, _promotion(units, promoted))


def _without(units: Floats, promoted: Mask) -> Floats:
    """Return sales with each series' usual ones on its promoted days."""
    usual = np.where(promoted, 0.0, units).sum(axis=1) / np.maximum((~promoted).sum(axis=1), 1)
    found: Floats = np.where(promoted, usual[:, None], units)
    return found


def _weekdays(totals: Floats, week: Floats, usable: Mask) -> Floats:
    recent = np.zeros(len(totals), dtype=bool)
    recent[-WEEKS * _WEEKDAYS :] = True
    usable = usable & recent
    factor = np.ones(_WEEKDAYS)
    mean = totals[usable].mean() if usable.any() else 0.0
    if mean <= 0:
        return factor
    for each in range(_WEEKDAYS):
        own = totals[usable & (week == each)]
        factor[each] = (own.sum() + _PRIOR_DAYS * mean) / ((len(own) + _PRIOR_DAYS) * mean)
    return np.clip(factor, _LEAST_FACTOR, _GREATEST_FACTOR)


def _around(values: Floats, usable: Mask) -> Floats:
    """Return the mean of the usable days in the four weeks around each day."""
    window = np.ones(29)
    mass = np.convolve(usable.astype(float), window, mode="same")
    sums = np.convolve(np.where(usable, values, 0.0), window, mode="same")
    # `same` returns the longer of both; short histories have fewer days than the window.
    start = max(0, (len(sums) - len(values)) // 2)
    sums, mass = sums[start : start + len(values)], mass[start : start + len(values)]
    found: Floats = np.divide(sums, mass, out=np.zeros_like(sums), where=mass > 0)
    return found


def _promotion(units: Floats, promoted: Mask) -> float:
    """Return by how much promoted days outsell the same series' other days, pooled."""
    if not promoted.any():
        return 1.0
    series = promoted.any(axis=1)
    own, flag = units[series], promoted[series]
    plain = ~flag
    base = np.where(plain, own, 0).sum(axis=1) / np.maximum(plain.sum(axis=1), 1)
    expected = float((base * flag.sum(axis=1)).sum())
    return _shrunk(float(own[flag].sum()), expected, int(flag.sum()))


def _shrunk(seen: float, expected: float, days: int) -> float:
    if expected <= 0 or days == 0:
        return 1.0
    worth = expected / days * _PRIOR_DAYS
    return float(np.clip((seen + worth) / (expected + worth), _LEAST_FACTOR, _GREATEST_FACTOR))
