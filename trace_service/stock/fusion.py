"""One figure from two that err differently: the ledger misses thefts, the shelf misjudges now and then. Pure.

The ledger moves with every scan; what it does not see shows as the difference between shelf and ledger. The median of
the last three differences follows a theft after two readings and forgets a single wrong reading.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

KEPT: Final = 3
LEAST_CONFIDENCE: Final = 0.5
LEDGER_CERTAINTY: Final = 0.35
"""How often a ledger that nobody checks is exact: about one time in three."""
_AGREEING: Final = (0.0, 0.6, 0.85, 0.97)
"""Certainty by how many of the last three differences say the same."""
_PHANTOM_CERTAINTY: Final = 0.8


class Place(NamedTuple):
    """What is known of one product at one site before a reading; `sells_by_scan` where sales are in the ledger."""

    ledger: int
    counted: bool
    sells_by_scan: bool
    differences: tuple[int, ...]
    settled: int | None


class Figure(NamedTuple):
    """What is there, how certain that is, and what was learnt on the way."""

    quantity: int | None
    certainty: float
    differences: tuple[int, ...]
    settled: int | None
    lost: int = 0
    """Items that went without a scan."""
    found: int = 0
    """Items that came without a scan."""
    phantom: int = 0
    """Items that the ledger has while nothing is there."""


def median_of_three(differences: Ints) -> Ints:
    """Return the median along the last axis of three columns, oldest first."""
    first, second, third = differences[..., 0], differences[..., 1], differences[..., 2]
    middle: Ints = np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), third))
    return middle


def fused(ledger: Ints, differences: Ints) -> Ints:
    """Return ledger + median of three, never below nothing; shapes (n,) and (n, 3)."""
    quantity: Ints = np.maximum(ledger + median_of_three(differences), 0)
    return quantity


def fuse(place: Place, sensed: int | None, confidence: float) -> Figure:
    """Take a reading in, or None where no shelf looks, and return the figure with what it reveals."""
    believed = sensed is not None and confidence >= LEAST_CONFIDENCE
    if sensed is not None and believed and not place.sells_by_scan:
        # Nobody scans what is sold here: the shelf alone knows, and its difference to the ledger says nothing.
        return Figure(sensed, round(min(confidence, 0.98), 2), (), None)
    differences = place.differences
    if sensed is not None and believed:
        differences = (*differences, sensed - place.ledger)[-KEPT:]
    if not differences:
        known = place.counted and sensed is None
        return Figure(max(place.ledger, 0) if known else None, LEDGER_CERTAINTY if known else 0.0, (), place.settled)
    padded = np.array((differences[0],) * (KEPT - len(differences)) + differences)
    middle = int(median_of_three(padded))
    quantity = int(fused(np.array(place.ledger), padded))
    certainty = _certainty(differences, middle, believed=believed)
    settled, lost, found = _news(place.settled, differences, middle)
    phantom = place.ledger if quantity == 0 < place.ledger and certainty >= _PHANTOM_CERTAINTY else 0
    return Figure(quantity, certainty, differences, settled, lost, found, phantom)


def _certainty(differences: Sequence[int], middle: int, *, believed: bool) -> float:
    agreeing = sum(each == middle for each in differences)
    certainty = _AGREEING[min(agreeing, KEPT)]
    # The last good figures stand, but the shelf looks no longer.
    return certainty if believed else min(certainty, 0.4)


def _news(settled: int | None, differences: Sequence[int], middle: int) -> tuple[int | None, int, int]:
    """Return the difference as it now stands, and what went or came unseen since it last did."""
    if list(differences).count(middle) < 2:  # noqa: PLR2004  one reading is no news
        return settled, 0, 0
    if settled is None or settled == middle:
        return middle, 0, 0
    return middle, max(settled - middle, 0), max(middle - settled, 0)
