"""Whether what is moved weighs like the planogram's product, or like another one that somebody put there."""

from collections import deque
from typing import Final

_KEPT: Final = 8
_LEAST: Final = 5
_MOST_AT_ONCE: Final = 3
"""Customers take one, two or three; larger steps are refills, whose weight tells little about one unit."""
_LIKE: Final = 0.12
"""By how many units a step may miss whole ones and still be of that product."""
_AGREEING: Final = 0.8


class Steps:
    """The last small steps of a channel, in grams."""

    def __init__(self, unit_weight_g: float) -> None:
        self._unit = unit_weight_g
        self._steps: deque[float] = deque(maxlen=_KEPT)

    def add(self, change_g: float) -> None:
        """Take a step in; what is too heavy for a customer says nothing."""
        if abs(change_g) <= (_MOST_AT_ONCE + 0.5) * self._unit:
            self._steps.append(abs(change_g))

    @property
    def are_of_another(self) -> bool:
        """Whether most are no whole units of the product, but whole units of one other weight."""
        if len(self._steps) < _LEAST or self._like(self._unit) >= 0.5:  # noqa: PLR2004  most
            return False
        weights = (step / count for step in self._steps for count in range(1, _MOST_AT_ONCE + 1))
        return any(self._like(weight) >= _AGREEING for weight in weights if weight > self._unit / 4)

    def _like(self, weight: float) -> float:
        """Return the share of steps that are one, two or three units of a weight."""
        counts = [(step / weight, round(step / weight)) for step in self._steps]
        return sum(1 <= k <= _MOST_AT_ONCE and abs(exact - k) <= _LIKE for exact, k in counts) / len(counts)
