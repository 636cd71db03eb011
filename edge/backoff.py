"""Waiting before another try: the ceiling doubles, and the wait is drawn evenly below it (full jitter)."""

import random
from collections.abc import Callable


class Backoff:
    """Seconds to wait, up to `first`, then 2 × `first` and so on up to `last`; `draw` returns 0 to 1."""

    def __init__(self, first: float, last: float, draw: Callable[[], float] = random.random) -> None:
        self._first = first
        self._last = last
        self._draw = draw
        self._failures = 0

    def wait(self) -> float:
        """Return how long to wait now, and wait longer the next time."""
        ceiling = min(self._last, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return self._draw() * ceiling

    def reset(self) -> None:
        """Begin again after a success."""
        self._failures = 0
