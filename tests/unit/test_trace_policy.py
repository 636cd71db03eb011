from dataclasses import replace
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from trace_service.replenishment.policy import Position, propose

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
LOW = Position(on_hand=8, in_transit=0, reorder=12, maximum=48, daily_demand=3.0, items_per_case=6, source="shelf")


def test_below_the_line_whole_cases_are_ordered_up_to_the_maximum() -> None:
    order = propose(LOW, NOON, standing=False)
    assert order is not None
    assert order.quantity == 36
    assert order.reason["parameters"]["cases"] == 6
    assert order.need_by == date(2026, 3, 4)


def test_at_the_line_an_order_is_due_and_above_it_is_not() -> None:
    assert propose(replace(LOW, on_hand=12), NOON, standing=False) is not None
    assert propose(replace(LOW, on_hand=13), NOON, standing=False) is None


def test_a_standing_order_outlasts_a_unit_that_was_put_back_but_not_a_case() -> None:
    assert propose(replace(LOW, on_hand=17), NOON, standing=True) is not None
    assert propose(replace(LOW, on_hand=18), NOON, standing=True) is None


def test_a_delivery_is_due_on_the_store_s_own_day() -> None:
    evening = propose(LOW, datetime(2026, 3, 2, 15, 59, tzinfo=UTC), standing=False)
    midnight = propose(LOW, datetime(2026, 3, 2, 16, 0, tzinfo=UTC), standing=False)
    assert evening is not None
    assert midnight is not None
    assert (evening.need_by, midnight.need_by) == (date(2026, 3, 4), date(2026, 3, 5))


def test_what_is_on_its_way_counts() -> None:
    assert propose(replace(LOW, in_transit=36), NOON, standing=False) is None


def test_nothing_is_ordered_without_a_figure_or_room_for_a_case() -> None:
    assert propose(replace(LOW, on_hand=None), NOON, standing=False) is None
    assert propose(replace(LOW, maximum=13), NOON, standing=False) is None


def test_the_risk_of_running_out_falls_with_stock_and_is_a_probability() -> None:
    risks = []
    for stock in (0, 4, 8, 12):
        order = propose(replace(LOW, on_hand=stock), NOON, standing=False)
        assert order is not None
        risks.append(order.reason["parameters"]["p_stockout"])
    assert risks == sorted(risks, reverse=True)
    assert 0.9 < risks[0] <= 1
    still = propose(replace(LOW, daily_demand=0.0), NOON, standing=False)
    assert still is not None
    assert still.reason["parameters"]["p_stockout"] == 0


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 30), st.integers(0, 60), st.integers(1, 24))
def test_an_order_is_whole_cases_and_never_exceeds_the_maximum(
    on_hand: int, in_transit: int, reorder: int, room: int, case: int
) -> None:
    position = Position(on_hand, in_transit, reorder, reorder + room, 2.0, case, "shelf")
    order = propose(position, NOON, standing=False)
    if order is not None:
        assert order.quantity % case == 0
        assert on_hand + in_transit <= reorder
        assert on_hand + in_transit + order.quantity <= position.maximum
