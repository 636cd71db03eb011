"""From nats to a probability that has been true as often as it says: logistic, fitted to reviewed outcomes."""

from math import exp, log
from typing import Final

from trace_service.detection.changes import Claim
from trace_service.detection.flow import Weighed

# Claims of detectors that read papers and registries rest on records, not on a ratio.
_FLOW: Final = frozenset(("drip", "bulk", "province", "outflow"))


class Calibration:
    """The shipped model; `version` names it in every alert."""

    version = "0"
    flow = (-6.0, 0.6)
    flow_deviation = 0.5

    def judge(self, claim: Claim) -> tuple[float, tuple[float, float]]:
        """Return the probability that a claim is true, and its 95 % band."""
        if claim.detector not in _FLOW:
            return 0.97, (0.9, 0.99)
        score = self.flow[0] + self.flow[1] * claim.nats
        return _logistic(score), (_logistic(score - self.flow_deviation), _logistic(score + self.flow_deviation))

    def of_cell(self, weighed: Weighed) -> float:
        """Return the probability that a dealer's goods are diverted to a city."""
        return _logistic(self.flow[0] + self.flow[1] * max(weighed.drip, weighed.bulk, -5.0))


def _logistic(score: float) -> float:
    return 1 / (1 + exp(-score)) if score > -log(1e12) else 0.0
