"""How common diversion is in this market: an empirical prior from all its strange cells together. Pure.

A calibration fitted on markets with many diverters is too sure of itself in one without: there the strangest cells are
the tail of honest trade. The share of true ones among those that are nearly an alert is estimated by expectation
maximisation over their odds (B. Efron, Large-Scale Inference, 2010, on empirical Bayes and false discovery), with the
markets of the calibration as a prior worth some cells. Only what lowers probabilities is used.
"""

from collections.abc import Sequence
from math import log
from typing import Final

import numpy as np

# The share of such cells that was true in the markets of the calibration, and how many cells that counts for.
USUAL: Final = 0.75
_WORTH: Final = 10.0
_STEPS: Final = 40
_LOWEST: Final = -3.0
_MOST: Final = 8.0


def log_odds(probability: float) -> float:
    """Return ln(p / (1 - p)), within reason."""
    kept = min(1 - 1e-9, max(1e-9, probability))
    return log(kept / (1 - kept))


def shift(odds: Sequence[float]) -> float:
    """Return what to add to log odds so that they are right in a market whose cells have these; never above 0."""
    if not odds:
        return 0.0
    given = np.clip(np.array(odds), -_MOST, _MOST)
    usual = log_odds(USUAL)
    share, found = USUAL, 0.0
    for _ in range(_STEPS):
        found = log_odds(share) - usual
        chances = 1 / (1 + np.exp(-(given + found)))
        share = (_WORTH * USUAL + float(chances.sum())) / (_WORTH + len(given))
    return min(0.0, max(_LOWEST, found))
