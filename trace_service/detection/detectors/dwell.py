"""Goods that stand far longer than goods of that level do, with dealers who pass nearly all on: a lead, no accusation.

Kept: cases that were received and were not seen since, for 200 days, and the sums of how long lots stood by level.
"""

from collections.abc import Iterable
from math import exp, log
from typing import Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Sighting, Withdrawn
from trace_service.detection.settings import DAY_MS, Settings

_LEAD_NATS: Final = 8.0
# Never an alert: a warehouse may be full for honest reasons.
_NEVER: Final = 99.0
_STOOD_DAYS: Final = 75
_KEPT_DAYS: Final = 200
_LEAST_CASES: Final = 3
_MONDAY: Final = 4
# Before anything was learned: lots that are passed on, of so many, and how long each stands.
_PRIOR_PASSED: Final = (9.0, 10.0)
_PRIOR_DAYS: Final = (60.0, 10.0)
_OWN_PRIOR: Final = 5.0
# Of the cases of a lot that is sold where it is, those that were scanned by then; and lots that sell much later.
_PRIOR_SEEN: Final = (15.0, 60.0)
_LATE_SHARE: Final = 0.1
_LATE_SEEN: Final = 0.05


class _Lot(Struct):
    """What one dealer received of one batch with one shipment."""

    key: str
    dealer: str
    at: int
    cases: set[str]
    standing: set[str]
    moved: int
    event: str
    shipment: str | None
    counted: bool = False


class _Usual(Struct):
    """Lots judged, lots passed on, and the sum of days for which these stood."""

    lots: float = 0.0
    passed: float = 0.0
    days: float = 0.0


class DwellDetector:
    """Learns each level's and each dealer's habit of passing on, and looks every Monday at what stands."""

    wants: tuple[type, ...] = (Sighting, Movement, Withdrawn)

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._lots: dict[str, _Lot] = {}
        self._lot_of: dict[str, str] = {}
        self._receipts: dict[str, str] = {}  # of what stands now
        # When each case was seen last: a receipt that a reader uploads late does not bring it back.
        self._last: dict[str, int] = {}
        self._usual: dict[str | int, _Usual] = {}
        self._told: set[str] = set()
        self._seen = list(_PRIOR_SEEN)  # of cases that were not passed on: those that were scanned, all

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Let a case stand where it was received, until it is seen again anywhere."""
        if isinstance(observation, Movement | Sighting):
            held = observation.goods.case
            moment = min(observation.occurred_at, now)
            if held is None or not observation.dated:
                return
            late = moment < self._last.get(held, moment)
            self._last[held] = max(moment, self._last.get(held, moment))
            yield from self._leave(held, moment, moved=isinstance(observation, Movement))
            if isinstance(observation, Movement) and observation.kind == "receive" and not late:
                self._stand(observation, held, moment)
        elif isinstance(observation, Withdrawn):
            case = self._receipts.pop(observation.key, "")
            if case in self._lot_of:
                yield from self._leave(case, now, moved=True)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Look at what stands, once a week."""
        if (now // DAY_MS - _MONDAY) % 7:
            return
        self._receipts = {key: case for key, case in self._receipts.items() if case in self._lot_of}
        oldest = now - _KEPT_DAYS * DAY_MS
        self._last = {case: at for case, at in self._last.items() if at >= oldest}
        for lot in list(self._lots.values()):
            days = (now - lot.at) / DAY_MS
            if days > _KEPT_DAYS:
                self._drop(lot)
            elif days > _STOOD_DAYS and lot.key not in self._told:
                claim = self._claim(lot, days)
                if not lot.counted:
                    self._count(lot, None)
                if claim.lead:
                    self._told.add(lot.key)
                    yield claim

    def _stand(self, movement: Movement, case: str, moment: int) -> None:
        dealer = movement.site_dealer
        if dealer is None or dealer not in self.network.dealers or movement.position.place != dealer:
            return
        key = f"dwell/{dealer}/{movement.shipment or movement.event}/{movement.goods.batch or movement.goods.product}"
        lot = self._lots.get(key)
        if lot is None:
            lot = self._lots[key] = _Lot(key, dealer, moment, set(), set(), 0, movement.event, movement.shipment)
        lot.cases.add(case)
        lot.standing.add(case)
        self._lot_of[case] = key
        self._receipts[movement.key] = case

    def _leave(self, case: str, moment: int, *, moved: bool) -> Iterable[Claim]:
        lot = self._lots.get(self._lot_of.get(case, ""))
        if lot is None or moment < lot.at:
            return
        del self._lot_of[case]
        lot.standing.discard(case)
        if moved:
            lot.moved += 1
            lot.cases.discard(case)  # what is left may be another order
        if not lot.counted and lot.moved >= len(lot.cases):
            self._count(lot, (moment - lot.at) / DAY_MS)
        if lot.key in self._told:
            self._told.discard(lot.key)
            yield self._claim(lot, 0.0 if moved else (moment - lot.at) / DAY_MS)
        if not lot.standing:
            self._drop(lot)

    def _count(self, lot: _Lot, days: float | None) -> None:
        lot.counted = True
        for group in (lot.dealer, self.network.dealers[lot.dealer].level):
            usual = self._usual.setdefault(group, _Usual())
            usual.lots += 1
            if days is not None:
                usual.passed += 1
                usual.days += days
        if days is None:
            self._seen[0] += len(lot.cases) - len(lot.standing)
            self._seen[1] += len(lot.cases)

    def _drop(self, lot: _Lot) -> None:
        self._lots.pop(lot.key, None)
        self._told.discard(lot.key)
        for case in lot.standing:
            if self._lot_of.get(case) == lot.key:
                del self._lot_of[case]

    def _claim(self, lot: _Lot, days: float) -> Claim:
        level = self._usual.get(self.network.dealers[lot.dealer].level, _Usual())
        own = self._usual.get(lot.dealer, _Usual())
        common = (level.passed + _PRIOR_PASSED[0]) / (level.lots + _PRIOR_PASSED[1])
        passed = (own.passed + _OWN_PRIOR * common) / (own.lots + _OWN_PRIOR)
        mean = (level.days + _PRIOR_DAYS[0]) / (level.passed + _PRIOR_DAYS[1])
        seen = self._seen[0] / self._seen[1]
        unsold = sum(
            share * rate ** (len(lot.cases) - len(lot.standing)) * (1 - rate) ** len(lot.standing)
            for share, rate in ((1 - _LATE_SHARE, seen), (_LATE_SHARE, _LATE_SEEN))
        )
        nats = -log(min(1.0, (1 - passed) * unsold + passed * exp(-days / max(mean, 1.0))))
        lead = (
            days > _STOOD_DAYS and nats >= _LEAD_NATS and len(lot.standing) >= max(_LEAST_CASES, 0.9 * len(lot.cases))
        )
        return Claim(
            key=lot.key,
            detector="dwell",
            kind="dwell",
            dealer=lot.dealer,
            nats=nats if lead else 0.0,
            threshold=_NEVER,
            lead=lead,
            contributions=tuple(
                Contribution(case=case, nats=round(nats / len(lot.standing), 3), events=(lot.event,), first_at=lot.at)
                for case in sorted(lot.standing)
            )
            if lead
            else (),
            shipments=(lot.shipment,) if lot.shipment else (),
            figures={"cases": len(lot.standing), "days": round(days), "usual_days": round(mean, 1)},
        )
