"""Who takes goods from a shelf, sometimes puts one back, and at times fills it up.

Time is compressed: a quiet channel sells about once a minute, as often as a good shop sells it in an hour. The one
channel that stands lowest against its capacity sells every six seconds at first, so that it crosses its reorder
line while someone watches.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from firmware_sim.print_job import Channel
from firmware_sim.shelves.cell import LoadCell, weigh_units

QUIET_SECONDS: Final = 75.0
RUSH_SECONDS: Final = 6.0
RUSH_ENDS: Final = 45.0
"""The rush lasts for this long after the shelf was first started, seconds."""
_FIRST_VISIT_SECONDS: Final = 12.0
_PUT_BACK_SHARE: Final = 0.1
_PUT_BACK_SECONDS: Final = (6.0, 12.0)
_REFILL_BELOW: Final = 0.08
_REFILL_SECONDS: Final = (120.0, 240.0)


@dataclass(slots=True)
class _PutBack:
    at: float
    weight: float


class Customers:
    """The people in front of one channel; times are seconds since the shelf was first started."""

    def __init__(self, channel: Channel, random: np.random.Generator, *, now: float, rush: bool) -> None:
        self._channel = channel
        self._random = random
        self._rush = rush
        self._next_visit = now + (_FIRST_VISIT_SECONDS if rush else float(random.uniform(2, QUIET_SECONDS)))
        self._put_back: _PutBack | None = None
        self._refill_at: float | None = None

    def act(self, now: float, cell: LoadCell) -> bool:
        """Do what is due on the cell and return whether anything was moved."""
        return any([self._return_one(now, cell), self._refill(now, cell), self._visit(now, cell)])

    def _visit(self, now: float, cell: LoadCell) -> bool:
        if now < self._next_visit:
            return False
        in_rush = self._rush and now < RUSH_ENDS
        pause = RUSH_SECONDS if in_rush else float(self._random.exponential(QUIET_SECONDS)) + RUSH_SECONDS
        self._next_visit = now + pause
        if not cell.units:
            return False
        weight = cell.take()
        if not in_rush and self._put_back is None and self._random.random() < _PUT_BACK_SHARE:
            self._put_back = _PutBack(now + float(self._random.uniform(*_PUT_BACK_SECONDS)), weight)
        return True

    def _return_one(self, now: float, cell: LoadCell) -> bool:
        if self._put_back is None or now < self._put_back.at:
            return False
        cell.put([self._put_back.weight])
        self._put_back = None
        return True

    def _refill(self, now: float, cell: LoadCell) -> bool:
        if len(cell.units) > self._channel.capacity * _REFILL_BELOW:
            return False
        if self._refill_at is None:
            self._refill_at = now + float(self._random.uniform(*_REFILL_SECONDS))
        if now < self._refill_at:
            return False
        self._refill_at = None
        missing = self._channel.capacity - len(cell.units) - (self._put_back is not None)
        cell.put(weigh_units(missing, self._channel.unit_weight_g, self._random))
        return True
