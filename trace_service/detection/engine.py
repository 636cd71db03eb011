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
A late `received_at` (out of order) leaves the clock where it is. Feeders believe `occurred_at` unless it lies after
`received_at` or more than half a year before it; what still cannot be is put right by `believing`.

A live process that starts anew feeds the engine the stored stream again and drops the changes up to where it stopped.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, get_args

from trace_service.detection.believing import believed
from trace_service.detection.calibration import UNKNOWN_RATE, Calibration, features
from trace_service.detection.changes import Change, Claim, Lead
from trace_service.detection.detector import Detector
from trace_service.detection.detectors.backflow import BackflowDetector
from trace_service.detection.detectors.clone import CloneDetector
from trace_service.detection.detectors.collusion import CollusionDetector
from trace_service.detection.detectors.dwell import DwellDetector
from trace_service.detection.detectors.flow import FlowDetector
from trace_service.detection.detectors.forged import ForgedDetector
from trace_service.detection.detectors.lots import LotSkipDetector
from trace_service.detection.detectors.offroute import OffRouteDetector
from trace_service.detection.detectors.ordering import OrderingPrior
from trace_service.detection.detectors.outflow import OutflowDetector
from trace_service.detection.detectors.rebind import RebindDetector
from trace_service.detection.detectors.strip import StripDetector
from trace_service.detection.detectors.withheld import WithheldDetector
from trace_service.detection.habits import Habits
from trace_service.detection.ledger import Judged, Ledger
from trace_service.detection.network import Channel, Network
from trace_service.detection.observations import Observation, Reviewed
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings

# A stream whose clock leaps further than this has a wrong clock, unless many observations in a row agree on it.
LARGEST_LEAP_MS: Final = 400 * DAY_MS
_BELIEVED_LEAPS: Final = 20
_MONDAY: Final = 4  # the first day of the epoch was a Thursday
_CELL_DAYS: Final = 63


class CellProbability(NamedTuple):
    """A dealer × city at the end of a week (milliseconds): how probable it is that goods are diverted there."""

    week: int
    dealer: str
    adcode: str
    probability: float


