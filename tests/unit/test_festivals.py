"""The calendar of China's special days, and what it does to forecasts, lines and plans."""

from datetime import date, timedelta

import numpy as np
import pytest

from trace_service.replenishment.demand.calendars import learn
from trace_service.replenishment.demand.coming import Coming, Promotion, ahead, occasions, past_promotions
from trace_service.replenishment.demand.festivals import PRIORS, WORKING_WEEKEND, festivals
from trace_service.replenishment.demand.history import History, Series
from trace_service.replenishment.night.planning import Plan, Stock, Wishes, make_plan
from trace_service.replenishment.night.waterlines import Demand, lead_times

TODAY = date(2026, 9, 1)


def history(units: np.ndarray, group: np.ndarray | None = None, until: date = TODAY) -> History:
    count, days = units.shape
    return History(
        tuple(Series(f"store{at % 2}", f"sku{at // 2}") for at in range(count)),
        tuple(until - timedelta(days=days - each) for each in range(days)), units.astype(float),
        np.ones(units.shape, dtype=bool), np.zeros(units.shape, dtype=bool), np.ones(count), np.full(count, 6),
        np.full(count, 5), np.zeros(count, dtype=int), priced=True, group=group,
    )  # fmt: skip


def plan_of(units: np.ndarray, coming: Coming, stock: int = 60) -> Plan:
    own = history(units)
    count = len(units)
    held = Stock(np.full(count, stock), np.zeros(count, dtype=int), np.zeros(count, dtype=int))
    return make_plan(own, held, lead_times([[]] * count, np.full(count, 5.0)), Wishes(0.95, coming=coming))


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2026, 2, 17), "spring_festival"), (date(2026, 2, 22), "spring_festival"),
        (date(2026, 2, 10), "before_spring_festival"), (date(2026, 9, 20), "before_mid_autumn"),
        (date(2026, 9, 25), "mid_autumn"), (date(2026, 10, 4), "national_day"), (date(2026, 10, 10), WORKING_WEEKEND),
        (date(2026, 11, 11), "double_11"), (date(2026, 6, 18), "mid_year_618"), (date(2025, 10, 7), "mid_autumn"),
        (date(2025, 4, 27), WORKING_WEEKEND), (date(2027, 2, 6), "spring_festival"),
    ],
)  # fmt: skip
def test_days_have_the_names_that_the_state_council_and_the_moon_give_them(day: date, name: str) -> None:
    assert festivals(day, day) == {day: name}


def test_ordinary_days_have_no_name_and_every_name_has_a_prior() -> None:
    found = festivals(date(2024, 1, 1), date(2027, 12, 31))
    assert date(2026, 7, 15) not in found
    assert set(found.values()) == set(PRIORS)
    assert min(found) >= date(2024, 1, 1)


def test_a_worked_weekend_sells_like_a_working_day() -> None:
    days = tuple(date(2026, 1, 5) + timedelta(days=each) for each in range(140))
    units = np.tile([20.0 if day.weekday() >= 5 else 8.0 for day in days], (6, 1))
    calendar = learn(units, days, np.zeros(units.shape, dtype=bool), {})
    saturday = date(2026, 10, 10)
    worked = calendar.of([saturday], {saturday: WORKING_WEEKEND})[0]
    assert worked == pytest.approx(calendar.of([date(2026, 10, 13)], {})[0], rel=0.02)
    assert worked < 0.5 * calendar.of([saturday], {})[0]


def test_a_festival_is_learned_for_each_group_of_products_and_what_was_never_seen_is_assumed() -> None:
    days = tuple(date(2025, 8, 1) + timedelta(days=each) for each in range(300))
    names = festivals(days[0], days[-1])
    units = np.full((40, 300), 10.0)
    eve = [at for at, day in enumerate(days) if names.get(day) == "before_spring_festival"]
    units[:20, eve] *= 4
    group = np.repeat([0, 1], 20)
    found = learn(units, days, np.zeros(units.shape, dtype=bool), names | {date(2026, 9, 25): "mid_autumn"}, group)
    gifts, other = found.grouped["before_spring_festival"]
    assert gifts > 3.5
    assert other == pytest.approx(1.15, abs=0.15)
    assert found.named["before_spring_festival"] == pytest.approx(2.4, abs=0.2)
    unseen = learn(units, days, np.zeros(units.shape, dtype=bool), {date(2027, 1, 1): "new_year"}, group)
    assert unseen.named["new_year"] == PRIORS["new_year"]


