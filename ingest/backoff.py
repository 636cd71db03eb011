"""How long to wait before trying again: exponential with full jitter, so that a fleet of workers spreads out."""

import random


class Backoff:
    """Delays drawn evenly between 0 and a ceiling that doubles from `first` to `longest` seconds."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._ceiling = first
        self._random = random.SystemRandom()

    def next(self) -> float:
        """Return seconds to wait now, and double the ceiling."""
        delay = self._random.uniform(0, self._ceiling)
        self._ceiling = min(self._ceiling * 2, self._longest)
        return delay

    def reset(self) -> None:
        """Begin anew after a success."""
        self._ceiling = self._first
