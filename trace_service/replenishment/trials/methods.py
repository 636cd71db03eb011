"""The policies that `codefence replenish backtest` plays side by side: a forecast, and a level to order up to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from trace_service.replenishment.demand import forecasts
from trace_service.replenishment.demand.calendars import without
from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.kernel import Floats, first_sales, quantiles, spread
from trace_service.replenishment.demand.moments import Moment

LEVELS: Final = (
    0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995,
    0.998, 0.999, 0.9995,
)  # fmt: skip
"""The service levels of a sweep: chances that a lead time's demand is met."""
SPREAD_DAYS: Final = 90
MONTH_DAYS: Final = 24
# Days of supply, as multiples of the lead time.
_SUPPLIES: Final = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.3, 2.6, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 10.0, 14.0)
_LEAST_MEAN: Final = 0.001


@dataclass(frozen=True, slots=True)
class Method:
    """A policy: `daily` forecasts demand an average day; without `fixed` the level is a negative-binomial quantile.

    `seasonal` follows the calendar; `fixed` keeps so many days of supply instead; `every` overrides after how many
    trading days it looks again; `scored` says whether its forecast is held against others.
    """

    daily: Callable[[History, Moment], Floats]
    seasonal: bool = False
    fixed: bool = False
    every: int | None = None
    scored: bool = True

    def sweep(self, lead: int) -> Floats:
        """Return what is swept: service levels, or days of supply."""
        return np.array(_SUPPLIES) * lead if self.fixed else np.array(LEVELS)


def order_levels(method: Method, history: History, now: Moment, swept: Floats, refresh: int) -> Floats:
    """Return the stock up to which to order, shape (swept, series)."""
    mean = np.maximum(method.daily(history, now), _LEAST_MEAN)
    if method.fixed:
        found: Floats = np.ceil(swept[:, None] * mean)
        return found
    horizon = now.protected(history.lead, refresh) if method.seasonal else history.lead.astype(float)
    return quantiles(mean * horizon, ratios(now), swept).astype(float)


def ratios(now: Moment) -> Floats:
    """Return the ratio of variance to mean of every series' daily demand."""
    window = now.units[:, -SPREAD_DAYS:]
    if now.known is not None:
        # A day that says nothing adds nothing to the spread.
        window = without(window, ~now.known[:, -SPREAD_DAYS:])
    return spread(window, first_sales(now.units) - (now.units.shape[1] - window.shape[1]))


def _future_mean(history: History, now: Moment) -> Floats:
    """Return the true mean of the days that the coming orders serve: no forecast can know more."""
    ahead = history.units[:, now.now : now.now + 2 * int(history.lead.max(initial=1)) + 1]
    found: Floats = ahead.mean(axis=1)
    return found


METHODS: Final[Mapping[str, Method]] = {
    "known-mean": Method(_future_mean, scored=False),
    "codefence": Method(lambda _, now: forecasts.mixed(now.units, now.known, now.exposure), seasonal=True),
    "tsb": Method(lambda _, now: forecasts.tsb_mean(now.units, now.known)),
    "tsb-weekday": Method(lambda _, now: forecasts.tsb_mean(now.units, now.known, now.exposure), seasonal=True),
    "imapa": Method(lambda _, now: forecasts.imapa(now.units)),
    "adida": Method(lambda _, now: forecasts.adida(now.units)),
    "ma48-nb": Method(lambda _, now: forecasts.moving_average(now.units)),
    "ma48-fixed": Method(lambda _, now: forecasts.moving_average(now.units), fixed=True),
    "monthly": Method(
        lambda _, now: forecasts.mixed(now.units, now.known, now.exposure), seasonal=True, every=MONTH_DAYS,
        scored=False,
    ),
}  # fmt: skip
"""By name; `trial.policy.NAME` in the catalogue of words says what each is."""
