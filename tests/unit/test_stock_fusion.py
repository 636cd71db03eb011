import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.domain.counting import Candidate, Lot, count_list, first_expired
from trace_service.stock.fusion import Figure, Place, fuse, fused, median_of_three


def follow(ledger: int, readings: list[tuple[int | None, float]], *, sells: bool = True) -> list[Figure]:
    """Let readings come one after the other while the ledger stands still."""
    figures: list[Figure] = []
    differences: tuple[int, ...] = ()
    settled: int | None = None
    for sensed, confidence in readings:
        figure = fuse(
            Place(ledger, counted=True, sells_by_scan=sells, differences=differences, settled=settled),
            sensed,
            confidence,
        )
        differences, settled = figure.differences, figure.settled
        figures.append(figure)
    return figures


def test_one_wrong_reading_changes_nothing_and_a_theft_shows_after_the_second() -> None:
    figures = follow(20, [(20, 0.9), (20, 0.9), (20, 0.9), (3, 0.9), (20, 0.9), (20, 0.9), (18, 0.9), (18, 0.9)])
    assert [each.quantity for each in figures] == [20, 20, 20, 20, 20, 20, 20, 18]
    assert [each.lost for each in figures] == [0, 0, 0, 0, 0, 0, 0, 2]
    assert figures[2].certainty > 0.95
    assert figures[3].certainty < figures[2].certainty


def test_goods_put_up_without_a_scan_are_found() -> None:
    assert [each.found for each in follow(5, [(5, 0.9), (5, 0.9), (11, 0.9), (11, 0.9)])] == [0, 0, 0, 6]


def test_books_that_promise_what_is_not_there_are_phantom_stock() -> None:
    figures = follow(4, [(4, 0.9), (4, 0.9), (0, 0.9), (0, 0.9), (0, 0.9)])
    assert [each.phantom for each in figures] == [0, 0, 0, 4, 4]


def test_a_shelf_that_cannot_be_believed_leaves_the_last_figure_with_less_certainty() -> None:
    figures = follow(9, [(9, 0.9), (9, 0.9), (9, 0.9), (1, 0.2)])
    assert figures[-1].quantity == 9
    assert figures[-1].certainty <= 0.4


def test_where_nobody_scans_sales_the_shelf_alone_counts_and_nothing_is_shrinkage() -> None:
    figures = follow(0, [(14, 0.9), (12, 0.9), (5, 0.9)], sells=False)
    assert [each.quantity for each in figures] == [14, 12, 5]
    assert not any(each.lost or each.phantom for each in figures)


def test_without_any_shelf_the_ledger_is_the_figure_and_not_a_sure_one() -> None:
    figure = fuse(Place(7, counted=True, sells_by_scan=True, differences=(), settled=None), None, 0.0)
    assert (figure.quantity, figure.certainty < 0.5) == (7, True)
    assert fuse(Place(0, counted=False, sells_by_scan=False, differences=(), settled=None), None, 0.0).quantity is None


@given(st.lists(st.integers(-50, 50), min_size=3, max_size=3), st.integers(-10, 100))
def test_the_vectorised_median_is_the_median(differences: list[int], ledger: int) -> None:
    assert median_of_three(np.array(differences)) == sorted(differences)[1]
    assert fused(np.array(ledger), np.array(differences)) == max(0, ledger + sorted(differences)[1])


def candidate(site: str, **changes: float) -> Candidate:
    values = {"certainty": 0.9, "daily_demand": 3.0, "unit_price": 100.0, "days": 1.0} | changes
    return Candidate(site, "09506000134352", 5, findings=0, **values)


def test_a_walk_begins_where_a_wrong_figure_costs_most() -> None:
    ranked = count_list([candidate("sure"), candidate("doubtful", certainty=0.2), candidate("old", days=60)])
    assert [each.candidate.site for each in ranked] == ["doubtful", "old", "sure"]
    assert ranked[0].value == pytest.approx(0.804 * 900, rel=0.01)


def test_what_expires_first_has_gone_first() -> None:
    lots = [Lot("B", "2027-05-01", 6), Lot("A", "2026-12-01", 6), Lot("C", "2027-09-01", 6)]
    assert first_expired(lots, 8) == [Lot("B", "2027-05-01", 2), Lot("C", "2027-09-01", 6)]
    assert first_expired(lots, 20)[-1] == Lot("", None, 2)
    assert first_expired([], 0) == []
