"""The arithmetic of evidence: more cases never speak for innocence, more honest traffic never for guilt."""

from math import exp, lgamma, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.calibration import Calibration, Evidence, Model, features, refit
from trace_service.detection.detectors.collusion import choice_nats, common_nats
from trace_service.detection.ratios import bulk_nats, dispersion_at, drip_nats, gift_capped, gift_nats, home_nats

means = st.floats(1e-4, 20)
located = st.floats(1, 2000)


@given(count=st.integers(0, 40), honest=means, seen=located)
def test_a_further_case_above_expectation_never_speaks_for_innocence(count: int, honest: float, seen: float) -> None:
    if count > honest:
        assert drip_nats(count + 1, honest, seen) >= drip_nats(count, honest, seen) - 1e-9 or count > seen / 2


@given(count=st.integers(1, 40), honest=means, seen=located)
def test_more_honest_traffic_never_speaks_for_guilt_of_few(count: int, honest: float, seen: float) -> None:
    if count > 2 * honest:
        assert drip_nats(count, honest * 1.5, seen) <= drip_nats(count, honest, seen) + 1e-9


def test_thousands_of_cases_are_weighed_like_sixty_in_proportion() -> None:
    assert drip_nats(6000, 100.0, 10_000.0) == drip_nats(60, 1.0, 100.0)


def test_a_ratio_is_an_e_value_under_the_honest_model() -> None:
    """The mean of exp(nats) over honest counts is at most one: ten times the cells need ln 10 more nats."""
    mean, seen = 0.3, 40.0
    size = 1 / dispersion_at(mean)
    total = 0.0
    for count in range(61):
        chance = lgamma(count + size) - lgamma(size) - lgamma(count + 1)
        chance += size * log(size / (size + mean)) + count * log(mean / (size + mean))
        total += exp(chance) * exp(drip_nats(count, mean, seen))
    assert total <= 1.0 + 1e-6


@given(ratios=st.lists(st.floats(0.01, 1e4), min_size=1, max_size=30), present=st.floats(-400, 400))
def test_cases_elsewhere_weaken_a_shipment_and_a_gift_caps_it(ratios: list[float], present: float) -> None:
    nats = bulk_nats(ratios)
    assert bulk_nats([*ratios, 0.1]) <= nats + 1e-9
    assert gift_capped(nats, present) <= min(nats, nats - present) + 1e-9
    assert gift_capped(nats, present) == pytest.approx(nats - log(1 + exp(present)), abs=1e-9)


@given(cases=st.integers(1, 12), rarely=st.floats(0.01, 0.9), more=st.floats(0.01, 0.1))
def test_a_present_explains_the_more_the_more_of_its_cases_are_seen(cases: int, rarely: float, more: float) -> None:
    here = [1e3] * cases
    assert gift_nats(here, (), cases, rarely + more) > gift_nats(here, (), cases, rarely)


@given(cases=st.integers(1, 30), of=st.integers(0, 30), seen=st.floats(0.1, 1.0))
def test_a_present_takes_any_cases_of_a_shipment(cases: int, of: int, seen: float) -> None:
    """Whatever is seen elsewhere by positions that never err makes just these cases one choice of many."""
    alone = gift_nats([1e3] * cases, (), cases, seen)
    choices = lgamma(cases + of + 1) - lgamma(cases + 1) - lgamma(of + 1)
    beside = gift_nats([1e3] * cases, [0.0] * of, cases, seen)
    assert beside == pytest.approx(alone + log((cases + of) / cases) - choices)


@given(cases=st.integers(1, 12), of=st.integers(1, 30), seen=st.floats(0.1, 1.0))
def test_positions_that_err_leave_more_to_a_present(cases: int, of: int, seen: float) -> None:
    here = [1e3] * cases
    assert gift_nats(here, [0.45] * of, cases, seen) > gift_nats(here, [0.05] * of, cases, seen)


def test_a_few_cases_of_a_shipment_that_was_seen_at_home_are_a_present_rather_than_all_of_a_small_one() -> None:
    """Ten of thirteen cases were opened elsewhere: a present of three; where nothing else is seen, goods that left."""
    here, seen, place = [1e4] * 3, 0.57, log(0.01)
    whole = gift_capped(bulk_nats(here), place + gift_nats(here, (), 3, seen))
    part = gift_capped(bulk_nats([*here, *[0.15] * 10]), place + gift_nats(here, [0.15] * 10, 3, seen))
    assert part < whole - 1.5


def test_cases_seen_at_home_speak_for_travellers() -> None:
    assert home_nats(5, 0, 0.3) > 0 > home_nats(5, 2, 0.3)


def test_many_cases_that_were_not_seen_at_home_say_no_more_than_a_few() -> None:
    assert home_nats(4, 0, 0.3) < home_nats(40, 0, 0.3) == home_nats(400, 0, 0.3)


def test_dealers_picked_among_many_of_a_city_need_more_to_be_colluding() -> None:
    """A pair among a hundred dealers is one of 4,950; among five it is paid for by what is taken off anyway."""
    assert choice_nats(5, 2) == 0.0
    assert choice_nats(100, 2) > 5
    assert choice_nats(100, 4) > choice_nats(100, 3) > choice_nats(50, 3)


def test_strong_cells_say_less_to_collusion_where_they_are_common() -> None:
    assert common_nats(30, 1500) == 0.0
    assert 0.5 < common_nats(150, 1500) < common_nats(300, 1500) < common_nats(3000, 15_000) < 3.5


def _evidence(nats: float) -> Evidence:
    return Evidence(drip=nats, bulk=nats, spread=False, home=0.5)


def test_the_shipped_calibration_rises_with_the_evidence_and_its_band_holds_it() -> None:
    shipped = Calibration()
    found = [shipped.claim.judge(features(_evidence(nats))) for nats in (2.0, 8.0, 14.0)]
    assert found[0][0] < found[1][0] < found[2][0]
    assert all(low <= probability <= high for probability, (low, high) in found)


def test_reviewed_outcomes_move_the_calibration_by_their_weight() -> None:
    shipped: Model = Calibration().claim
    inputs = features(_evidence(9.0))
    before = shipped.probability(inputs)
    lower = refit(shipped, [inputs] * 40, [False] * 40, [1.0] * 40).probability(inputs)
    barely = refit(shipped, [inputs] * 40, [False] * 40, [0.01] * 40).probability(inputs)
    assert lower < barely < before
