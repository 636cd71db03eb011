"""What may be known on a morning: the days before it, and the calendar ahead."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from trace_service.replenishment.demand.calendars import Calendar, learn, without
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.kernel import Counts, Floats, Mask


@dataclass(frozen=True, slots=True)
class Moment:
    """The past of every series before day `now`, and the factors of the days from `now` on.

    `exposure` are the factors of past days, `ahead` those of coming ones: shape (days,), or (series, days) where there
    are promotions or several groups of products.
    """

    now: int
    units: Floats
    known: Mask | None
    exposure: Floats
    ahead: Floats
    calendar: Calendar

    def ahead_of(self, days: int) -> Floats:
        """Return the sum of the factors of the next days, shape () or (series,); past the end they repeat."""
        whole, rest = divmod(days, max(1, self.ahead.shape[-1]))
        found: Floats = whole * self.ahead.sum(axis=-1) + self.ahead[..., :rest].sum(axis=-1)
        return found

    def protected(self, lead: Counts, refresh: int) -> Floats:
        """Return the factors' sum over a lead time, in the mean over the days on which this level is ordered up to."""
        found = np.zeros(len(self.units))
        for each in np.unique(lead):
            sums = [self.ahead_of(shift + int(each)) - self.ahead_of(shift) for shift in range(refresh)]
            own = lead == each
            mean = np.asarray(sum(sums) / refresh)
            found[own] = mean if mean.ndim == 0 else mean[own]
        return found


def moment(history: History, now: int, names: Mapping[date, str]) -> Moment:
    """Return what is known before day `now`."""
    units, known, promoted = history.units[:, :now], history.known[:, :now], history.promoted
    complete = bool(known.all())
    said = units if complete else without(units, ~known)
    calendar = learn(said, history.days[:now], promoted[:, :now], names, history.group)
    factors = calendar.of(history.days, names, history.group)
    if promoted.any():
        factors = np.where(promoted, factors * calendar.promotion, factors)
    return Moment(now, units, None if complete else known, factors[..., :now], factors[..., now:], calendar)
