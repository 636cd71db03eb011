"""What the calendar does to demand: weekdays pooled over all series, promotions, and named days such as holidays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from trace_service.replenishment.demand.festivals import PRIORS, WORKING_WEEKEND
from trace_service.replenishment.demand.kernel import Counts, Floats, Mask

WEEKS: Final = 26
_WEEKDAYS: Final = 7
_WORKING: Final = 5
# How many days of evidence what is assumed is worth.
_PRIOR_DAYS: Final = 2.0
_LEAST_FACTOR: Final = 0.1
_GREATEST_FACTOR: Final = 20.0


@dataclass(frozen=True, slots=True)
class Calendar:
    """Factors on demand; where nothing is known, those that are assumed. They are learned from days before a forecast.

    `named` pools all series, `grouped` has the factor of each group of products, shape (groups,).
    """

    weekday: Floats
    named: Mapping[str, float]
    grouped: Mapping[str, Floats]
    promotion: float

    def of(self, days: Sequence[date], names: Mapping[date, str], group: Counts | None = None) -> Floats:
        """Return the factor of each day, without promotions: shape (days,), or (series, days) by each series' group."""
        week = np.array([self._weekday(day, names) for day in days])
        if group is None or not self.grouped:
            pooled: Floats = week * np.array([self.named.get(names.get(day, ""), 1.0) for day in days])
            return pooled
        width = len(next(iter(self.grouped.values())))
        special = np.ones((width, len(days)))
        for at, day in enumerate(days):
            if names.get(day, "") in self.grouped:
                special[:, at] = self.grouped[names[day]]
        found: Floats = (week * special)[group]
        return found

    def _weekday(self, day: date, names: Mapping[date, str]) -> float:
        """Return the weekday's factor, that of an ordinary working day where a weekend is worked."""
        if names.get(day) == WORKING_WEEKEND:
            return float(self.weekday[:_WORKING].mean())
        return float(self.weekday[day.weekday()])


def learn(
    units: Floats, days: Sequence[date], promoted: Mask, names: Mapping[date, str], group: Counts | None = None
) -> Calendar:
    """Learn the factors from history, shapes (series, days); `names` holds days with a name, such as "spring_festival".

    A weekday is held against the mean of the days around it; named days and promotions against what their weekday and
    neighbours suggest, drawn towards what is assumed of them (nothing, for names that are not known) while they were
    seen on few days only. `group` numbers each series' group of products from 0: a group's factor is drawn towards
    that of all.
    """
    plain = without(units, promoted) if promoted.any() else units
    totals = plain.sum(axis=0)
    week = np.array([day.weekday() for day in days])
    special = np.array([day in names for day in days], dtype=bool)
    weekday = _weekdays(totals, week, ~special)
    ordinary = Calendar(weekday, {}, {}, 1.0).of(days, names)
    wanted = {name: np.array([names.get(day) == name for day in days], dtype=bool) for name in set(names.values())}
    named = _named(totals, ordinary, ~special, wanted, PRIORS)
    grouped: dict[str, Floats] = {name: np.array([factor]) for name, factor in named.items()}
    if group is not None and group.any():
        each = [
            _named(plain[group == at].sum(axis=0), ordinary, ~special, wanted, named) for at in range(group.max() + 1)
        ]
        grouped = {name: np.array([own[name] for own in each]) for name in named}
    return Calendar(weekday, named, grouped, _promotion(units, promoted))


def without(units: Floats, left_out: Mask) -> Floats:
    """Return sales with each series' usual ones on the days that are left out, shapes (series, days)."""
    usual = np.where(left_out, 0.0, units).sum(axis=1) / np.maximum((~left_out).sum(axis=1), 1)
    found: Floats = np.where(left_out, usual[:, None], units)
    return found


def _named(
    totals: Floats, ordinary: Floats, usable: Mask, wanted: Mapping[str, Mask], prior: Mapping[str, float]
) -> dict[str, float]:
    """Return each named day's factor on demand, from sales, what they would be on ordinary days, and a prior."""
    level = _around(np.where(usable, totals / ordinary, 0.0), usable)
    return {
        name: _shrunk(float(totals[chosen].sum()), float((level * ordinary)[chosen].sum()), int(chosen.sum()),
                      prior.get(name, 1.0))
        for name, chosen in sorted(wanted.items())
    }  # fmt: skip


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
    """Return the mean of the usable days in the eight weeks around each day: a festival and its eve take three."""
    window = np.ones(57)
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


def _shrunk(seen: float, expected: float, days: int, prior: float = 1.0) -> float:
    if expected <= 0 or days == 0:
        return prior
    worth = expected / days * _PRIOR_DAYS
    return float(np.clip((seen + worth * prior) / (expected + worth), _LEAST_FACTOR, _GREATEST_FACTOR))
