"""When to order and how much: below the reorder line, whole cases up to the maximum. Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import floor
from typing import Any, Final

import numpy as np

from trace_service.domain.counts import log_negative_binomial
from trace_service.domain.zones import STORE_ZONE

LEAST_CONFIDENCE: Final = 0.5
LEAD_TIME_DAYS: Final = 5
# Retail demand is lumpier than Poisson, which would promise too much.
DEMAND_DISPERSION: Final = 0.3


@dataclass(frozen=True, slots=True)
class Position:
    """Stock of one product at one site, in items; `on_hand` is None where nobody knows.

    `ratio` is that of variance to mean of the lead time's demand, None where only a configured figure is known;
    `evidence` is the share of the demand's figure that is the place's own history; `suspect` goods are not on hand.
    `occasion` moves the lines by so many items from a day on, empty where they are those of ordinary days.
    """

    on_hand: int | None
    in_transit: int
    reorder: int
    maximum: int
    daily_demand: float
    items_per_case: int
    source: str
    ratio: float | None = None
    lead_days: float = LEAD_TIME_DAYS
    evidence: float = 0.0
    suspect: int = 0
    occasion: str = ""
    occasion_from: date | None = None
    occasion_units: float = 0.0

    @property
    def available(self) -> int | None:
        """On hand and on its way."""
        return None if self.on_hand is None else self.on_hand + self.in_transit


@dataclass(frozen=True, slots=True)
class Order:
    """What to order: items in whole cases, the day by which they are needed, and the reason's parameters."""

    quantity: int
    need_by: date
    reason: dict[str, Any]
    p_without: float
    p_with: float


def propose(position: Position, now: datetime, *, standing: bool) -> Order | None:
    """Return the order that brings a position from below its reorder line up to its maximum, or None.

    A `standing` proposal is kept until a case more than the line is there: one unit put back must not end it.
    """
    # 1. Without a figure that can be believed there is nothing to decide.
    if position.on_hand is None or position.available is None:
        return None
    # 2. Above the line there is time.
    line = position.reorder + (position.items_per_case - 1 if standing else 0)
    if position.available > line:
        return None
    # 3. Whole cases, and never more than fits.
    cases = (position.maximum - position.available) // position.items_per_case
    if cases < 1:
        return None
    days_left = floor(position.on_hand / position.daily_demand) if position.daily_demand > 0 else LEAD_TIME_DAYS
    quantity = cases * position.items_per_case
    risk, risk_after = (_stockout(stock, position) for stock in (position.available, position.available + quantity))
    parameters: dict[str, Any] = {
        "stock": position.on_hand,
        "source": position.source,
        "in_transit": position.in_transit,
        "reorder": position.reorder,
        "maximum": position.maximum,
        "daily_demand": round(position.daily_demand, 3),
        "lead_time_days": round(position.lead_days, 1),
        "p_stockout": risk,
        "p_stockout_after": risk_after,
        "cases": cases,
        "items_per_case": position.items_per_case,
        "own_history": round(position.evidence, 2),
    }
    if position.suspect:
        parameters["suspect"] = position.suspect
    if position.occasion and position.occasion_from:
        since = position.occasion_from.isoformat()
        parameters |= {"occasion": position.occasion, "occasion_from": since, "occasion_units": position.occasion_units}
    need_by = now.astimezone(STORE_ZONE).date() + timedelta(days=max(1, days_left))
    return Order(quantity, need_by, {"code": "below_reorder", "parameters": parameters}, risk, risk_after)


def _stockout(available: int, position: Position) -> float:
    """Return the probability that the demand of the lead time exceeds what is available."""
    demand = position.daily_demand * position.lead_days
    if demand <= 0:
        return 0.0
    dispersion = DEMAND_DISPERSION if position.ratio is None else max(position.ratio - 1, 0.01) / demand
    within = float(np.exp(log_negative_binomial(demand, dispersion, max(available, 0))).sum())
    return round(max(0.0, 1.0 - within), 3)
