"""What the coming days hold for demand: weekdays, festivals by product group, and promotions that are planned."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np

from trace_service.replenishment.demand.calendars import Calendar
from trace_service.replenishment.demand.history import History, Series
from trace_service.replenishment.demand.kernel import Floats, Mask

LEARNED: Final = 0.0
LEAST_UPLIFT: Final = 0.1
GREATEST_UPLIFT: Final = 20.0
LONGEST_PROMOTION: Final = timedelta(days=366)
_TELLING: Final = 0.02
PROMOTION: Final = "promotion"


@dataclass(frozen=True, slots=True)
class Promotion:
    """A promotion of one product from day to day; no nodes are all of them, no uplift is what others have shown."""

    sku: str
    first: date
    last: date
    nodes: frozenset[str] = frozenset()
    uplift: float | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Coming:
    """What is known of the future: named days, and promotions, past ones included."""

    names: Mapping[date, str] = field(default_factory=dict)
    promotions: Sequence[Promotion] = ()


@dataclass(frozen=True, slots=True)
class Occasion:
    """A festival or promotion ahead and its factor on demand; a festival's `group` is that of the products."""

    day: date
    name: str
    factor: float
    group: int


def occasion(series: Series, days: Sequence[date], coming: Coming, telling: Collection[str]) -> tuple[str, date] | None:
    """Return what the days hold for a series and its first day of them: a promotion first, then a festival."""
    for each in coming.promotions:
        own = each.sku == series.sku and (not each.nodes or series.node in each.nodes)
        if own and each.first <= days[-1] and each.last >= days[0]:
            return each.name or PROMOTION, max(each.first, days[0])
    return next(((coming.names[day], day) for day in days if coming.names.get(day) in telling), None)


def promoted(series: Sequence[Series], days: Sequence[date], promotions: Sequence[Promotion]) -> Floats:
    """Return each day's uplift by plan, shape (series, days): nan on ordinary days, 0 where it is to be learned.

    Of several at once the greatest counts.
    """
    found = np.full((len(series), len(days)), np.nan)
    places: dict[str, list[int]] = {}
    for at, own in enumerate(series):
        places.setdefault(own.sku, []).append(at)
    dates = np.array(days, dtype="datetime64[D]")
    for each in promotions:
        columns = np.flatnonzero((dates >= np.datetime64(each.first)) & (dates <= np.datetime64(each.last)))
        rows = [at for at in places.get(each.sku, ()) if not each.nodes or series[at].node in each.nodes]
        if len(columns) and rows:
            block = np.ix_(np.array(rows), columns)
            found[block] = np.fmax(found[block], LEARNED if each.uplift is None else each.uplift)
    return found


def past_promotions(history: History, promotions: Sequence[Promotion]) -> Mask:
    """Return on which days of the history each series was promoted, by the data or by plan."""
    if not promotions:
        return history.promoted
    found: Mask = history.promoted | ~np.isnan(promoted(history.series, history.days, promotions))
    return found


def ahead(history: History, calendar: Calendar, coming: Coming, days: int) -> Floats:
    """Return the factors of the days after the history, shape (series, days); weekdays that never trade have 0."""
    following = following_days(history, days)
    factors = np.broadcast_to(
        calendar.of(following, coming.names, history.group), (len(history.series), len(following))
    ).copy()
    trading = {day.weekday() for day in history.days}
    factors[:, [day.weekday() not in trading and day not in coming.names for day in following]] = 0.0
    plan = promoted(history.series, following, coming.promotions)
    uplift = np.where(plan == LEARNED, calendar.promotion, plan)
    found: Floats = np.where(np.isnan(plan), factors, factors * uplift)
    return found


def following_days(history: History, days: int) -> list[date]:
    """Return the calendar days after the history's last."""
    return [history.days[-1] + timedelta(days=each) for each in range(1, days + 1)]


def occasions(history: History, calendar: Calendar, coming: Coming, days: int) -> list[Occasion]:
    """Return the festivals of the coming days with the factor of each group of products, where it says something."""
    return [
        Occasion(day, coming.names[day], round(float(factor), 3), group)
        for day in following_days(history, days)
        if day in coming.names
        for group, factor in enumerate(calendar.grouped.get(coming.names[day], ()))
        if abs(factor - 1.0) >= _TELLING
    ]
