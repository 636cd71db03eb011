"""From nats to a probability that has been true as often as it says: logistic, refitted on reviewed outcomes.

Two models of the same features: one for a cell at the end of a week, one for a claim that is strong enough to be
looked at. The shipped coefficients were fitted on generated worlds (docs/detection.md names the seeds) and are the
prior of every refit.
"""

from collections.abc import Callable, Mapping, Sequence
from math import exp, log, sqrt
from typing import Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from trace_service.detection import calibration_prior
from trace_service.detection.network import FloatArray

Features = tuple[float, ...]
# How often claims of a kind are right, and the 95 % band of that.
Rate = tuple[float, tuple[float, float]]
FEATURES: Final = ("one", "drip nats", "bulk nats", "larger of both", "spread", "home nats")
_FLOOR: Final = -5.0
_DRIP_TOP: Final = 20.0
_BULK_TOP: Final = 16.0
_Z95: Final = 1.96
_STEPS: Final = 25
_HALVINGS: Final = 20
_ROUNDING: Final = 1e-9
UNKNOWN_RATE: Final[Rate] = (0.5, (0.0, 1.0))
# Claims that rest on papers and registries: how often they were right in the worlds of docs/detection.md, with a prior.
ON_RECORD: Final[Mapping[str, Rate]] = {
    "forged": (0.97, (0.90, 0.99)),
    "clone": (0.95, (0.85, 0.99)),
    "rebind": (0.97, (0.90, 0.99)),
    "backflow": (0.96, (0.88, 0.99)),
    "level_skip": (0.96, (0.88, 0.99)),
    "off_route": (0.9, (0.7, 0.98)),
    "withheld": (0.96, (0.88, 0.99)),
    "province": (0.8, (0.5, 0.95)),
    "collusion": (0.7, (0.4, 0.9)),
    "outflow": (0.8, (0.5, 0.95)),
    "dwell": (0.3, (0.1, 0.6)),
    "label_removal": (0.3, (0.1, 0.6)),
}


class Evidence(Struct, frozen=True, kw_only=True):
    """What is known of a place when its probability is asked for."""

    drip: float
    bulk: float
    spread: bool
    home: float


def features(evidence: Evidence) -> Features:
    """Return the model's inputs, in the order of FEATURES."""
    drip = min(_DRIP_TOP, max(_FLOOR, evidence.drip))
    bulk = min(_BULK_TOP, max(_FLOOR, evidence.bulk))
    return 1.0, drip, bulk, max(drip, bulk), float(evidence.spread), evidence.home


class Model(Struct, frozen=True):
    """Coefficients of one logistic regression, and the covariance of their errors."""

    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def judge(self, inputs: Features) -> tuple[float, tuple[float, float]]:
        """Return a probability and its 95 % band."""
        score = sum(weight * value for weight, value in zip(self.coefficients, inputs, strict=True))
        row = np.array(inputs)
        deviation = _Z95 * sqrt(max(0.0, float(row @ np.array(self.covariance) @ row)))
        return _logistic(score), (_logistic(score - deviation), _logistic(score + deviation))

    def probability(self, inputs: Features) -> float:
        """Return the probability alone."""
        return score(self.coefficients, inputs)


class Calibration(Struct, frozen=True):
    """The models in force; `version` names them in every alert."""

    version: str = calibration_prior.VERSION
    cell: Model = Model(calibration_prior.CELL, calibration_prior.CELL_COVARIANCE)
    claim: Model = Model(calibration_prior.CLAIM, calibration_prior.CLAIM_COVARIANCE)
    on_record: Mapping[str, Rate] = field(default_factory=lambda: dict(ON_RECORD))

    def shifted(self, odds: float) -> "Calibration":
        """Return the same models with so much added to all log odds: for a market where less, or more, is true."""
        return Calibration(self.version, _shifted(self.cell, odds), _shifted(self.claim, odds), self.on_record)


def refit(prior: Model, rows: Sequence[Features], true: Sequence[bool], weights: Sequence[float]) -> Model:
    """Return a model of reviewed outcomes, starting from a prior that is given up as far as they speak against it.

    `weights` are one over the probability with which each case was chosen for review, so that reviewing the strongest
    alerts first does not bend the answer.
    """
    inputs, outcome, weight = np.array(rows), np.array(true, dtype=np.float64), np.array(weights)
    centre = np.array(prior.coefficients)
    precision = np.linalg.inv(np.array(prior.covariance))

    def likelihood(at: FloatArray) -> float:
        scores, away = inputs @ at, at - centre
        return float(weight @ (outcome * scores - np.logaddexp(0, scores)) - away @ precision @ away / 2)

    beta, curvature = centre.copy(), precision
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ beta, -30, 30)))
        slope = inputs.T @ (weight * (outcome - chance)) - precision @ (beta - centre)
        curvature = (inputs * (weight * chance * (1 - chance))[:, None]).T @ inputs + precision
        beta = _uphill(likelihood, beta, np.linalg.solve(curvature, slope))
    return Model(tuple(beta.tolist()), _rows(np.linalg.inv(curvature)))


def _uphill(likelihood: Callable[[FloatArray], float], start: FloatArray, step: FloatArray) -> FloatArray:
    """Return where Newton's step leads, halved until that is no worse: far from the top it overshoots."""
    least = likelihood(start) - _ROUNDING
    for halvings in range(_HALVINGS):
        found: FloatArray = start + step / 2**halvings
        if likelihood(found) >= least:
            return found
    return start


def worth(rate: Rate) -> float:
    """Return how many reviewed findings would give a rate its band."""
    share, (low, high) = rate
    spread = (_logit(high) - _logit(low)) / (2 * _Z95)
    return 1 / (spread**2 * share * (1 - share))


def rate_of(share: float, reviewed: float) -> Rate:
    """Return a share of so many reviewed findings with its 95 % band."""
    spread = _Z95 / sqrt(reviewed * share * (1 - share))
    return share, (_logistic(_logit(share) - spread), _logistic(_logit(share) + spread))


def _logit(share: float) -> float:
    return log(share / (1 - share))


def _shifted(model: Model, odds: float) -> Model:
    return Model((model.coefficients[0] + odds, *model.coefficients[1:]), model.covariance)


def _rows(matrix: FloatArray | NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


def score(coefficients: Sequence[float], inputs: Features) -> float:
    """Return the probability that coefficients give for inputs."""
    return _logistic(sum(weight * value for weight, value in zip(coefficients, inputs, strict=True)))


def _logistic(score: float) -> float:
    return 1 / (1 + exp(-min(30.0, max(-30.0, score))))
