"""Water lines of every series, and the dated orders that follow from them over the coming days."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trace_service.replenishment.kernel import Counts, Floats, quantiles

PRIOR_LEAD_SHARE: Final = 0.3
_LEAD_PRIOR_COUNT: Final = 3.0
_MIDDLE: Final = 0.5
_EARLY: Final = 0.9


@dataclass(frozen=True, slots=True)
class LeadTime:
    """Days from order to arrival: mean and variance, arrays of shape (series,)."""

    mean: Floats
    variance: Floats


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand a day of every series, its ratio of variance to mean, and the chance with which it is to be met."""

    mean: Floats
    ratio: Floats
    service: Floats

    def over(self, days: Floats, variance: Floats | float = 0.0) -> tuple[Floats, Floats]:
        """Return mean and ratio of the demand of so many days; how many it will be may itself be uncertain."""
        safe = np.maximum(days, 1e-9)
        return self.mean * days, self.ratio + self.mean * variance / safe


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
    """One order of a plan; days count from today, `early_day` is the day on which P90 demand would call for it."""

    series: int
    day: int
    quantity: int
    arrives: int
    early_day: int


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


def water_lines(demand: Demand, lead: LeadTime, review: float, cycle: float, shop: Shop) -> Lines:
    """Return the lines for a review every `review` days and orders meant to last `cycle` days.

    warning = Q(lead + review), safety = warning - mean, maximum = Q(lead + review + cycle) + a case, but no more than
    the shelf holds or sells before its goods expire.
    """
    levels = demand.service[None, :]
    mean, ratio = demand.over(lead.mean + review, lead.variance)
    warning = quantiles(mean, ratio, levels)[0]
    top, top_ratio = demand.over(lead.mean + review + cycle, lead.variance)
    maximum = quantiles(top, top_ratio, levels)[0] + shop.pack
    expiring = shop.sellable_days > 0
    if expiring.any():
        # What half of all times is sold before it expires: more would rather be thrown away than sold.
        sold = quantiles(demand.mean * np.maximum(shop.sellable_days, 1), demand.ratio, np.array([0.5]))[0]
        maximum = np.where(expiring, np.minimum(maximum, np.maximum(sold, 1)), maximum)
    maximum = np.where(shop.capacity > 0, np.minimum(maximum, shop.capacity), maximum)
    warning = np.minimum(warning, np.maximum(maximum - 1, 0))
    safety = np.maximum(warning - np.floor(mean).astype(np.int64), 0)
    return Lines(safety, warning, maximum)


@dataclass(frozen=True, slots=True)
class Rule:
    """When to order and how much: below the warning line, whole packs up to the maximum."""

    demand: Demand
    lines: Lines
    lead: LeadTime
    pack: Counts


def planned(rule: Rule, position: Counts, days: int) -> list[PlannedOrder]:
    """Return dated orders for the coming days; `position` is stock on hand and on its way.

    The policy is rolled twice over the demand's quantiles: over the middle, which gives day and quantity of each order,
    and over P90, which says on which day the same order would be due if sales go well.
    """
    middle = _rolled(rule, position.astype(float), _MIDDLE, days)
    early = _rolled(rule, position.astype(float), _EARLY, days)
    arrival = np.ceil(rule.lead.mean).astype(np.int64)
    found = []
    for series, orders in middle.items():
        sooner = early.get(series, [])
        for number, (day, quantity) in enumerate(orders):
            before = sooner[number][0] if number < len(sooner) else day
            found.append(PlannedOrder(series, day, quantity, day + int(arrival[series]), min(before, day)))
    return sorted(found, key=lambda order: (order.day, order.series))


def _rolled(rule: Rule, position: Floats, level: float, days: int) -> dict[int, list[tuple[int, int]]]:
    """Return (day, quantity) of each series' orders where cumulative demand follows one quantile."""
    found: dict[int, list[tuple[int, int]]] = {}
    ordered = np.zeros_like(position)
    levels, pack = np.array([level]), rule.pack
    for day in range(days):
        used = quantiles(rule.demand.mean * day, rule.demand.ratio, levels)[0]
        now = position + ordered - used
        short = now <= rule.lines.warning
        cases = np.where(short, np.maximum((rule.lines.maximum - now) // pack, 0), 0)
        for series in np.flatnonzero(cases > 0).tolist():
            found.setdefault(series, []).append((day, int(cases[series] * pack[series])))
        ordered += cases * pack
    return found
