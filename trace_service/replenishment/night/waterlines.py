"""Water lines of every series, and the dated orders that follow from them over the coming days."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trace_service.replenishment.demand.kernel import Counts, Floats, quantiles

PRIOR_LEAD_SHARE: Final = 0.3
_LEAD_PRIOR_COUNT: Final = 3.0
_MIDDLE: Final = 0.5
_EARLY: Final = 0.9
_FAR: Final = 4.0
"""Where so many times the maximum is sold before goods expire, their last day bounds nothing."""


@dataclass(frozen=True, slots=True)
class LeadTime:
    """Days from order to arrival: mean and variance, arrays of shape (series,)."""

    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand an ordinary day of every series, its ratio of variance to mean, and the chance with which it is to be met.

    `ahead` are the factors of the coming days, shape (series, days), for weekdays, festivals and promotions; beyond
    them, and where there are none, days are ordinary.
    """

    mean: Floats
    ratio: Floats
    service: Floats
    ahead: Floats | None = None

    def over(self, days: Floats, variance: Floats | float = 0.0, since: int = 0) -> tuple[Floats, Floats]:
        """Return mean and ratio of the demand of so many days; how many it will be may itself be uncertain.

        `since` is how many days from now they begin.
        """
        weight = days if self.ahead is None else self._weight(days + since) - self._weight(np.full(len(days), since))
        share = np.divide(weight, days, out=np.ones_like(weight), where=days > 0)
        return self.mean * weight, self.ratio + self.mean * share * variance / np.maximum(days, 1e-9)

    def _weight(self, days: Floats) -> Floats:
        """Return the sum of the factors of the first days, parts of days included."""
        if self.ahead is None:
            return days
        width = self.ahead.shape[1]
        sums = np.concatenate([np.zeros((len(self.ahead), 1)), np.cumsum(self.ahead, axis=1)], axis=1)
        whole = np.minimum(days.astype(np.int64), width)
        rows = np.arange(len(sums))
        part = np.where(whole < width, self.ahead[rows, np.minimum(whole, width - 1)], 1.0)
        found: Floats = sums[rows, whole] + part * (days - whole)
        return found


@dataclass(frozen=True, slots=True)
class Lines:
    """Units of stock, shape (series,): what guards against chance, when to order, and the most to hold."""

    safety: Counts
    warning: Counts
    maximum: Counts


@dataclass(frozen=True, slots=True)
class Shop:
    """What bounds orders, shape (series,): case packs, room on the shelf, calendar days that goods can be sold.

    `capacity` and `sellable_days` are 0 where there is no bound.
    """

    pack: Counts
    capacity: Counts
    sellable_days: Counts


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One order of a plan; days count from today, `early_day` is the day on which P90 demand would call for it.

    `occasion` is the promotion or festival in the days that it is to last for, empty where there is none.
    """

    series: int
    day: int
    quantity: int
    arrives: int
    early_day: int
    occasion: str = ""


def lead_times(observed: list[list[float]], configured: Floats) -> LeadTime:
    """Return lead times from the deliveries seen, drawn towards what is configured while there are few.

    What is configured is worth three deliveries, with a spread of 30 %.
    """
    mean, variance = np.empty(len(configured)), np.empty(len(configured))
    for at, seen in enumerate(observed):
        prior, count = float(configured[at]), len(seen)
        mean[at] = (sum(seen) + _LEAD_PRIOR_COUNT * prior) / (count + _LEAD_PRIOR_COUNT)
        spread = sum((each - mean[at]) ** 2 for each in seen)
        variance[at] = (spread + _LEAD_PRIOR_COUNT * (PRIOR_LEAD_SHARE * prior) ** 2) / (count + _LEAD_PRIOR_COUNT)
    return LeadTime(mean, variance)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often one looks and how long an order should last, in days."""

    review: float
    cycle: float


