"""A brand in shards: the same plan in this process and on a real cluster, and close to the plan of the whole."""

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pytest
from distributed import LocalCluster

from contracts.errors import ConfigurationError
from trace_service.replenishment.demand.history import History, Series
from trace_service.replenishment.night.actions import Lot
from trace_service.replenishment.night.planning import Plan, Stock, Wishes, make_plan
from trace_service.replenishment.night.shards import on_cluster, plan_in_shards, shard_of
from trace_service.replenishment.night.waterlines import LeadTime, lead_times

COUNT, DAYS, SIZE = 600, 150, 100


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", protocol="tcp"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def brand() -> tuple[History, Stock, LeadTime]:
    random = np.random.default_rng(11)
    mean = random.gamma(0.8, 3, COUNT)[:, None] + 0.1
    series = tuple(Series(f"store{at % 30}", f"sku{at // 30}") for at in range(COUNT))
    days = tuple(date(2026, 3, 1) + timedelta(days=each) for each in range(DAYS))
    history = History(
        series, days, random.poisson(mean, (COUNT, DAYS)).astype(float), np.ones((COUNT, DAYS), dtype=bool),
        np.zeros((COUNT, DAYS), dtype=bool), np.ones(COUNT), np.full(COUNT, 6), np.full(COUNT, 5),
        np.zeros(COUNT, dtype=int), priced=True,
    )  # fmt: skip
    stock = Stock(
        random.integers(0, 60, COUNT), np.zeros(COUNT, dtype=int), np.full(COUNT, 200), [Lot(7, 50, 3), Lot(400, 30, 2)]
    )
    return history, stock, lead_times([[]] * COUNT, np.full(COUNT, 5.0))


def facts(plan: Plan) -> list[object]:
    demand, lines = plan.demand, plan.lines
    arrays = (demand.mean, demand.ratio, demand.service, lines.safety, lines.warning, lines.maximum, plan.p_stockout)
    return [*(each.tolist() for each in arrays), plan.orders, plan.expiring, plan.slow, plan.service]


def test_two_processes_of_a_cluster_plan_what_one_process_plans(
    cluster: str, brand: tuple[History, Stock, LeadTime]
) -> None:
    history, stock, lead = brand
    bias = np.linspace(0.8, 1.25, COUNT)
    alone = plan_in_shards(history, stock, lead, Wishes(0.95, bias=bias), size=SIZE)
    with on_cluster(cluster) as compute:
        together = plan_in_shards(history, stock, lead, Wishes(0.95, bias=bias), compute, size=SIZE)
    assert facts(together) == facts(alone)
    assert len({order.series for order in alone.orders}) > COUNT / 2


def test_shards_change_little_against_the_whole_and_lots_know_of_every_store(
    brand: tuple[History, Stock, LeadTime],
) -> None:
    history, stock, lead = brand
    whole = make_plan(history, stock, lead, Wishes(0.95))
    parts = plan_in_shards(history, stock, lead, Wishes(0.95), size=COUNT // 2)
    assert np.abs(parts.demand.mean - whole.demand.mean).mean() < 0.1 * whole.demand.mean.mean()
    assert np.abs(parts.lines.warning - whole.lines.warning).mean() < 0.1 * whole.lines.warning.mean()
    assert [(each.series, each.action) for each in parts.expiring] == [
        (each.series, each.action) for each in whole.expiring
    ]
    assert len(parts.expiring) == 2
    assert facts(plan_in_shards(history, stock, lead, Wishes(0.95))) == facts(whole)


def test_a_shard_is_the_same_on_every_machine_and_none_is_much_larger() -> None:
    series = [Series(f"store{at}", f"sku{at % 7}") for at in range(5_000)]
    found = shard_of(series, 10)
    assert found[:4].tolist() == shard_of(series[:4], 10).tolist() == [5, 8, 0, 9]
    assert np.bincount(found).max() < 600


def test_a_scheduler_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:1"), on_cluster("tcp://127.0.0.1:1"):
        pass