def test_demand_ahead_adds_up_over_parts_of_days_and_is_ordinary_beyond_what_is_known() -> None:
    demand = Demand(np.array([2.0]), np.array([1.5]), np.array([0.9]), np.array([[1.0, 3.0, 1.0]]))
    assert demand.over(np.array([1.5]))[0] == pytest.approx([2 * (1 + 1.5)])
    assert demand.over(np.array([5.0]))[0] == pytest.approx([2 * 7])
    assert demand.over(np.array([2.0]), since=1)[0] == pytest.approx([2 * 4])
    flat = Demand(np.array([2.0]), np.array([1.5]), np.array([0.9]))
    assert flat.over(np.array([5.0]), 2.0)[1] == pytest.approx([1.5 + 2 * 2 / 5])


def test_a_planned_promotion_raises_lines_and_brings_orders_forward_where_it_is_and_nowhere_else() -> None:
    units = np.random.default_rng(1).poisson(5, (4, 200)).astype(float)
    plain = plan_of(units, Coming())
    week = Promotion("sku0", TODAY + timedelta(days=12), TODAY + timedelta(days=18), frozenset({"store1"}), 3.0, "fair")
    moved = plan_of(units, Coming(promotions=[week]))
    assert moved.lines.warning.tolist() == plain.lines.warning.tolist()
    ordered = [[sum(each.quantity for each in made.orders if each.series == at) for at in range(4)]
               for made in (plain, moved)]  # fmt: skip
    assert ordered[0][0] == ordered[1][0]
    assert ordered[1][1] - ordered[0][1] == pytest.approx(7 * 5 * 2, abs=24)
    assert {each.occasion for each in moved.orders if each.series == 1} == {"", "fair"}
    assert {each.occasion for each in moved.orders if each.series != 1} == {""}
    near = Promotion("sku0", TODAY + timedelta(days=2), TODAY + timedelta(days=4), uplift=3.0)
    assert (plan_of(units, Coming(promotions=[near])).lines.warning[:2] > plain.lines.warning[:2] + 15).all()


def test_a_promotion_without_an_uplift_takes_what_past_ones_have_shown() -> None:
    units = np.random.default_rng(2).poisson(6, (6, 200)).astype(float)
    units[0, 100:110] *= 2.5
    then = TODAY - timedelta(days=100)
    past = Promotion("sku0", then, then + timedelta(days=9), frozenset({"store0"}))
    coming = Coming(promotions=[past, Promotion("sku2", TODAY, TODAY + timedelta(days=5))])
    own = history(units)
    promoted = past_promotions(own, coming.promotions)
    assert promoted.sum() == 10
    calendar = learn(own.units, own.days, promoted, {})
    factors = ahead(own, calendar, coming, 8)
    assert factors[4, 0] / factors[0, 0] == pytest.approx(calendar.promotion)
    assert 2 < calendar.promotion < 2.7


def test_weekdays_on_which_nobody_trades_sell_nothing_ahead() -> None:
    own = history(np.full((2, 90), 4.0))
    kept = np.array([day.weekday() != 6 for day in own.days])
    closed = History(own.series, tuple(np.array(own.days)[kept]), own.units[:, kept], own.known[:, kept],
                     own.promoted[:, kept], own.price, own.pack, own.lead, own.expiry_days, own.priced)  # fmt: skip
    calendar = learn(closed.units, closed.days, closed.promoted, {})
    assert (ahead(closed, calendar, Coming(), 14)[0] == 0).sum() == 2


def test_the_festivals_of_the_coming_days_are_told_with_what_is_expected_of_them() -> None:
    own = history(np.full((4, 120), 5.0))
    names = festivals(own.days[0], TODAY + timedelta(days=40))
    calendar = learn(own.units, own.days, own.promoted, names)
    told = {each.name: each.factor for each in occasions(own, calendar, Coming(names), 40)}
    assert told["before_mid_autumn"] == PRIORS["before_mid_autumn"]
    assert "national_day" in told
    assert WORKING_WEEKEND not in told
