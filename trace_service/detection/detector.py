"""The one interface of all detectors: state in, observation in, claims out. Pure and deterministic."""

from collections.abc import Iterable
from typing import Protocol

from trace_service.detection.changes import Claim
from trace_service.detection.observations import Observation


class Detector(Protocol):
    """One way of finding an attack.

    A claim says all that stands under its key now, so a claim below its threshold takes an alert back. A detector
    looks only at what it observed, never ahead.
    """

    wants: tuple[type, ...]
    """The classes of observations that it looks at."""

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Take in one observation; return the claims that it changed. `now` is the stream's clock (milliseconds)."""
        ...

    def close_day(self, now: int) -> Iterable[Claim]:
        """Return the claims that time alone changed; called once at the end of each day, UTC, in order."""
        ...
