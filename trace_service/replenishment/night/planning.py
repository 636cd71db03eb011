"""From demand and stock to water lines, a dated plan and what will be left: for command line and nightly run."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from math import ceil
from typing import Final, NamedTuple

import numpy as np

from trace_service.replenishment.demand.calendars import without
from trace_service.replenishment.demand.coming import Coming, Occasion, ahead, occasion, occasions, past_promotions
from trace_service.replenishment.demand.forecasts import mixed
from trace_service.replenishment.demand.history import History, spikes
from trace_service.replenishment.demand.kernel import Counts, Floats, first_sales
from trace_service.replenishment.demand.moments import Moment, moment
from trace_service.replenishment.demand.priors import PRIOR_DAYS, borrowed
from trace_service.replenishment.demand.shortfall import stockout
from trace_service.replenishment.night.actions import Lot, Surplus, expiring, slow
from trace_service.replenishment.night.waterlines import (
    Demand,
    LeadTime,
    Lines,
    PlannedOrder,
    Rhythm,
    Rule,
    Shop,
    planned,
    water_lines,
)
from trace_service.replenishment.trials.methods import LEVELS, METHODS, order_levels, ratios
from trace_service.replenishment.trials.replay import LEAST_AGE, RECENT, Protocol, evaluated, play

PLAN_DAYS: Final = 30
UNCALIBRATED: Final = 0.95
_MODEL: Final = "codefence-2"
_LEAST_MEAN: Final = 0.001
_A_UNIT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stock:
    """What every series has: on hand, on its way, and room on the shelf (0 where there is no bound).

    `owner` numbers those whose stores may send one another goods; without it all may.
    """

    on_hand: Counts
    on_order: Counts
    capacity: Counts
    lots: Sequence[Lot] = ()
    owner: Counts | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a plan: the fill rate, how often one looks, and how long an order should last, in days."""

    fill: float = 0.95
    review: float = 1.0
    cycle: float = 6.0
    days: int = PLAN_DAYS
    coming: Coming = field(default_factory=Coming)
    bias: Floats | None = None


