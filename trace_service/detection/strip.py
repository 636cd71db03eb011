"""Labels removed: matured shipments of which far fewer cases were ever seen than usual. A lead for a field check."""

from collections.abc import Iterable
from math import exp, log, log1p
from typing import Final

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Shipment
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings

_MATURE_DAYS: Final = 90
_LEAST_CASES: Final = 8
_STRIPPED_SHARES: Final = (0.5, 0.75, 1.0)
_PRIOR_SEEN: Final = (3.0, 10.0)
# A dealer whose customers scan little is no thief: the usual share is the lower of the dealer's and everybody's.
_PRIOR_DEALER: Final = 60.0


class StripDetector:
    """Looks once at each shipment to a dealer, ninety days after its paper."""

    wants: tuple[type, ...] = (Shipment,)

    def __init__(self, network: Network, settings: Settings, sightings: Sightings) -> None:
        self.network, self.settings, self.sightings = network, settings, sightings
        self._due: dict[int, list[Shipment]] = {}
        self._seen: dict[str | None, list[int]] = {}
        self._last: dict[str, str] = {}
        self._tested = 0

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Remember a shipment until it is mature."""
        if isinstance(observation, Shipment) and observation.receiver in self.network.dealers:
            self._last.update(dict.fromkeys(observation.cases, observation.key))
            day = max(now, observation.departed_at) // DAY_MS + _MATURE_DAYS
            self._due.setdefault(day, []).append(observation)
        return ()

    def close_day(self, now: int) -> Iterable[Claim]:
        """Judge the shipments that became mature."""
        for shipment in self._due.pop(now // DAY_MS, ()):
            claim = self._judge(shipment, now)
            if claim is not None:
                yield claim

    def _judge(self, shipment: Shipment, now: int) -> Claim | None:
        dealer = shipment.receiver
        # Only what ended with this dealer: what was sold on is looked at with the next one's paper.
        cases = [case for case in shipment.cases if self._last.get(case) == shipment.key]
        if len(cases) < _LEAST_CASES:
            return None
        seen = [case for case in cases if (dealer, case) in self.sightings.cities]
        usual = self._usual(dealer)
        for group in (None, dealer):
            tally = self._seen.setdefault(group, [0, 0])
            tally[0] += len(seen)
            tally[1] += len(cases)
        self._tested += 1
        nats = _zero_inflated(len(seen), len(cases), usual)
        threshold = self.settings.strip_nats + log(self._tested)
        if nats < self.settings.strip_lead_nats:
            return None
        silent = [case for case in cases if case not in set(seen)]
        return Claim(
            key=f"strip/{shipment.key}",
            detector="label_removal",
            kind="strip",
            dealer=dealer,
            nats=nats,
            threshold=threshold,
            contributions=tuple(
                Contribution(case=case, nats=round(nats / len(silent), 3), events=(), first_at=now) for case in silent
            ),
            shipments=(shipment.key,),
            figures={"cases": len(cases), "seen": len(seen), "usual": round(usual * len(cases), 2)},
            lead=True,
        )

    def _usual(self, dealer: str) -> float:
        every = self._seen.get(None, [0, 0])
        common = (every[0] + _PRIOR_SEEN[0]) / (every[1] + _PRIOR_SEEN[1])
        own = self._seen.get(dealer, [0, 0])
        return min(0.9, common, (own[0] + _PRIOR_DEALER * common) / (own[1] + _PRIOR_DEALER))


def _zero_inflated(seen: int, cases: int, usual: float) -> float:
    """Return ln of the mean over shares of stripped cases of P(seen | stripped) / P(seen | usual)."""
    total = 0.0
    for share in _STRIPPED_SHARES:
        rate = max(usual * (1 - share), 1e-4)
        nats = seen * log(rate / usual) + (cases - seen) * (log1p(-rate) - log1p(-usual))
        total += exp(nats)
    return log(total / len(_STRIPPED_SHARES))
