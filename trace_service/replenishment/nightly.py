"""The nightly arithmetic over any number of series: shard by shard, so that memory is bounded by one shard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from trace_service.replenishment.forecasts import mixed
from trace_service.replenishment.kernel import Counts, Floats, first_sales, quantiles, spread, tilted
from trace_service.replenishment.methods import SPREAD_DAYS

_LEAST_MEAN = 0.001


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
    levels = tilted(np.array([service]), mean)
    return Outlook(mean, ratio, quantiles(mean * lead, ratio, levels)[0])


def outlooks(shards: Iterable[Floats], lead: float, service: float) -> Iterator[Outlook]:
    """Return the outlook of shard after shard; what all series share is learned within each."""
    for shard in shards:
        yield outlook(shard, lead, service)
