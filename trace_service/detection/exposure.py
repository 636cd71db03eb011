"""How many cases of each dealer were seen anywhere, by day and kind of position."""

from typing import TypeAlias

import numpy as np

from trace_service.detection.network import FloatArray
from trace_service.detection.placing import KINDS
from trace_service.detection.settings import DAY_MS

Located: TypeAlias = tuple[int, ...]  # one number for each kind


class Exposure:
    """Counts of located cases; one case counts once in each city."""

    def __init__(self) -> None:
        self._days: dict[str, list[list[int]]] = {}
        self._totals: dict[str, list[int]] = {}
        self._origin: int | None = None

    def add(self, dealer: str, kind: int, at: int, number: int = 1) -> None:
        """Count a case that was seen at a moment (milliseconds); −1 takes it back."""
        if self._origin is None:
            self._origin = at // DAY_MS - 400
        day = max(0, at // DAY_MS - self._origin)
        rows = self._days.get(dealer)
        if rows is None:
            rows = self._days[dealer] = [[] for _ in range(KINDS)]
            self._totals[dealer] = [0] * KINDS
        row = rows[kind]
        if day >= len(row):
            row.extend([0] * (day + 1 - len(row)))
        row[day] += number
        self._totals[dealer][kind] += number

    def located(self, dealer: str, since: int) -> Located:
        """Return the cases of a dealer seen since the day of a moment (milliseconds), by kind."""
        rows = self._days.get(dealer)
        if rows is None or self._origin is None:
            return (0,) * KINDS
        day = since // DAY_MS - self._origin
        if day <= 0:
            return tuple(self._totals[dealer])
        return tuple(sum(row[day:]) for row in rows)

    def table(self, dealers: list[str], since: int) -> FloatArray:
        """Return `located` of many dealers, shape (kinds, dealers)."""
        if not dealers:
            return np.zeros((KINDS, 0))
        return np.array([self.located(each, since) for each in dealers], dtype=np.float64).T
