"""The arithmetic of a forecast and a level, of one shard of series: any number of shards takes the memory of one."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trace_service.replenishment.demand.forecasts import mixed
from trace_service.replenishment.demand.kernel import Counts, Floats, first_sales, quantiles, spread
from trace_service.replenishment.trials.methods import SPREAD_DAYS

_LEAST_MEAN: Final = 0.001


@dataclass(frozen=True, slots=True)
class Outlook:
    """Each series' demand an average day, its ratio of variance to mean, and the level to order up to."""

    mean: Floats
    ratio: Floats
    level: Counts


def outlook(units: Floats, lead: float, service: float) -> Outlook:
    """Return the outlook of one shard, `units` of shape (series, days), for a lead time in days."""
    first = first_sales(units)
    mean = np.maximum(mixed(units), _LEAST_MEAN)
    window = units[:, -SPREAD_DAYS:]
    ratio = spread(window, first - (units.shape[1] - window.shape[1]))
    return Outlook(mean, ratio, quantiles(mean * lead, ratio, np.array([service]))[0])
