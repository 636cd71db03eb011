"""The detection engine: observations in, changes of alerts out. Pure, deterministic, online in order of arrival.

    engine = Engine(Network(channel))
    for observation in stream:            # one ordered stream a brand, by received_at
        for change in engine.observe(observation):
            ...                           # Raised | Updated | Retracted, each with the whole Alert
    engine.advance(now)                   # where nothing is observed for long: closes days and weeks

The feeder normalises (see `observations`): it finds the case, dealer and shipment of a unit as papers stood when it
arrived. When a late paper, transfer or correction changes that, it observes the same key again with what is true now;
when an event is void it observes `Withdrawn`. It never has to look at alerts.

The same observations in the same order give the same changes, alert numbers included, in any process: there is no
wall clock and no chance inside. `received_at` drives the clock; days close at midnight UTC on it, weeks on Mondays.
A late `received_at` (out of order) leaves the clock where it is. `occurred_at` is believed unless it lies after
`received_at` or more than half a year before it.

A live process that starts anew feeds the engine the stored stream again and drops the changes up to where it stopped.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from trace_service.detection.changes import Change, Claim
from trace_service.detection.detector import Detector
from trace_service.detection.ledger import Judged, Ledger
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Reviewed
from trace_service.detection.settings import DAY_MS, Settings

# A stream whose clock leaps further than this has a wrong clock, not a quiet year.
LARGEST_LEAP_MS: Final = 400 * DAY_MS


class Engine:
    """Every detector over one brand's stream. `notices` counts what was handled by rule, by name."""

    def __init__(self, network: Network, settings: Settings | None = None) -> None:
        self.network = network
        self.settings = settings or Settings()
        self.ledger = Ledger(self.settings)
        self.detectors: tuple[Detector, ...] = ()
        self.notices: Counter[str] = Counter()
        self.clock: int | None = None

    def observe(self, observation: Observation) -> list[Change]:
        """Take in one observation; return what it changes, the closing of days before it included."""
        changes = self._tick(observation.received_at)
        now = self.clock or observation.received_at
        if isinstance(observation, Reviewed):
            self.ledger.close(observation.key)
        for detector in self.detectors:
            changes += self._settle(detector.observe(observation, now), now)
        return changes

    def advance(self, now: int) -> list[Change]:
        """Move the clock to `now` (milliseconds) and close the days before it."""
        return self._tick(now)

    def _tick(self, now: int) -> list[Change]:
        if self.clock is None:
            self.clock = now
            return []
        if now - self.clock > LARGEST_LEAP_MS:
            self.notices["received_far_ahead"] += 1
            return []
        changes: list[Change] = []
        day = self.clock // DAY_MS
        self.clock = max(self.clock, now)
        for closed in range(day + 1, self.clock // DAY_MS + 1):
            changes += self._close(closed * DAY_MS)
        return changes

    def _close(self, midnight: int) -> list[Change]:
        self.ledger.close_quiet(midnight)
        return [change for each in self.detectors for change in self._settle(each.close_day(midnight), midnight)]

    def _settle(self, claims: Iterable[Claim], now: int) -> list[Change]:
        found = (self.ledger.settle(claim, Judged(0.5, (0.0, 1.0), self._versions()), now) for claim in claims)
        return [change for change in found if change is not None]

    def _versions(self) -> dict[str, str]:
        return {"settings": self.settings.version, "territories": self.network.version}
