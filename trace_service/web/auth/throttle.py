"""Failed log-ins, counted per login and per address."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from trace_service.web.errors import TooManyAttemptsError

WINDOW_SECONDS: Final = 300.0
PER_LOGIN: Final = 10
PER_ADDRESS: Final = 30
# Whoever tries many names cannot make this grow: the oldest entries give way.
REMEMBERED: Final = 10_000


@dataclass
class _Count:
    since: float
    failures: int = 0


class Throttle:
    """Refuses further attempts after too many failures within WINDOW_SECONDS; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def attempt(self, login: str, address: str) -> None:
        """Count an attempt as failed until `succeeded` says otherwise. Raises TooManyAttemptsError."""
        limits = ((("login", login), PER_LOGIN), (("address", address), PER_ADDRESS))
        for key, limit in limits:
            count = self._current(key)
            if count.failures >= limit:
                wait = max(1, round(count.since + WINDOW_SECONDS - self._clock()))
                raise TooManyAttemptsError("too many failed log-ins", advice=f"Wait {wait} s.", retry_after=wait)
        for key, _ in limits:
            self._current(key).failures += 1

    def succeeded(self, login: str, address: str) -> None:
        """Forget the login's failures and this one attempt of the address."""
        self._counts.pop(("login", login), None)
        self._current(("address", address)).failures -= 1

    def _current(self, key: tuple[str, str]) -> _Count:
        now = self._clock()
        count = self._counts.pop(key, None)
        if count is None or now - count.since >= WINDOW_SECONDS:
            count = _Count(now)
        self._counts[key] = count
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return count
