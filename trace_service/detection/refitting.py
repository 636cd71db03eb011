"""A brand's own calibration from its reviewed outcomes: proposed, and held against the shipped one. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import log
from typing import Final

import numpy as np
from msgspec import Struct

from trace_service.detection.calibration import Calibration, Features, Model, Rate, rate_of, refit, worth

_LEAST_CASES: Final = 40
_LEAST_OF_EACH: Final = 5
_FOLDS: Final = 5
# What was learned on generated markets counts for this much less on a real one.
_DOUBT: Final = 9.0
_SMALLEST: Final = 1e-4
_LEAST_OF_A_KIND: Final = 10


class Decision(StrEnum):
    """What became of a refit."""

    ADOPTED = "adopted"
    FEW = "few"  # cases
    ONE_SIDED = "one_sided"  # hardly any confirmed, or hardly any not
    WORSE = "worse"  # on cases that it was not fitted to


class Label(Struct, frozen=True, kw_only=True):
    """One alert of a case that a person decided; `weight` is one over the chance that the case was looked at."""

    case: int
    inputs: Features
    confirmed: bool
    weight: float


class Review(Struct, frozen=True, kw_only=True):
    """One alert on papers or registers of a case that a person decided; its detector has a rate and no features."""

    case: int
    detector: str
    confirmed: bool
    weight: float


class Proposal(Struct, frozen=True, kw_only=True):
    """A refit, and mean log losses over cases that it was not fitted to: of the shipped calibration, and of it."""

    decision: Decision
    cases: int
    confirmed: int
    loss_before: float | None = None
    loss_after: float | None = None
    calibration: Calibration | None = None


def propose(labels: Sequence[Label], version: str, shipped: Calibration) -> Proposal:
    """Refit the shipped calibration to labels, unless they are too few or it would do worse on unseen ones."""
    outcomes = {each.case: each.confirmed for each in labels}
    cases, confirmed = len(outcomes), sum(outcomes.values())
    if cases < _LEAST_CASES:
        return Proposal(decision=Decision.FEW, cases=cases, confirmed=confirmed)
    if min(confirmed, cases - confirmed) < _LEAST_OF_EACH:
        return Proposal(decision=Decision.ONE_SIDED, cases=cases, confirmed=confirmed)
    cell, claim = _doubted(shipped.cell), _doubted(shipped.claim)
    before, after = _loss(shipped.claim, labels), _unseen_loss(claim, labels)
    adopted = after < before
    return Proposal(
        decision=Decision.ADOPTED if adopted else Decision.WORSE,
        cases=cases,
        confirmed=confirmed,
        loss_before=before,
        loss_after=after,
        calibration=Calibration(version, _fit(cell, labels), _fit(claim, labels)) if adopted else None,
    )


def rates(reviews: Sequence[Review], shipped: Mapping[str, Rate]) -> dict[str, Rate]:
    """Return the shipped rates of claims on papers and registers with those that reviewed outcomes make better.

    The shipped rate is a Beta prior worth its band, less what was learned on generated markets counts on a real one. A
    detector has its own where ten cases were decided, and where each is told better by the others than by the prior.
    """
    found = dict(shipped)
    for detector, rate in shipped.items():
        # Several alerts of a case are one answer.
        own = list({each.case: each for each in reviews if each.detector == detector}.values())
        if len(own) < _LEAST_OF_A_KIND:
            continue
        scale = sum(each.weight for each in own) / sum(each.weight**2 for each in own)
        share, prior = rate[0], worth(rate) / _DOUBT
        right = share * prior + sum(each.weight * scale for each in own if each.confirmed)
        every = prior + sum(each.weight * scale for each in own)
        before = after = 0.0
        for each in own:
            mine = each.weight * scale
            others = (right - mine * each.confirmed) / (every - mine)
            before -= mine * log(share if each.confirmed else 1 - share)
            after -= mine * log(others if each.confirmed else 1 - others)
        if after < before:
            found[detector] = rate_of(right / every, every)
    return found


def _doubted(model: Model) -> Model:
    return Model(model.coefficients, tuple(tuple(_DOUBT * each for each in row) for row in model.covariance))


def _fit(prior: Model, labels: Sequence[Label]) -> Model:
    weights = _weights(labels)
    return refit(prior, [each.inputs for each in labels], [each.confirmed for each in labels], weights)


def _weights(labels: Sequence[Label]) -> list[float]:
    """Return weights that add up to the number of cases that say as much (Kish), each case's shared by its alerts."""
    alerts = np.bincount(np.unique([each.case for each in labels], return_inverse=True)[1])
    of_case = dict(zip(np.unique([each.case for each in labels]).tolist(), alerts.tolist(), strict=True))
    raw = np.array([each.weight / of_case[each.case] for each in labels])
    by_case = {each.case: each.weight for each in labels}
    whole = np.array(list(by_case.values()))
    found: list[float] = (raw * whole.sum() / (whole**2).sum()).tolist()
    return found


def _unseen_loss(prior: Model, labels: Sequence[Label]) -> float:
    """Return the mean log loss over cases, each judged by a model of the other folds."""
    fold = {case: place % _FOLDS for place, case in enumerate(dict.fromkeys(each.case for each in labels))}
    total = weight = 0.0
    for number in range(_FOLDS):
        unseen = [each for each in labels if fold[each.case] == number]
        model = _fit(prior, [each for each in labels if fold[each.case] != number])
        part = sum(_weights(unseen))
        total, weight = total + part * _loss(model, unseen), weight + part
    return total / weight


def _loss(model: Model, labels: Sequence[Label]) -> float:
    weights = _weights(labels)
    total = 0.0
    for each, weight in zip(labels, weights, strict=True):
        chance = min(1 - _SMALLEST, max(_SMALLEST, model.probability(each.inputs)))
        total -= weight * log(chance if each.confirmed else 1 - chance)
    return total / sum(weights)
