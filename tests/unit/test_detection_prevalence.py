"""A market in which little is true makes strange cells less probable; addresses alone may be a carrier's gateway."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.calibration import Calibration, Evidence, features
from trace_service.detection.prevalence import USUAL, log_odds, shift
from trace_service.detection.ratios import GATEWAY, gateway_capped

odds = st.lists(st.floats(-6, 6), max_size=60)


def test_a_market_with_few_and_weak_strange_cells_is_taken_as_nearly_honest() -> None:
    weak = [log_odds(each) for each in (0.35, 0.5, 0.6, 0.45, 0.7, 0.3, 0.4, 0.55)]
    assert shift(weak) < -0.8
    assert 1 / (1 + 2.718 ** -(log_odds(0.7) + shift(weak))) < 0.6


def test_a_market_with_many_sure_cells_is_judged_as_the_calibration_says() -> None:
    sure = [log_odds(each) for each in (0.97, 0.99, 0.9, 0.95, 0.6, 0.98, 0.4, 0.93)] * 4
    assert shift(sure) > -0.3


def test_a_market_of_which_nothing_is_known_is_judged_as_the_calibration_says() -> None:
    assert shift([]) == 0.0
    assert shift([log_odds(USUAL)]) == pytest.approx(0.0, abs=0.3)


@given(odds=odds, place=st.integers(0, 59), more=st.floats(0, 5))
def test_a_surer_cell_never_makes_the_market_more_honest_and_nothing_makes_it_guiltier(
    odds: list[float], place: int, more: float
) -> None:
    before = shift(odds)
    assert -3.0 <= before <= 0.0
    if odds:
        raised = [each + more * (index == place % len(odds)) for index, each in enumerate(odds)]
        assert shift(raised) >= before - 1e-9


def test_a_shifted_calibration_keeps_its_version_and_its_order() -> None:
    shipped = Calibration()
    stricter = shipped.shifted(-1.5)
    assert stricter.version == shipped.version
    inputs = [features(Evidence(drip=nats, bulk=nats - 2, spread=False, home=0.3)) for nats in (7.0, 10.0, 13.0)]
    for each in inputs:
        before, after = shipped.claim.probability(each), stricter.claim.probability(each)
        assert log_odds(before) - log_odds(after) == pytest.approx(1.5)


@given(nats=st.floats(0.1, 200), share=st.floats(0, 1))
def test_addresses_alone_are_never_worth_more_than_a_gateway_is_rare(nats: float, share: float) -> None:
    """What positions add to them counts in full."""
    by_address = nats * share
    capped = gateway_capped(nats, by_address)
    assert capped <= nats
    assert capped <= nats - by_address - log(GATEWAY) + 1e-9
    assert gateway_capped(nats, nats) <= -log(GATEWAY) + 1e-9
    assert gateway_capped(nats, -1.0) == nats
