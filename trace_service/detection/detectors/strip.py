"""Labels removed: matured shipments of which far fewer cases were ever seen than usual. A lead for a field check."""

from collections.abc import Iterable
from math import exp, lgamma, log, log1p
from typing import Final

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.habits import Habits
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Shipment
from trace_service.detection.settings import DAY_MS, Settings
from trace_service.detection.sightings import Sightings

_MATURE_DAYS: Final = 90
# Where much is seen, the first weeks tell that it is: how many cases are ever seen is no less than so far.
_YOUNG_DAYS: Final = (15, 30, 60)
_LEAST_CASES: Final = 8
_STRIPPED_SHARES: Final = (0.5, 0.75, 1.0)
# A dealer whose customers scan little is no thief: the usual share is that of the dealer's own other shipments, from a
# while before the one in question up to those that had time enough to be seen, and so many cases of them are needed.
_PRIOR_SEEN: Final = (1.0, 8.0)
_BEFORE_DAYS: Final = 20
_KNOWN_DAYS: Final = 40
_LEAST_OTHERS: Final = 20
_MOST_WORTH: Final = 40.0


class StripDetector:
    """Judges each shipment to a dealer once, ninety days after its paper; how much of it is seen is learned before."""

    wants: tuple[type, ...] = (Shipment,)

    def __init__(self, network: Network, settings: Settings, sightings: Sightings, habits: Habits) -> None:
        self.network, self.settings, self.sightings, self.habits = network, settings, sightings, habits
        self._due: dict[int, list[tuple[str, str]]] = {}  # day → dealers and shipments
        self._young: dict[int, list[tuple[int, str, str]]] = {}  # day → how old they are then, dealers and shipments
        self._to: dict[str, dict[str, Shipment]] = {}  # dealer → shipment, as its paper says now
        self._passing: dict[str, list[int]] = {}  # cases that ended with a dealer, of how many that came
        # When the paper of a case that left last did so, and which it is: papers come late, in any order.
        self._last: dict[str, tuple[int, str]] = {}
        self._tested = 0

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Remember a shipment until it is mature; its paper is told again whenever goods join or leave it."""
        if isinstance(observation, Shipment) and observation.receiver in self.network.dealers:
            left = observation.departed_at, observation.key
            self._last.update((case, left) for case in observation.cases if left[0] >= self._last.get(case, left)[0])
            told = self._to.setdefault(observation.receiver, {})
            if observation.key not in told:
                came = max(now, observation.departed_at) // DAY_MS
                which = observation.receiver, observation.key
                self._due.setdefault(came + _MATURE_DAYS, []).append(which)
                for days in _YOUNG_DAYS:
                    self._young.setdefault(came + days, []).append((days, *which))
            told[observation.key] = observation
        return ()

    def close_day(self, now: int) -> Iterable[Claim]:
        """Learn how much is seen of young shipments; judge those that became mature."""
        for days, dealer, key in self._young.pop(now // DAY_MS, ()):
            cases = self._ended(self._to[dealer][key])
            self.habits.aged(days, len(cases), len(self._seen(dealer, cases)))
        for dealer, key in self._due.pop(now // DAY_MS, ()):
            claim = self._judge(self._to[dealer][key], now)
            if claim is not None:
                yield claim

    def _judge(self, shipment: Shipment, now: int) -> Claim | None:
        dealer = shipment.receiver
        # Only what ended with this dealer: what was sold on is looked at with the next one's paper.
        cases = self._ended(shipment)
        tally = self._passing.setdefault(dealer, [0, 0])
        tally[0] += len(cases)
        tally[1] += len(shipment.cases)
        if len(cases) < _LEAST_CASES or 2 * tally[0] < tally[1]:
            return None  # what a dealer who passes goods on has not passed on stands in the warehouse
        seen = self._seen(dealer, cases)
        self.habits.aged(_MATURE_DAYS, len(cases), len(seen))
        others, others_seen = self._others(shipment, now)
        if others < _LEAST_OTHERS:
            return None
        usual = (others_seen + _PRIOR_SEEN[0]) / (others + _PRIOR_SEEN[1])
        self._tested += 1
        nats = stripped_nats(len(seen), len(cases), usual, min(_MOST_WORTH, others + _PRIOR_SEEN[1]))
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

    def _ended(self, shipment: Shipment) -> list[str]:
        return [case for case in shipment.cases if self._last.get(case, (0, ""))[1] == shipment.key]

    def _seen(self, dealer: str, cases: Iterable[str]) -> list[str]:
        return [case for case in cases if (dealer, case) in self.sightings.cities]

    def _others(self, shipment: Shipment, now: int) -> tuple[int, int]:
        """Return the cases of the dealer's shipments of about that time and after it, and how many of them were seen.

        Where younger goods are seen already, older ones of which nothing is seen do not just sell late.
        """
        number = seen = 0
        first, last = shipment.departed_at - _BEFORE_DAYS * DAY_MS, now - _KNOWN_DAYS * DAY_MS
        for other in self._to[shipment.receiver].values():
            if other.key != shipment.key and first < other.departed_at <= last:
                cases = self._ended(other)
                number += len(cases)
                seen += len(self._seen(shipment.receiver, cases))
        return number, seen


def stripped_nats(seen: int, cases: int, usual: float, worth: float) -> float:
    """Return ln of the mean over shares of stripped cases of P(seen | stripped) / P(seen | usual).

    Honest shares are beta distributed of mean `usual` and sum of parameters `worth`: shipments of one dealer differ.
    """
    first, second = usual * worth, (1 - usual) * worth
    honest = (
        lgamma(seen + first) + lgamma(cases - seen + second) - lgamma(cases + worth)
        - lgamma(first) - lgamma(second) + lgamma(worth)
    )  # fmt: skip
    total = 0.0
    for share in _STRIPPED_SHARES:
        rate = max(usual * (1 - share), 1e-4)
        total += exp(seen * log(rate) + (cases - seen) * log1p(-rate) - honest)
    return log(total / len(_STRIPPED_SHARES))
