"""The arithmetic of demand against definitions that one can check by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.load.outlook import outlook
from trace_service.replenishment.demand.forecasts import adida, imapa, mixed
from trace_service.replenishment.demand.kernel import (
    first_sales,
    idle_days,
    quantiles,
    sale_sizes,
    smoothed,
    spread,
    tsb,
)
from trace_service.replenishment.demand.shortfall import chances, distribution, stockout, unsold

means = st.floats(0.01, 400)
spreads = st.floats(1.02, 40)
levels = st.floats(0.02, 0.995)


def by_hand(mean: float, ratio: float, level: float) -> int:
    """Sum the distribution with the library's own gamma function."""
    size = mean / (ratio - 1)
    total, count = 0.0, -1
    while total < level and count < 20_000:
        count += 1
        log = math.lgamma(size + count) - math.lgamma(size) - math.lgamma(count + 1)
        total += math.exp(log - size * math.log(ratio) + count * math.log(1 - 1 / ratio))
    return count


@settings(max_examples=60, deadline=None)
@given(means, spreads, levels)
def test_a_quantile_is_the_first_count_that_reaches_its_level(mean: float, ratio: float, level: float) -> None:
    found = int(quantiles(np.array([mean]), np.array([ratio]), np.array([level]))[0, 0])
    assert abs(found - by_hand(mean, ratio, level)) <= max(1e-9, 0.01 * found)


def test_quantiles_of_many_series_and_levels_are_those_of_each_alone() -> None:
    random = np.random.default_rng(1)
    mean, ratio = random.gamma(0.7, 8, 300), 1.01 + random.gamma(1, 2, 300)
    wanted = np.array([0.5, 0.9, 0.99])
    together = quantiles(mean, ratio, wanted)
    alone = [quantiles(mean[[at]], ratio[[at]], wanted[[2]])[0, 0] for at in range(300)]
    assert together[2].tolist() == alone
    assert (np.diff(together, axis=0) >= 0).all()


def test_a_mean_too_large_to_sum_up_still_has_a_quantile() -> None:
    found = quantiles(np.array([50_000.0]), np.array([3.0]), np.array([0.5, 0.975]))[:, 0]
    assert abs(found[0] - 50_000) < 5
    assert found[1] == pytest.approx(50_000 + 1.96 * math.sqrt(150_000), rel=0.002)


def test_smoothing_begins_with_the_first_sale_and_leaves_out_what_is_unknown() -> None:
    units = np.array([[0.0, 0, 4, 4, 4], [0, 0, 0, 0, 0], [2, 9, 2, 2, 2]])
    known = np.array([[True] * 5, [True] * 5, [True, False, True, True, True]])
    assert smoothed(units, first_sales(units), 0.3).tolist()[:2] == pytest.approx([4, 0])
    assert smoothed(units, first_sales(units), 0.3, known).tolist() == pytest.approx([4, 0, 2])


def test_a_day_on_which_little_is_expected_counts_for_little() -> None:
    units = np.array([[10.0, 10, 10, 10, 10, 4] * 5])
    factors = np.array([1.0, 1, 1, 1, 1, 0.4] * 5)
    assert smoothed(units, first_sales(units), 0.05, exposure=factors)[0] == pytest.approx(10)


def test_tsb_forgets_a_product_that_stops_selling_and_its_size_does_not_move() -> None:
    units = np.zeros((1, 120))
    units[0, :40:4] = 6
    assert sale_sizes(units, 0.05)[0] == pytest.approx(6)
    early, late = tsb(units[:, :40], np.array([0]))[0], tsb(units, np.array([0]))[0]
    assert early == pytest.approx(1.5, rel=0.2)
    assert late < early / 20


def test_spread_follows_the_data_and_few_sales_follow_the_others() -> None:
    random = np.random.default_rng(3)
    lumpy = random.negative_binomial(0.5, 0.1, (200, 60)).astype(float)
    calm = random.poisson(4.5, (200, 60)).astype(float)
    first = np.zeros(400, dtype=np.int64)
    found = spread(np.vstack([lumpy, calm]), first)
    assert np.median(found[:200]) > 3 * np.median(found[200:])
    assert spread(np.zeros((3, 60)), np.full(3, 60)).tolist() == [2.0, 2.0, 2.0]


def test_days_without_a_sale_are_counted_from_the_last_one_and_those_that_say_nothing_are_left_out() -> None:
    units = np.array([[0.0, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    known = np.array([[True] * 4, [True] * 4, [True] * 4])
    known[0, 2] = False
    assert idle_days(units).tolist() == [2, 4, 0]
    assert idle_days(units, known).tolist() == [1, 4, 0]


def test_a_series_that_falls_silent_gives_its_demand_to_those_that_sell() -> None:
    units = np.tile([2.0, 0, 0], (10, 40))
    units[0, -30:] = 0
    found = mixed(units)
    plain = mixed(units[1:])
    assert found[0] < 0.25 * found[1]
    assert found.sum() < 10 * plain[0]
    assert found[1] == pytest.approx(plain[0], rel=0.05)


def test_all_methods_find_a_steady_demand_and_the_mix_follows_a_common_rise() -> None:
    steady = np.full((3, 100), 5.0)
    for method in (mixed, adida, imapa):
        assert method(steady).tolist() == pytest.approx([5, 5, 5])
    rising = np.tile(np.concatenate([np.full(80, 4.0), np.full(20, 8.0)]), (50, 1))
    assert 5.5 < mixed(rising)[0] < 8


def test_a_shard_of_the_speed_benchmark_has_levels_above_its_demand() -> None:
    units = np.random.default_rng(5).poisson(2, (400, 90)).astype(np.float32)
    found = outlook(units, 5, 0.95)
    assert found.mean.mean() == pytest.approx(2, rel=0.1)
    assert 12 < found.level.mean() < 19


@settings(max_examples=40, deadline=None)
@given(means, spreads, st.integers(0, 300))
def test_running_out_and_being_left_follow_one_distribution(mean: float, ratio: float, stock: int) -> None:
    table = distribution(np.array([mean]), np.array([ratio]), stock + 3)[0]
    assert (np.diff(table) >= 0).all()
    assert table[-1] <= 1
    own = np.array([stock])
    assert stockout(np.array([mean]), np.array([ratio]), own)[0] == pytest.approx(1 - table[stock], abs=1e-9)
    row = chances(np.array([mean]), np.array([ratio]), own, 3)[0]
    assert row.tolist() == pytest.approx((1 - table[stock : stock + 3]).tolist(), abs=1e-9)
    left = unsold(np.array([mean]), np.array([ratio]), own)[0]
    assert left == pytest.approx(table[:stock].sum(), abs=1e-6)
    assert max(0, stock - mean) - 1e-6 <= left <= stock
