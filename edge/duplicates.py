"""The re-read window: a code that stays in view is one scan, not one a frame."""

import time
from collections import OrderedDict
from collections.abc import Callable


class DuplicateWindow:
    """Remembers codes for `seconds` after they were last seen; `clock` returns monotonic seconds.

    This is about one label held before one reader. A true duplicate, the same code on two items or at two stations,
    is decided from the scans of all stations.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._last: OrderedDict[str, float] = OrderedDict()

    def is_repeat(self, text: str) -> bool:
        """Record a sighting and return whether the same code was seen within the window before it."""
        now = self._clock()
        while self._last and now - next(iter(self._last.values())) >= self._seconds:
            self._last.popitem(last=False)
        repeat = text in self._last
        self._last[text] = now
        self._last.move_to_end(text)
        return repeat