def water_lines(demand: Demand, lead: LeadTime, rhythm: Rhythm, shop: Shop, since: int = 0) -> Lines:
    """Return the lines as they stand `since` days from now.

    warning = Q(lead + review), safety = warning - mean, maximum = Q(lead + review + cycle) + a case, but no more than
    the shelf holds or sells before its goods expire.
    """
    review, cycle = rhythm.review, rhythm.cycle
    levels = demand.service[None, :]
    mean, ratio = demand.over(lead.mean + review, lead.variance, since)
    warning = quantiles(mean, ratio, levels)[0]
    top, top_ratio = demand.over(lead.mean + review + cycle, lead.variance, since)
    maximum = quantiles(top, top_ratio, levels)[0] + shop.pack
    # What half of all times is sold before it expires: more would rather be thrown away than sold.
    until = demand.mean * shop.sellable_days
    near = np.flatnonzero((shop.sellable_days > 0) & (until < _FAR * maximum))
    if len(near):
        sold = quantiles(until[near], demand.ratio[near], np.array([_MIDDLE]))[0]
        maximum[near] = np.minimum(maximum[near], np.maximum(sold, 1))
    maximum = np.where(shop.capacity > 0, np.minimum(maximum, shop.capacity), maximum)
    warning = np.minimum(warning, np.maximum(maximum - 1, 0))
    safety = np.maximum(warning - np.floor(mean).astype(np.int64), 0)
    return Lines(safety, warning, maximum)


@dataclass(frozen=True, slots=True)
class Rule:
    """When to order and how much: below the warning line, whole packs up to the maximum."""

    demand: Demand
    lead: LeadTime
    rhythm: Rhythm
    shop: Shop


def planned(rule: Rule, position: Counts, days: int) -> list[PlannedOrder]:
    """Return dated orders for the coming days; `position` is stock on hand and on its way.

    The policy is rolled twice over the demand's quantiles: over the middle, which gives day and quantity of each order,
    and over P90, which says on which day the same order would be due if sales go well.
    """
    lines = _daily_lines(rule, days)
    middle = _rolled(rule, lines, position.astype(float), _MIDDLE)
    early = _rolled(rule, lines, position.astype(float), _EARLY)
    arrival = np.ceil(rule.lead.mean).astype(np.int64)
    found = []
    for series, orders in middle.items():
        sooner = early.get(series, [])
        for number, (day, quantity) in enumerate(orders):
            before = sooner[number][0] if number < len(sooner) else day
            found.append(PlannedOrder(series, day, quantity, day + int(arrival[series]), min(before, day)))
    return sorted(found, key=lambda order: (order.day, order.series))


def _daily_lines(rule: Rule, days: int) -> list[Lines]:
    """Return the lines of each day: they move where festivals or promotions are ahead."""
    each = [water_lines(rule.demand, rule.lead, rule.rhythm, rule.shop)]
    if rule.demand.ahead is None:
        return each * days
    return each + [water_lines(rule.demand, rule.lead, rule.rhythm, rule.shop, day) for day in range(1, days)]


def _rolled(rule: Rule, lines: Sequence[Lines], position: Floats, level: float) -> dict[int, list[tuple[int, int]]]:
    """Return (day, quantity) of each series' orders where cumulative demand follows one quantile."""
    found: dict[int, list[tuple[int, int]]] = {}
    ordered = np.zeros_like(position)
    levels, pack = np.array([level]), rule.shop.pack
    for day, own in enumerate(lines):
        used = quantiles(rule.demand.over(np.full(len(pack), float(day)))[0], rule.demand.ratio, levels)[0]
        now = position + ordered - used
        short = now <= own.warning
        cases = np.where(short, np.maximum((own.maximum - now) // pack, 0), 0)
        for series in np.flatnonzero(cases > 0).tolist():
            found.setdefault(series, []).append((day, int(cases[series] * pack[series])))
        ordered += cases * pack
    return found
