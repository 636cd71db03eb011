"""Receipts that no paper explains: goods upstream of where they were sold to, at a third dealer, or past a level."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Withdrawn
from trace_service.detection.settings import DAY_MS, Settings

_THRESHOLD: Final = 6.9
# A receipt without papers: of one case it is a slip of the reader, of several at once it is goods.
_FIRST_CASE_NATS: Final = 4.5
_NEXT_CASE_NATS: Final = 2.5
_MOST_NATS: Final = 30.0
# A receipt that names its shipment waits longer: somebody announced the goods.
_ANNOUNCED: Final = 10
# Whoever tells the system that he sends goods off hides nothing; a paper may take so long.
_TOLD_MS: Final = 180 * DAY_MS


class _Receipt(Struct):
    """Cases of one dealer that turned up at one other dealer on one day."""

    dealer: str
    site: str
    due: int
    movements: dict[str, Movement]


def receipt_nats(cases: int) -> float:
    """Return what a receipt of so many cases without papers says."""
    return min(_MOST_NATS, _FIRST_CASE_NATS + _NEXT_CASE_NATS * (cases - 1)) if cases else 0.0


class BackflowDetector:
    """Waits three days for the paper of each receipt, then speaks; a paper that comes later takes it back."""

    wants: tuple[type, ...] = (Movement, Withdrawn)

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._receipts: dict[str, _Receipt] = {}
        self._receipt_of: dict[str, str] = {}
        self._waiting: dict[str, int] = {}
        self._received: dict[str, set[str | None]] = {}
        self._told: dict[tuple[str, str], int] = {}  # shipment, dealer that said to have sent it → when that came

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Keep a receipt without a paper; drop one that has its paper now."""
        if not isinstance(observation, Movement | Withdrawn):
            return
        key = self._receipt_of.pop(observation.key, None)
        if key is not None:
            self._receipts[key].movements.pop(observation.key, None)
            if key not in self._waiting:
                yield self._claim(key)
        if isinstance(observation, Movement) and observation.kind in ("transfer", "return"):
            yield from self._sent(observation, now)
        if not isinstance(observation, Movement) or observation.kind != "receive":
            return
        case, dealer, site = observation.goods.case, observation.goods.dealer, observation.site_dealer
        if case is None:
            return
        self._received.setdefault(case, set()).add(site)
        if observation.documented or dealer is None or site is None or dealer in (site, *self.network.lineage(site)):
            return  # down the channel, a paper that is missing is only late
        if (observation.shipment or "", dealer) in self._told:
            return
        key = f"backflow/{dealer}/{site}/{observation.occurred_at // (7 * DAY_MS)}"
        hours = self.settings.document_grace_hours * (1 if observation.shipment is None else _ANNOUNCED)
        due = now + hours * DAY_MS // 24
        receipt = self._receipts.setdefault(key, _Receipt(dealer, site, due, {}))
        receipt.movements[observation.key] = observation
        self._receipt_of[observation.key] = key
        self._waiting.setdefault(key, due)

    def _sent(self, transfer: Movement, now: int) -> Iterable[Claim]:
        """Drop receipts of what the dealer that had it said to send: its paper is late, and nothing is hidden."""
        shipment, dealer = transfer.shipment, transfer.site_dealer
        if shipment is None or dealer is None:
            return
        new = (shipment, dealer) not in self._told
        self._told[shipment, dealer] = now
        if not new:
            return
        for key in dict.fromkeys(self._receipt_of.values()):
            receipt = self._receipts[key]
            told = [each for each, movement in receipt.movements.items() if movement.shipment == shipment]
            if receipt.dealer != dealer or not told:
                continue
            for each in told:
                del receipt.movements[each], self._receipt_of[each]
            if key not in self._waiting:
                yield self._claim(key)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Speak of receipts whose grace is over."""
        self._told = {key: at for key, at in self._told.items() if at > now - _TOLD_MS}
        for key in [key for key, due in self._waiting.items() if due <= now]:
            del self._waiting[key]
            yield self._claim(key)

    def _claim(self, key: str) -> Claim:
        receipt = self._receipts[key]
        cases = {each.goods.case: each for each in receipt.movements.values() if each.goods.case}
        nats = receipt_nats(len(cases))
        skipped = [case for case in cases if receipt.dealer not in self._received.get(case, ())]
        kind = "skip" if cases and len(skipped) == len(cases) else "backflow"
        site = self.network.dealers.get(receipt.site)
        return Claim(
            key=key,
            detector="level_skip" if kind == "skip" else "backflow",
            kind=kind,
            dealer=receipt.dealer,
            nats=nats,
            threshold=_THRESHOLD,
            adcode=self.network.city_near(site.lat, site.lon) if site else None,
            contributions=tuple(
                Contribution(
                    case=case,
                    nats=round(nats / len(cases), 3),
                    events=(each.event,),
                    first_at=each.occurred_at,
                    note="level_missing" if case in set(skipped) else "",
                )
                for case, each in cases.items()
            ),
            shipments=tuple(sorted({each.goods.shipment for each in cases.values() if each.goods.shipment})),
            parties=tuple(dict.fromkeys((receipt.dealer, receipt.site, *self._upstream(cases.values())))),
            figures={
                "received_at": receipt.site,
                "sold_to": receipt.dealer,
                "cases": len(cases),
                "level_missing": len(skipped),
                "grace_hours": self.settings.document_grace_hours,
            },
        )

    @staticmethod
    def _upstream(movements: Iterable[Movement]) -> list[str]:
        return [each for movement in movements for each in movement.goods.chain[-2:]]
