"""What a probe and a door contact say over time: limits with a duration, rate of change, silence, and the mean."""

import math
from collections import deque
from typing import Annotated, Final

from msgspec import Meta, Struct

from contracts.messages import Environment

COLDEST_C, HOTTEST_C = -80.0, 85.0
"""The range of EN 12830; anything beyond it is no temperature."""
HEAT_KJ: Final = 83.144
GAS_KJ: Final = 8.3144e-3
KELVIN: Final = 273.15
_KINETIC_DAYS: Final = 30.0
_DAY_SECONDS: Final = 86_400.0
_RATE_SECONDS: Final = 300.0
_LONGEST_STEP_SECONDS: Final = 120.0
_MOST_HUMIDITY: Final = 100.0
_Span = Annotated[float, Meta(ge=0)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What a place allows. Temperatures in degrees Celsius, `minutes` how long one may lie outside before an alarm."""

    coldest_c: float | None = None
    warmest_c: float | None = None
    most_humid: float | None = None
    minutes: _Span = 10.0
    rate_c_per_min: _Span | None = None
    door_minutes: _Span = 5.0
    stale_seconds: _Span = 90.0


class Kinetic(Struct):
    """Mean kinetic temperature as a running mean of 30 days: exp(-ΔH/RT), weighted by time, that fades."""

    mean: float = 0.0
    seconds: float = 0.0
    last_c: float | None = None
    """What was measured last, which outlives a restart as the mean does."""

    def add(self, temperature_c: float, seconds: float) -> None:
        """Let a temperature have lasted for some seconds."""
        self.last_c = temperature_c
        value = math.exp(-HEAT_KJ / (GAS_KJ * (temperature_c + KELVIN)))
        self.seconds = min(self.seconds + seconds, _KINETIC_DAYS * _DAY_SECONDS)
        if self.seconds:
            self.mean += (value - self.mean) * min(1.0, seconds / self.seconds)

    @property
    def celsius(self) -> float | None:
        """The mean kinetic temperature, None before the first reading."""
        return HEAT_KJ / GAS_KJ / -math.log(self.mean) - KELVIN if self.mean > 0 else None


class Climate:
    """Judges readings as they come; times are monotonic seconds."""

    def __init__(self, limits: Limits, kinetic: Kinetic | None = None) -> None:
        self.kinetic = kinetic or Kinetic()
        self._limits = limits
        self._since: dict[str, float] = {}
        self._past: deque[tuple[float, float]] = deque()
        self._seen_at = self._first_at = float("-inf")

    def see(
        self, at_ms: int, now: float, temperature_c: float | None, humidity: float | None, *, door_open: bool | None
    ) -> Environment | None:
        """Take a reading in and return what is so; None where no temperature was ever known, nor before a restart.

        A probe that is silent leaves the last temperature standing, as STALE once it is too old.
        """
        if math.isinf(self._first_at):
            self._first_at = now
        known = temperature_c is not None and COLDEST_C <= temperature_c <= HOTTEST_C
        if temperature_c is not None and known:
            self._follow(temperature_c, now)
        elif self.kinetic.last_c is None:
            return None
        else:
            temperature_c, humidity = self.kinetic.last_c, None
        if humidity is not None and not 0 <= humidity <= _MOST_HUMIDITY:
            humidity = None
        mean = self.kinetic.celsius
        return Environment(
            ts=at_ms,
            temperature_c=temperature_c,
            humidity=humidity,
            mean_kinetic_c=None if mean is None else round(mean, 2),
            door_open=door_open,
            alarm=self._alarm(temperature_c, humidity, now, door_open=bool(door_open)),
        )

    def _follow(self, temperature_c: float, now: float) -> None:
        if not math.isinf(self._seen_at):
            self.kinetic.add(temperature_c, min(now - self._seen_at, _LONGEST_STEP_SECONDS))
        else:
            self.kinetic.add(temperature_c, 1.0)
        self._seen_at = now
        self._past.append((now, temperature_c))
        while self._past[0][0] < now - _RATE_SECONDS:
            self._past.popleft()

    def _alarm(self, temperature_c: float, humidity: float | None, now: float, *, door_open: bool) -> str:
        """Return the gravest of what is wrong for longer than it may be."""
        limits = self._limits
        wrong = {
            "STALE": now - max(self._seen_at, self._first_at) >= limits.stale_seconds,
            "TOO_WARM": limits.warmest_c is not None and temperature_c > limits.warmest_c,
            "TOO_COLD": limits.coldest_c is not None and temperature_c < limits.coldest_c,
            "TOO_HUMID": limits.most_humid is not None and (humidity or 0.0) > limits.most_humid,
            "RATE": limits.rate_c_per_min is not None and self._rate() > limits.rate_c_per_min,
            "DOOR": door_open,
        }
        wait = {"STALE": 0.0, "RATE": 0.0, "DOOR": limits.door_minutes * 60}
        for name, is_so in wrong.items():
            if is_so:
                self._since.setdefault(name, now)
            else:
                self._since.pop(name, None)
        due = (name for name in wrong if now - self._since.get(name, now + 1) >= wait.get(name, limits.minutes * 60))
        return next(due, "")

    def _rate(self) -> float:
        """Return degrees a minute, as the slope over five minutes; 0 until a minute has passed."""
        times = [at for at, _ in self._past]
        if len(times) < 2 or times[-1] - times[0] < 60:  # noqa: PLR2004  a slope needs two points and some time
            return 0.0
        middle, mean = sum(times) / len(times), sum(value for _, value in self._past) / len(times)
        spread = sum((at - middle) ** 2 for at in times)
        return abs(60 * sum((at - middle) * (value - mean) for at, value in self._past) / spread)
