"""Days of ordering played again over real demand: the protocol under which policies are compared.

Each day: what was ordered a lead time ago arrives; goods past their last day are thrown away; sales are the lesser of
stock and demand, and the rest is lost; then the policy orders up to its level in whole packs, rounded up. The level is
renewed every `refresh` trading days from the days before. Stock begins at the level, `warm_up` days before the count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.kernel import Counts, Floats, Mask, first_sales

LEAST_SALE_DAYS: Final = 10
LEAST_AGE: Final = 60
RECENT: Final = 48
_YEAR: Final = 365.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What stock, lost sales and waste cost: shares of the price, and of the purchase price a year."""

    margin: float = 0.3
    holding_a_year: float = 0.2


@dataclass(frozen=True, slots=True)
class Protocol:
    """When the count begins and ends (trading days), how often levels are renewed, and how long the warm-up is."""

    begin: int
    end: int
    refresh: int = 6
    warm_up: int = 24
    costs: Costs = Costs()


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of each swept level, arrays of shape (levels,), all over the counted days.

    `fill` is units sold over units demanded, `cover` the mean stock in days of mean demand, `waste` units thrown away
    over units demanded, `cost` the share of the demanded goods' value.
    """

    swept: Floats
    fill: Floats
    cover: Floats
    waste: Floats
    cost: Floats

    def cover_at(self, fill: float) -> float | None:
        """Return the days of cover that a fill rate needs, None where the sweep does not reach it."""
        return _between(fill, self.fill, self.cover)

    def fill_at(self, cover: float) -> float | None:
        """Return the fill rate at so many days of cover."""
        return _between(cover, self.cover, self.fill)

    def at_fill(self, fill: float, values: Floats) -> float | None:
        """Return one of the arrays, such as `cost` or `swept`, where the fill rate is reached."""
        return _between(fill, self.fill, values)


def evaluated(history: History, begin: int) -> Mask:
    """Return which series count: ten days with sales, the first 60 days ago, something sold in the last 48."""
    past = history.units[:, :begin]
    sold = past > 0
    found: Mask = (
        (sold.sum(axis=1) >= LEAST_SALE_DAYS)
        & (first_sales(past) <= begin - LEAST_AGE)
        & (past[:, -RECENT:].sum(axis=1) > 0)
    )
    return found


def play(history: History, levels: Callable[[int], Floats], swept: Floats, protocol: Protocol, every: int) -> Replay:
    """Play the days; `levels(day)` is asked every `every` days and answers shape (len(swept), series)."""
    start = max(0, protocol.begin - protocol.warm_up)
    yard = _Yard(history, levels(start), start, protocol)
    for day in range(start, protocol.end):
        if day > start and (day - start) % every == 0:
            yard.target = levels(day)
        yard.live(day)
    return yard.result(swept)


class _Yard:
    """Stock, what is on its way, and the running sums; every array has the shape (levels, series)."""

    def __init__(self, history: History, target: Floats, start: int, protocol: Protocol) -> None:
        self.target = target
        self._history = history
        self._start = start
        self._begin = protocol.begin
        self._costs = protocol.costs
        self._stock = target.copy()
        self._due = np.zeros((int(history.lead.max(initial=1)) + 1, *target.shape))
        self._coming = np.zeros_like(target)
        self._leads = [(int(lead), history.lead == lead) for lead in np.unique(history.lead)]
        lives = history.expiry_days[history.expiry_days > 0]
        played = (history.days[-1] - history.days[start]).days
        self._expiry = _Expiry(history, target, start) if lives.min(initial=played + 1) <= played else None
        self._sold, self._held, self._wasted, self._lost_value, self._held_value, self._wasted_value = (
            np.zeros(len(target)) for _ in range(6)
        )
        self._demanded = self._demanded_value = 0.0
        self._days = 0

    def live(self, day: int) -> None:
        slot = (day - self._start) % len(self._due)
        arrived = self._due[slot]
        self._stock += arrived
        self._coming -= arrived
        demand, price = self._history.units[:, day], self._history.price
        wasted = self._expiry.thrown_away(day, arrived, self._stock) if self._expiry else None
        if wasted is not None:
            self._stock -= wasted
        sold = np.minimum(self._stock, demand)
        if day >= self._begin:
            mean = self._stock - sold / 2
            self._days += 1
            self._sold += sold.sum(axis=1)
            self._held += mean.sum(axis=1)
            self._held_value += mean @ price
            self._lost_value += (demand - sold) @ price
            self._demanded += float(demand.sum())
            self._demanded_value += float(demand @ price)
            if wasted is not None:
                self._wasted += wasted.sum(axis=1)
                self._wasted_value += wasted @ price
        self._stock -= sold
        if self._expiry:
            self._expiry.gone += sold
        self._due[slot] = 0.0
        self._order(slot)

    def _order(self, slot: int) -> None:
        pack = self._history.pack
        ordered = np.ceil(np.maximum(self.target - self._stock - self._coming, 0) / pack) * pack
        for lead, own in self._leads:
            if len(self._leads) == 1:
                self._due[(slot + lead) % len(self._due)] = ordered
            else:
                self._due[(slot + lead) % len(self._due)][:, own] = ordered[:, own]
        self._coming += ordered

    def result(self, swept: Floats) -> Replay:
        demanded, value = max(self._demanded, 1.0), max(self._demanded_value, 1e-9)
        days = self._history.days
        span = (days[-1] - days[0]).days + 1
        day_share = self._costs.holding_a_year / _YEAR * span / len(days)
        purchase = 1.0 - self._costs.margin
        cost = purchase * (day_share * self._held_value + self._wasted_value) + self._costs.margin * self._lost_value
        return Replay(swept, self._sold / demanded, self._held / demanded, self._wasted / demanded, cost / value)


class _Expiry:
    """First expired, first out: what came so long ago and neither sold nor went since is thrown away."""

    def __init__(self, history: History, target: Floats, start: int) -> None:
        self._days = history.days
        self._limit = history.expiry_days
        self._start = start
        self.gone = np.zeros_like(target)
        self._received = [target.copy()]

    def thrown_away(self, day: int, arrived: Floats, stock: Floats) -> Floats:
        so_far = self._received[-1] + arrived if day > self._start else self._received[-1]
        if day > self._start:
            self._received.append(so_far)
        wasted = np.zeros_like(stock)
        for limit in np.unique(self._limit[self._limit > 0]):
            last = self._last_expired(day, int(limit))
            if last >= 0:
                own = self._limit == limit
                wasted[:, own] = np.clip(self._received[last][:, own] - self.gone[:, own], 0, stock[:, own])
        self.gone += wasted
        return wasted

    def _last_expired(self, day: int, limit: int) -> int:
        """Return the newest arrival, counted from the start, whose goods may no longer be sold, -1 for none."""
        today = self._days[day]
        old: Counts = np.array(
            [(today - self._days[each]).days >= limit for each in range(self._start, day + 1)], dtype=np.int64
        )
        return int(old.sum()) - 1


def _between(wanted: float, at: Floats, values: Floats) -> float | None:
    order = np.argsort(at, kind="stable")
    if not at[order[0]] <= wanted <= at[order[-1]]:
        return None
    return float(np.interp(wanted, at[order], values[order]))
