"""Demand of many series over trading days, as arrays: what every forecast and replay reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from trace_service.replenishment.demand.kernel import Counts, Floats, Mask

_LARGE: Final = 100
_SPIKE: Final = 20
"""So many times what any other day sold, and so large, is a slip or a bulk order: it says nothing about other days."""


class Series(NamedTuple):
    """What is stocked where: a store or warehouse, and a product."""

    node: str
    sku: str


@dataclass(frozen=True, slots=True)
class History:
    """Arrays of shape (series, days), or (series,) where a series has one figure; `days` are trading days in order.

    `known` is False where a day says nothing about demand (sold out, or a gap in the data); `promoted` is True on days
    with a promotion. `expiry_days` is 0 where goods do not expire. Prices are per unit, in one currency. `group`
    numbers the groups of products whose festivals are learned apart, from 0; None is one group.
    """

    series: tuple[Series, ...]
    days: tuple[date, ...]
    units: Floats
    known: Mask
    promoted: Mask
    price: Floats
    pack: Counts
    lead: Counts
    expiry_days: Counts
    priced: bool
    group: Counts | None = None

    def __post_init__(self) -> None:
        if self.units.shape != (len(self.series), len(self.days)):
            raise ValueError("units must be of shape (series, days)")

    def only(self, chosen: Mask) -> "History":
        """Return the chosen series."""
        at = np.flatnonzero(chosen)
        return History(
            tuple(self.series[each] for each in at), self.days, self.units[at], self.known[at], self.promoted[at],
            self.price[at], self.pack[at], self.lead[at], self.expiry_days[at], self.priced,
            None if self.group is None else self.group[at],
        )  # fmt: skip

    def joined_by(self, fresh: Sequence[Series], lead: int, pack: int) -> "History":
        """Return the history with series that have none: what they will sell must be borrowed from others."""
        count = len(fresh)
        if not count:
            return self
        none = np.zeros((count, len(self.days)))
        price = np.full(count, float(np.median(self.price)))
        return History(
            (*self.series, *fresh), self.days, np.vstack([self.units, none]),
            np.vstack([self.known, np.ones(none.shape, dtype=bool)]),
            np.vstack([self.promoted, np.zeros(none.shape, dtype=bool)]), np.append(self.price, price),
            np.append(self.pack, np.full(count, pack)), np.append(self.lead, np.full(count, lead)),
            np.append(self.expiry_days, np.zeros(count, dtype=np.int64)), self.priced,
            None if self.group is None else np.append(self.group, np.zeros(count, dtype=np.int64)),
        )  # fmt: skip

    def at_or_after(self, day: date) -> int:
        """Return the index of the first trading day at or after a date, the number of days where there is none."""
        return next((index for index, each in enumerate(self.days) if each >= day), len(self.days))


def spikes(units: Floats) -> Mask:
    """Return the days, shape (series, days), that outdo every other day of their series beyond what sales do."""
    found = np.zeros(units.shape, dtype=bool)
    if units.shape[1] > 1 and len(units):
        second, most = np.partition(units, -2, axis=1)[:, -2:].T
        odd = np.flatnonzero((second > 0) & (most >= np.maximum(_LARGE, _SPIKE * second)))
        found[odd, np.argmax(units[odd], axis=1)] = True
    return found
