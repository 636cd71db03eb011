"""A brand's calibration learns from what its people found, and only where that helps."""

import random
from math import exp

import pytest

from trace_service.detection.calibration import Calibration, Evidence, Features, Model, features, rate_of, worth
from trace_service.detection.refitting import Decision, Label, Review, propose, rates

SHIPPED = Calibration()
SHIFT = -2.0  # a market in which the same evidence is right far more rarely


def market(cases: int, seed: int, shift: float = SHIFT, audit: float = 0.25) -> list[Label]:
    """Return decided cases: the strongest are always looked at, of the others a known share."""
    draw = random.Random(seed)
    found: list[Label] = []
    while len(found) < cases:
        nats = draw.uniform(7, 16)
        inputs = features(
            Evidence(drip=nats, bulk=nats - draw.uniform(0, 6), spread=draw.random() < 0.4, home=draw.uniform(-2, 2))
        )
        selected = 1.0 if nats > 11 else audit  # nats
        if draw.random() < selected:
            true = draw.random() < truth(inputs, shift)
            found.append(Label(case=len(found), inputs=inputs, confirmed=true, weight=1 / selected))
    return found


def truth(inputs: Features, shift: float) -> float:
    odds = SHIPPED.claim.probability(inputs)
    return 1 / (1 + (1 - odds) / odds * exp(-shift))


def error(calibration: Calibration, shift: float = SHIFT) -> float:
    """Return how far probabilities are from the truth, on average over other cases of the market."""
    unseen = [each.inputs for each in market(400, seed=99, shift=shift)]
    return sum(abs(calibration.claim.probability(each) - truth(each, shift)) for each in unseen) / len(unseen)


@pytest.mark.parametrize("seed", range(3))
def test_a_market_with_another_base_rate_is_calibrated_after_some_hundred_outcomes(seed: int) -> None:
    found = propose(market(300, seed), "x.1", SHIPPED)
    assert found.decision is Decision.ADOPTED
    assert found.calibration is not None
    assert found.calibration.version == "x.1"
    assert error(SHIPPED) > 0.25  # what the shipped one is wrong by
    assert error(found.calibration) < 0.08  # a third of that


@pytest.mark.parametrize("seed", range(3))
def test_a_calibration_that_is_far_too_sure_is_refitted_all_the_same(seed: int) -> None:
    """Newton's whole steps lead away from the answer there."""
    claim = SHIPPED.claim
    sure = Calibration(claim=Model(tuple(2 * each for each in claim.coefficients), claim.covariance))
    found = propose(market(300, seed), "x.1", sure)
    assert found.decision is Decision.ADOPTED
    assert found.calibration is not None
    assert error(sure) > 0.35
    assert error(found.calibration) < 0.15


def test_a_market_like_those_it_was_fitted_on_is_left_nearly_as_it_is() -> None:
    found = propose(market(200, 5, shift=0.0), "x.1", SHIPPED)
    assert found.calibration is None or error(found.calibration, 0.0) < 0.05


def test_a_refit_is_adopted_exactly_where_it_does_better_on_cases_that_it_has_not_seen() -> None:
    found = propose(market(60, 8, shift=-1.2), "x.1", SHIPPED)
    assert (found.calibration is None) == (found.decision is Decision.WORSE)
    assert found.loss_before is not None
    assert found.loss_after is not None
    assert (found.loss_after < found.loss_before) == (found.decision is Decision.ADOPTED)


def test_few_or_one_sided_outcomes_change_nothing() -> None:
    assert propose(market(20, 1), "x.1", SHIPPED).decision is Decision.FEW
    certain = [
        Label(case=number, inputs=each.inputs, confirmed=True, weight=1.0) for number, each in enumerate(market(80, 1))
    ]
    assert propose(certain, "x.1", SHIPPED).decision is Decision.ONE_SIDED


def test_several_alerts_of_one_case_say_no_more_than_one() -> None:
    labels = market(120, 3)
    thrice = [each for each in labels for _ in range(3)]
    once, again = propose(labels, "x.1", SHIPPED), propose(thrice, "x.1", SHIPPED)
    assert once.calibration is not None
    assert again.calibration is not None
    assert again.cases == once.cases
    assert again.calibration.claim.coefficients == pytest.approx(once.calibration.claim.coefficients, abs=1e-6)


def decided(detector: str, right: int, wrong: int, weight: float = 1.0) -> list[Review]:
    """Return cases of one alert each on papers or registers, so many of them confirmed."""
    return [
        Review(case=number, detector=detector, confirmed=number < right, weight=weight)
        for number in range(right + wrong)
    ]


def test_the_rate_of_a_kind_on_record_follows_what_people_found_of_that_kind_alone() -> None:
    found = rates(decided("rebind", 10, 30), SHIPPED.on_record)
    share, (low, high) = found["rebind"]
    assert 0.25 < share < 0.45  # ten of forty, and a prior of ten nearly always right
    assert low < share < high
    assert {**found, "rebind": None} == {**SHIPPED.on_record, "rebind": None}


def test_a_rate_is_kept_where_few_were_decided_or_the_shipped_one_tells_them_as_well() -> None:
    assert rates(decided("backflow", 0, 9), SHIPPED.on_record) == SHIPPED.on_record
    assert rates(decided("rebind", 97, 3), SHIPPED.on_record) == SHIPPED.on_record
    several = [Review(case=1, detector="forged", confirmed=False, weight=1.0)] * 30
    assert rates(several, SHIPPED.on_record) == SHIPPED.on_record, "alerts of one case are one answer"
    assert rates(decided("clone", 10, 30, weight=4.0), SHIPPED.on_record) == rates(
        decided("clone", 10, 30), SHIPPED.on_record
    ), "weights say which cases count more, not that there are more of them"


@pytest.mark.parametrize("detector", sorted(SHIPPED.on_record))
def test_a_shipped_rate_is_worth_the_reviews_that_give_it_its_band(detector: str) -> None:
    share, (low, high) = SHIPPED.on_record[detector]
    again = rate_of(share, worth((share, (low, high))))
    assert again[1][1] - again[1][0] == pytest.approx(high - low, abs=0.06)
