"""Goods that must not move any more and do: recalled, expired or void, shipped or sold after the grace.

To send goods back up the channel is what a recall asks for; to receive what had left before it is nobody's fault.
Kept: such movements of the last 400 days, and the numbers of shipments that go up the channel.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import CodeState, Movement, Observation, Shipment, Sighting, Withdrawn
from trace_service.detection.settings import DAY_MS, Settings

_STATES: Final = {CodeState.RECALLED: "recalled", CodeState.EXPIRED: "expired", CodeState.VOID: "void"}
_THRESHOLD: Final = 6.9
# One case may be a slip of the reader; of several, or weeks later, nobody has not heard.
_FIRST_NATS: Final = 4.5
_NEXT_NATS: Final = 2.5
_WEEKS_LATER_NATS: Final = 2.5
_WEEKS_LATER_MS: Final = 14 * DAY_MS
_MOST_NATS: Final = 30.0
_KEPT_MS: Final = 400 * DAY_MS


def withheld_nats(cases: int, *, weeks_later: bool) -> float:
    """Return what so many cases say that were moved on after they should not have been, and whether weeks after."""
    nats = min(_MOST_NATS, _FIRST_NATS + _NEXT_NATS * (cases - 1)) if cases else 0.0
    return nats + _WEEKS_LATER_NATS * weeks_later


class _Act(Struct, frozen=True):
    """One case that was sent or sold although it should not have been."""

    case: str
    event: str
    at: int
    since: int
    shipment: str | None


class WithheldDetector:
    """Pools what one dealer moved of one batch; waits the grace for the paper that says that it is sent back."""

    wants: tuple[type, ...] = (Sighting, Movement, Shipment, Withdrawn)

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._acts: dict[str, dict[str, _Act]] = {}
        self._pool_of: dict[str, str] = {}
        self._by_shipment: dict[str, set[str]] = {}
        self._upwards: set[str] = set()
        self._waiting: dict[str, int] = {}

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Keep what moved after the grace; a paper that sends it back takes it out."""
        if isinstance(observation, Shipment):
            yield from self._paper(observation)
            return
        if not isinstance(observation, Sighting | Movement | Withdrawn):
            return
        old = self._pool_of.pop(observation.key, None)
        if old is not None:
            self._acts[old].pop(observation.key, None)
            if old not in self._waiting:
                yield self._claim(old)
        if isinstance(observation, Withdrawn):
            return
        dealer = self._mover(observation)
        state = _STATES.get(observation.goods.state)
        since, moment = observation.goods.state_since, min(observation.occurred_at, now)
        if (
            not observation.dated
            or dealer is None
            or state is None
            or since is None
            or moment <= since + self._grace_ms
        ):
            return
        goods = observation.goods
        shipment = observation.shipment if isinstance(observation, Movement) else None
        pool = f"withheld/{state}/{goods.batch or goods.case or goods.unit}/{dealer}"
        act = _Act(goods.case or goods.unit, observation.event, moment, since, shipment)
        self._acts.setdefault(pool, {})[observation.key] = act
        self._pool_of[observation.key] = pool
        self._waiting.setdefault(pool, now + self._grace_ms)
        if shipment:
            self._by_shipment.setdefault(shipment, set()).add(pool)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Speak where no paper has come within the grace, and forget what is a year old."""
        for pool in [each for each, due in self._waiting.items() if due <= now]:
            del self._waiting[pool]
            yield self._claim(pool)
        if now // DAY_MS % 30 == 0:
            self._tidy(now - _KEPT_MS)

    def _tidy(self, oldest: int) -> None:
        for pool, acts in list(self._acts.items()):
            for key in [key for key, act in acts.items() if act.at < oldest]:
                del acts[key]
                self._pool_of.pop(key, None)
            if not acts and pool not in self._waiting:
                del self._acts[pool]
        self._by_shipment = {key: pools & self._acts.keys() for key, pools in self._by_shipment.items()}
        self._by_shipment = {key: pools for key, pools in self._by_shipment.items() if pools}

    @property
    def _grace_ms(self) -> int:
        return self.settings.document_grace_hours * DAY_MS // 24

    def _mover(self, observation: Sighting | Movement) -> str | None:
        """Return who sent or sold the goods, None where nobody did."""
        if isinstance(observation, Movement):
            return observation.site_dealer if observation.kind in ("ship", "transfer") else None
        if observation.kind != "sale":
            return None
        place = observation.position.place or ""
        if place in self.network.dealers:
            return place
        store = self.network.store(place, observation.occurred_at)
        return store.dealer if store else observation.goods.dealer

    def _paper(self, paper: Shipment) -> Iterable[Claim]:
        if paper.kind != "return" and paper.receiver not in self.network.lineage(paper.sender):
            return
        self._upwards.add(paper.key)
        for pool in sorted(self._by_shipment.pop(paper.key, ())):
            if pool not in self._waiting:
                yield self._claim(pool)

    def _claim(self, pool: str) -> Claim:
        _, state, batch, dealer = pool.split("/", 3)
        acts = [each for each in self._acts.get(pool, {}).values() if each.shipment not in self._upwards]
        cases = {each.case: each for each in sorted(acts, key=lambda each: -each.at)}
        # A single void label on goods that are good may be sold by and by.
        weeks_later = state != "void" and any(each.at > each.since + _WEEKS_LATER_MS for each in acts)
        nats = withheld_nats(len(cases), weeks_later=weeks_later)
        return Claim(
            key=pool,
            detector="withheld",
            kind=state,
            dealer=dealer,
            nats=nats,
            threshold=_THRESHOLD,
            contributions=tuple(
                Contribution(
                    case=case, nats=round(nats / len(cases), 3), note=state, first_at=each.at,
                    events=tuple(dict.fromkeys(other.event for other in acts if other.case == case)),
                )
                for case, each in sorted(cases.items())
            ),
            shipments=tuple(sorted({each.shipment for each in acts if each.shipment})),
            figures={
                "state": state,
                "batch": batch,
                "since": min((each.since for each in acts), default=None),
                "cases": len(cases),
                "grace_hours": self.settings.document_grace_hours,
                "latest": max((each.at for each in acts), default=None),
                "weeks_later": weeks_later,
            },
        )  # fmt: skip