class Moved(NamedTuple):
    """Why a series' lines are not those of ordinary days: what from which day on adds so many units, or takes them."""

    occasion: str
    since: date
    units: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of every series; `evidence` is the share of a series' demand figure that is its own history.

    `occasions` are the festivals ahead, `near` is the demand a day until an order made tomorrow arrives; `moved` is
    None for each series whose lines are those of ordinary days.
    """

    model: str
    demand: Demand
    lead: LeadTime
    lines: Lines
    service: float
    calibrated: bool
    evidence: Floats
    p_stockout: Floats
    orders: list[PlannedOrder]
    expiring: list[Surplus]
    slow: list[Surplus]
    occasions: list[Occasion]
    near: Floats
    moved: list[Moved | None]


def calibrate(history: History, fill: float, holidays: Mapping[date, str]) -> tuple[float, bool]:
    """Return the service level that would have given the fill rate over the last weeks, and whether it was found.

    The policy is played over the history itself: a level of 95 % is not a fill rate of 95 %.
    """
    end = len(history.days)
    begin = end - RECENT
    if begin < LEAST_AGE:
        return UNCALIBRATED, False
    chosen = evaluated(history, begin)
    if not chosen.any():
        return UNCALIBRATED, False
    # What no stock is meant to meet would leave no level that reaches the fill rate.
    history = replace(history, units=without(history.units, spikes(history.units)))
    own, method, protocol = history.only(chosen), METHODS["codefence"], Protocol(begin, end)
    swept = np.array(LEVELS)
    replay = play(
        own,
        lambda day: order_levels(method, own, moment(own, day, holidays), swept, protocol.refresh),
        swept,
        protocol,
        protocol.refresh,
    )
    level = replay.at_fill(fill, replay.swept)
    return (UNCALIBRATED, False) if level is None else (level, True)


def make_plan(history: History, stock: Stock, lead: LeadTime, wishes: Wishes) -> Plan:
    """Return water lines, orders for the coming days and what will be left, from history and stock."""
    coming = wishes.coming
    history = replace(history, promoted=past_promotions(history, coming.promotions))
    now = moment(history, len(history.days), coming.names)
    level, found = calibrate(history, wishes.fill, coming.names)
    age = len(history.days) - first_sales(now.units)
    mean = _mean(history, now, age, wishes.bias)
    # Beyond the last planned day its order's own lead time and cycle are looked at as well.
    longest = wishes.days + ceil(float(lead.mean.max(initial=0)) + wishes.review + wishes.cycle) + 1
    demand = Demand(mean, ratios(now), np.full(len(mean), level), ahead(history, now.calendar, coming, longest))
    shop = Shop(history.pack, stock.capacity, history.expiry_days)
    rule = Rule(demand, lead, Rhythm(wishes.review, wishes.cycle), shop)
    lines = water_lines(demand, lead, rule.rhythm, shop)
    position = stock.on_hand + stock.on_order
    due, ratio = demand.over(lead.mean + wishes.review, lead.variance)
    ahead_of = occasions(history, now.calendar, coming, longest)
    special = _Special(history, rule, coming, {each.name for each in ahead_of})
    orders = [special.named(order) for order in planned(rule, position, wishes.days)]
    return Plan(
        _MODEL, demand, lead, lines, level, found, age / (age + PRIOR_DAYS), stockout(due, ratio, position),
        orders,
        expiring(stock.lots, demand.mean, demand.ratio, elsewhere=elsewhere(history, lines, position, stock.owner)),
        slow(stock.on_hand, demand.mean, demand.ratio),
        [each for each in ahead_of if each.day <= history.days[-1] + timedelta(days=wishes.days)],
        due / (lead.mean + wishes.review), special.moved(ahead(history, now.calendar, Coming(), longest)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Special:
    """Which promotion or festival lies in the days that an order is to last for; `telling` names move demand."""

    history: History
    rule: Rule
    coming: Coming
    telling: Collection[str]

    def at(self, series: int, day: int) -> tuple[str, date] | None:
        """Return what moves demand after an order on a day from today, and its first day of those."""
        first = self.history.days[-1] + timedelta(days=1 + day)
        lasts = [first + timedelta(days=each) for each in range(ceil(float(self._lasts()[series])))]
        return occasion(self.history.series[series], lasts, self.coming, self.telling)

    def named(self, order: PlannedOrder) -> PlannedOrder:
        """Return an order with what it is for."""
        special = self.at(order.series, order.day)
        return replace(order, occasion=special[0]) if special else order

    def moved(self, ordinary: Floats) -> list[Moved | None]:
        """Return what moves the lines of every series; `ordinary` are the coming days' factors without anything."""
        demand, lasts = self.rule.demand, self._lasts()
        units = demand.over(lasts)[0] - replace(demand, ahead=ordinary).over(lasts)[0]
        found: list[Moved | None] = [None] * len(units)
        for series in np.flatnonzero(np.abs(units) >= _A_UNIT).tolist():
            special = self.at(series, 0)
            if special is not None:
                found[series] = Moved(*special, round(float(units[series]), 1))
        return found

    def _lasts(self) -> Floats:
        return self.rule.lead.mean + self.rule.rhythm.review + self.rule.rhythm.cycle


def _mean(history: History, now: Moment, age: Counts, bias: Floats | None) -> Floats:
    """Return demand an ordinary day: a series' own, or what it borrows, times what people's decisions have taught."""
    node, sku = _numbers(history)
    found = np.maximum(borrowed(mixed(now.units, now.known, now.exposure), age, node, sku), _LEAST_MEAN)
    return found if bias is None else found * bias


def _numbers(history: History) -> tuple[Counts, Counts]:
    nodes = {name: at for at, name in enumerate(sorted({each.node for each in history.series}))}
    skus = {name: at for at, name in enumerate(sorted({each.sku for each in history.series}))}
    pairs = np.array([(nodes[each.node], skus[each.sku]) for each in history.series]).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def elsewhere(history: History, lines: Lines, position: Counts, owner: Counts | None = None) -> Counts:
    """Return how many units of each series' product the owner's other stores lack up to their maximum."""
    sku = _numbers(history)[1]
    kind = sku if owner is None else np.unique(np.stack([sku, owner]), axis=1, return_inverse=True)[1].ravel()
    room = np.maximum(lines.maximum - position, 0)
    whole = np.bincount(kind, weights=room)
    found: Counts = (whole[kind] - room).astype(np.int64)
    return found