class Engine:
    """Every detector over one brand's stream. `notices` counts what was handled by rule, by name.

    `evaluated` is None, or a list to which the end of each week adds every cell touched in the nine weeks before it.

    `leads` holds, by claim key, what is too weak for an alert and worth a look by whoever is there anyway: claims that
    a detector marks so, such as shipments of which suspiciously few cases were seen. A lead ends when its claim becomes
    an alert or is taken back, when a person answers it (`Reviewed` with its key), and ninety days after it was noted.
    """

    def __init__(
        self, network: Network, settings: Settings | None = None, calibration: Calibration | None = None
    ) -> None:
        self.evaluated: list[CellProbability] | None = None
        self.leads: dict[str, Lead] = {}
        self.network = network
        self.settings = settings or Settings()
        self.ledger = Ledger(self.settings)
        self.sightings = Sightings(network, self.settings)
        self.habits = Habits(network)
        self.calibration = calibration or Calibration()
        self.flow = FlowDetector(network, self.settings, self.sightings, self.habits, self.calibration)
        self.ordering = OrderingPrior(network)
        placer = self.sightings.placer
        self.detectors: tuple[Detector, ...] = (
            self.flow,
            CollusionDetector(network, self.settings, self.flow),
            OutflowDetector(network, self.settings, self.flow),
            StripDetector(network, self.settings, self.sightings, self.habits),
            ForgedDetector(network, self.settings, placer),
            CloneDetector(network, self.settings, placer),
            RebindDetector(network, self.settings),
            BackflowDetector(network, self.settings),
            WithheldDetector(network, self.settings),
            LotSkipDetector(network, self.settings),
            OffRouteDetector(network, self.settings),
            DwellDetector(network, self.settings),
            self.ordering,
        )
        self._wanting = {
            kind: tuple(each for each in self.detectors if kind in each.wants) for kind in get_args(Observation)
        }
        self.notices: Counter[str] = Counter()
        self.clock: int | None = None
        self._leaps = 0

    def observe(self, observation: Observation) -> list[Change]:
        """Take in one observation; return what it changes, the closing of days before it included."""
        changes = self._tick(observation.received_at)
        now = self.clock or observation.received_at
        observation = believed(observation, now)
        if isinstance(observation, Reviewed):
            self.ledger.close(observation.key)
            self.leads.pop(observation.key, None)
        for detector in self._wanting.get(type(observation), ()):
            for claim in detector.observe(observation, now):
                changes += self._settle(claim, now)
        return changes

    def rechannel(self, channel: Channel) -> None:
        """Go by another state of the channel from now on; its places are those that the engine was made with.

        What was observed before stands as it was judged: whoever corrects a territory observes it again.
        """
        others = _sellers(self.network.channel) != _sellers(channel)
        self.network.replace(channel)
        # A shop that changes hands, or a warehouse that moves, says nothing of what is usual.
        if others and self.clock is not None:
            self.habits.learn(self.sightings, self.clock)

    def recalibrate(self, calibration: Calibration) -> None:
        """Judge claims by another calibration from now on."""
        self.calibration = self.flow.calibration = calibration

    def advance(self, now: int) -> list[Change]:
        """Move the clock to `now` (milliseconds) and close the days before it."""
        return self._tick(now)

    def _tick(self, now: int) -> list[Change]:
        if self.clock is None:
            self.clock = now
            self.habits.learn(self.sightings, now)
            return []
        self._leaps = self._leaps + 1 if now - self.clock > LARGEST_LEAP_MS else 0
        if 0 < self._leaps < _BELIEVED_LEAPS:
            self.notices["received_far_ahead"] += 1
            return []
        changes: list[Change] = []
        day = self.clock // DAY_MS
        self.clock = max(self.clock, now)
        today = self.clock // DAY_MS
        for closed in range(max(day + 1, today - LARGEST_LEAP_MS // DAY_MS), today + 1):
            changes += self._close(closed * DAY_MS)
        return changes

    def _close(self, midnight: int) -> list[Change]:
        for alert in self.ledger.close_quiet(midnight):
            self.flow.answered(alert.key, probability=alert.probability)
        oldest = midnight - self.settings.quiet_days * DAY_MS
        self.leads = {key: lead for key, lead in self.leads.items() if lead.noted_at >= oldest}
        if (midnight // DAY_MS - _MONDAY) % 7 == 0:
            self.habits.learn(self.sightings, midnight)
            self._evaluate(midnight)
        else:
            self.habits.watch(self.sightings, midnight)
        claims = (claim for each in self.detectors for claim in each.close_day(midnight))
        return [change for claim in claims for change in self._settle(claim, midnight)]

    def _settle(self, claim: Claim, now: int) -> list[Change]:
        alarming = claim.alarming
        self.leads.pop(claim.key, None)
        if claim.lead and not alarming:
            self.leads[claim.key] = Lead(claim=claim, noted_at=now)
        if not alarming and not self.ledger.stands(claim.key):
            return []
        probability, band = self._judge(claim)
        change = self.ledger.settle(claim, Judged(probability, band, self.versions), now)
        return [] if change is None else [change]

    def _judge(self, claim: Claim) -> tuple[float, tuple[float, float]]:
        if claim.probability is not None:
            return claim.probability, claim.band
        return self.calibration.on_record.get(claim.detector, UNKNOWN_RATE)

    def _evaluate(self, now: int) -> None:
        """Give every cell that was touched lately its probability."""
        if self.evaluated is None:
            return
        since = now - _CELL_DAYS * DAY_MS
        for (dealer, city), cell in self.sightings.cells.items():
            if cell.latest >= since and any(hit.at >= since for hit in cell.hits.values()):
                inputs = features(self.flow.weigher.weigh(cell, now).evidence)
                probability = max(cell.past, self.flow.judging.cell.probability(inputs))
                self.evaluated.append(CellProbability(now, dealer, self.network.cities[city].adcode, probability))

    @property
    def priors(self) -> Mapping[str, float]:
        """Nats, at most 2, by dealer that orders more than it needs: a prior for flow, never evidence of its own."""
        return self.ordering.priors

    @property
    def versions(self) -> dict[str, str]:
        """What alerts are computed with now."""
        return {
            "settings": self.settings.version,
            "territories": self.network.version,
            "baseline": self.habits.snapshot,
            "calibration": self.calibration.version,
        }


def _sellers(channel: Channel) -> tuple[object, ...]:
    """Return who may sell where: what the baseline is learned by."""
    return channel.territories, tuple((each.id, each.kind) for each in channel.dealers)
