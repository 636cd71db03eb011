"""How good forecasts are by themselves: WRMSSE, which weights series by revenue, and the pinball loss of quantiles."""

from typing import Final

import numpy as np

from trace_service.replenishment.demand.history import History
from trace_service.replenishment.demand.kernel import Floats, first_sales, quantiles
from trace_service.replenishment.demand.moments import Moment
from trace_service.replenishment.trials.methods import Method, ratios

HORIZONS: Final = (14, 28)
SUMS: Final = (4, 8)
_REVENUE_DAYS: Final = 28
PINBALL_LEVELS: Final = (0.5, 0.75, 0.9, 0.95, 0.975)


def daily_forecast(method: Method, history: History, now: Moment, days: int) -> Floats:
    """Return the expected demand of the next days, shape (series, days)."""
    mean = method.daily(history, now)[:, None]
    ahead = now.ahead[..., :days]
    factors = ahead if method.seasonal else np.ones(ahead.shape[-1])
    found: Floats = mean * factors
    return found


def wrmsse(history: History, now: Moment, forecast: Floats) -> float:
    """Return the weighted root mean squared scaled error of a forecast of shape (series, days).

    Squared errors are scaled by those of "as yesterday" since the first sale; weights are shares of the revenue of the
    last 28 days (Makridakis et al. 2022, without aggregate levels).
    """
    truth = history.units[:, now.now : now.now + forecast.shape[1]]
    steps = np.diff(now.units, axis=1) ** 2
    first = first_sales(now.units)
    counted = np.maximum(now.units.shape[1] - 1 - first, 1)
    scale = np.where(np.arange(steps.shape[1]) >= first[:, None], steps, 0).sum(axis=1) / counted
    revenue = now.units[:, -_REVENUE_DAYS:].sum(axis=1) * history.price
    weight = np.where(scale > 0, revenue, 0.0)
    error = ((truth - forecast) ** 2).mean(axis=1)
    each = np.sqrt(np.divide(error, scale, out=np.zeros_like(error), where=scale > 0))
    return float((weight * each).sum() / max(weight.sum(), 1e-9))


def pinball(method: Method, history: History, now: Moment, days: int) -> float:
    """Return the mean pinball loss of the quantiles of the next days' sum, over their mean demand."""
    forecast = daily_forecast(method, history, now, days).sum(axis=1)
    levels = np.array(PINBALL_LEVELS)
    guess = quantiles(forecast, ratios(now), levels)
    truth = history.units[:, now.now : now.now + days].sum(axis=1)
    gap = truth - guess
    loss = np.where(gap >= 0, levels[:, None] * gap, (levels[:, None] - 1) * gap)
    return float(loss.mean() / max(truth.mean(), 1e-9))
