"""A brand of any size, planned in shards of bounded size: one after another in this process, or on a Dask cluster.

Shards are formed by a hash of node and SKU and do not depend on who computes them, so that both give the same plan. A
brand that fits into one shard is planned as a whole.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np

from contracts.errors import ConfigurationError
from trace_service.replenishment.demand.history import History, Series
from trace_service.replenishment.demand.kernel import Counts
from trace_service.replenishment.night.actions import expiring
from trace_service.replenishment.night.planning import Plan, Stock, Wishes, elsewhere, make_plan
from trace_service.replenishment.night.waterlines import Demand, LeadTime, Lines

SHARD: Final = 20_000
_CONNECT_SECONDS: Final = 10
Job = TypeVar("Job")
Found = TypeVar("Found")
# Returns what a function makes of each job, in the order of the jobs.
Compute = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]
_Part = tuple[History, Stock, LeadTime, Wishes]


def here(work: Callable[[Job], Found], jobs: Sequence[Job]) -> Iterable[Found]:
    """Compute in this process, one job after another."""
    return map(work, jobs)


@contextmanager
def on_cluster(scheduler: str) -> Iterator[Compute]:
    """Compute on the workers of a Dask scheduler, such as tcp://10.0.0.7:8786; they need this package installed.

    Raises ConfigurationError where the optional part is not installed, or the scheduler does not answer.
    """
    try:
        import distributed  # noqa: PLC0415  an optional part, which takes a second to import
    except ImportError as error:
        raise ConfigurationError("Dask is not installed", advice="pip install 'codefence[dask]'") from error
    untyped: Any = distributed
    try:
        client = untyped.Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"no Dask scheduler answers at {scheduler}: {error}") from error

    def compute(work: Callable[[Job], Found], jobs: Sequence[Job]) -> Iterable[Found]:
        # Equal jobs are still separate work: nothing is looked up by what it holds.
        futures = client.map(work, jobs, pure=False)
        found: list[Found] = client.gather(futures)
        return found

    with client:
        yield compute


def shard_of(series: Sequence[Series], count: int) -> Counts:
    """Return the number of each series' shard, by a hash that no machine's settings change."""
    found = [
        int.from_bytes(hashlib.blake2b(f"{each.node}\0{each.sku}".encode(), digest_size=8).digest()) % count
        for each in series
    ]
    return np.array(found, dtype=np.int64)


def plan_in_shards(  # noqa: PLR0913  what is planned, and how it is computed
    history: History, stock: Stock, lead: LeadTime, wishes: Wishes, compute: Compute = here, *, size: int = SHARD
) -> Plan:
    """Return the plan of all series; what pools series (trend, festivals, spread) is pooled in each shard."""
    count = -(-len(history.series) // size)
    if count <= 1:
        return make_plan(history, stock, lead, wishes)
    shard = shard_of(history.series, count)
    members = [np.flatnonzero(shard == each) for each in range(count)]
    members = [each for each in members if len(each)]
    plans = list(compute(_plan, [_part(history, stock, lead, wishes, each) for each in members]))
    return _merged(history, stock, plans, members)


def _plan(part: _Part) -> Plan:
    return make_plan(*part)


def _part(history: History, stock: Stock, lead: LeadTime, wishes: Wishes, at: Counts) -> _Part:
    """Return what concerns some series; lots are left out, they need to know of all stores."""
    chosen = np.zeros(len(history.series), dtype=bool)
    chosen[at] = True
    bias = None if wishes.bias is None else wishes.bias[at]
    own = Stock(stock.on_hand[at], stock.on_order[at], stock.capacity[at])
    return history.only(chosen), own, LeadTime(lead.mean[at], lead.variance[at]), replace(wishes, bias=bias)


def _merged(history: History, stock: Stock, plans: Sequence[Plan], members: Sequence[Counts]) -> Plan:
    order = np.argsort(np.concatenate(members), kind="stable")

    def joined(part: Callable[[Plan], Any]) -> Any:  # noqa: ANN401  an array of any kind
        return np.concatenate([part(each) for each in plans])[order]

    demand = Demand(
        joined(lambda each: each.demand.mean), joined(lambda each: each.demand.ratio),
        joined(lambda each: each.demand.service), joined(lambda each: each.demand.ahead),
    )  # fmt: skip
    lines = Lines(
        joined(lambda each: each.lines.safety), joined(lambda each: each.lines.warning),
        joined(lambda each: each.lines.maximum),
    )  # fmt: skip
    own = list(zip(plans, members, strict=True))
    orders = [replace(row, series=int(at[row.series])) for each, at in own for row in each.orders]
    slow = [replace(row, series=int(at[row.series])) for each, at in own for row in each.slow]
    moved = [row for each in plans for row in each.moved]
    room = elsewhere(history, lines, stock.on_hand + stock.on_order, stock.owner)
    return replace(
        plans[0], demand=demand, lines=lines, moved=[moved[at] for at in order.tolist()],
        lead=LeadTime(joined(lambda each: each.lead.mean), joined(lambda each: each.lead.variance)),
        service=float(np.mean([each.service for each in plans])), calibrated=all(each.calibrated for each in plans),
        evidence=joined(lambda each: each.evidence), p_stockout=joined(lambda each: each.p_stockout),
        near=joined(lambda each: each.near), orders=sorted(orders, key=lambda each: (each.day, each.series)),
        slow=sorted(slow, key=lambda each: each.series),
        expiring=expiring(stock.lots, demand.mean, demand.ratio, elsewhere=room),
    )  # fmt: skip
