"""What keeps a worker's pauses short: everything that would otherwise happen in the middle of a batch, or hold one up.

PostgreSQL keeps the plan of a prepared query until its tables are analysed, a minute later or more. One that was
made while a table had a hundred rows reads all of the hundred thousand that it has by then, again for each scan.
Python looks for garbage through everything that lives, an engine with a million observations included.
"""

import gc
import time
from collections.abc import Callable
from typing import Final

from trace_service.store.connection import Connection

_PLANS_LAST_S: Final = 5.0
_PIECES_BETWEEN: Final = 1_000


class Steady:
    """One worker's upkeep, done between its batches; `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._planned_at = clock()
        self._pieces = 0

    def between(self, connection: Connection, pieces: int) -> None:
        """Do what is due after so many pieces of work."""
        now = self._clock()
        if now - self._planned_at >= _PLANS_LAST_S:
            self._planned_at = now
            connection.execute("DISCARD PLANS")
        self._pieces += pieces
        if self._pieces >= _PIECES_BETWEEN:
            self._pieces = 0
            # What outlives a batch stays: it is looked at this once.
            gc.collect()
            gc.freeze()


class Pace:
    """How many pieces to take at once so that they take about `seconds`: `most`, and a fifth of it at least.

    Fewer would take the time of each transaction, whatever is in it.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._each = seconds / most

    @property
    def size(self) -> int:
        """How many to take next."""
        return max(self._most // 5, min(self._most, int(self._seconds / self._each)))

    def took(self, pieces: int, seconds: float) -> None:
        """Note how long so many pieces took."""
        if pieces:
            self._each = max((self._each + seconds / pieces) / 2, 1e-9)
