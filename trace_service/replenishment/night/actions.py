"""What to do with goods that will not sell in time: lots near their last day, and products that hardly move."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from trace_service.replenishment.demand.kernel import Counts, Floats
from trace_service.replenishment.demand.shortfall import stockout, unsold

SLOW_COVER_DAYS: Final = 90.0
SLOW_SALE_DAYS: Final = 14
_LITTLE: Final = 0.5
Action = Literal["markdown", "transfer", "return"]


@dataclass(frozen=True, slots=True)
class Lot:
    """Goods of one series that expire together: units, and days until they may no longer be sold."""

    series: int
    units: int
    days: int


@dataclass(frozen=True, slots=True)
class Surplus:
    """Goods that are expected to be left: how many units, of how many, what to do, and the chance that all sell."""

    series: int
    units: int
    unsold: float
    action: Action
    p_sold: float
    days: int


def expiring(lots: Sequence[Lot], mean: Floats, ratio: Floats, *, elsewhere: Counts) -> list[Surplus]:
    """Return the lots of which a unit or more is expected to be left, first expired first out.

    `elsewhere` is how many units of each series' product other stores could take in time; what they cannot is marked
    down, or returned when it can no longer be sold at all.
    """
    found = []
    ahead: dict[int, int] = {}
    for lot in sorted(lots, key=lambda each: (each.series, each.days)):
        before = ahead.get(lot.series, 0)
        left, chance = _left(lot, before, float(mean[lot.series]), float(ratio[lot.series]))
        # What an older lot leaves is gone by then: later lots wait only for what it sells.
        ahead[lot.series] = before + lot.units - round(left)
        if left < _LITTLE:
            continue
        action: Action = "return" if lot.days <= 0 else "markdown"
        if lot.days > 1 and elsewhere[lot.series] >= round(left):
            action = "transfer"
        found.append(Surplus(lot.series, lot.units, round(left, 2), action, round(chance, 3), lot.days))
    return found


def _left(lot: Lot, before: int, mean: float, ratio: float) -> tuple[float, float]:
    """Return how many of a lot are expected to be left, with `before` older units sold first, and P(all sold)."""
    if lot.days <= 0:
        return float(lot.units), 0.0
    demand, spread = np.array([mean * lot.days]), np.array([ratio])
    both, older = np.array([before + lot.units]), np.array([before])
    left = float((unsold(demand, spread, both) - unsold(demand, spread, older))[0])
    return left, float(stockout(demand, spread, both - 1)[0])


def slow(stock: Counts, mean: Floats, ratio: Floats) -> list[Surplus]:
    """Return products whose stock lasts 90 days or more and of which a fortnight more likely than not sells none."""
    cover = np.divide(stock, mean, out=np.full(len(stock), np.inf), where=mean > 0)
    sale = stockout(np.maximum(mean, 1e-6) * SLOW_SALE_DAYS, ratio, np.zeros(len(stock), dtype=np.int64))
    chosen = np.flatnonzero((stock > 0) & (cover >= SLOW_COVER_DAYS) & (sale < _LITTLE))
    left = unsold(np.maximum(mean, 1e-6) * SLOW_COVER_DAYS, ratio, stock)
    return [
        Surplus(
            int(at), int(stock[at]), round(float(left[at]), 2), "markdown", round(float(sale[at]), 3), SLOW_SALE_DAYS
        )
        for at in chosen
    ]
