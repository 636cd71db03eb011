"""Lots that a level never had: nobody read them there, though its readers worked, and another branch's shop has them.

A lot is what one shipment brought to one dealer. One missing receipt proves nothing: readers break. The nats are ln of
P(no reading | it never came) / P(no reading | it came), by how many of the dealer's shipments are read at all and how
long the reader was silent about that day, plus what each case in a shop outside of the branch adds.
Kept: shipments of the last 200 days with what was read of them, and each site's readings by day.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from math import exp, log
from typing import Final

from msgspec import Struct

from trace_service.detection.changes import Claim, Contribution
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Shipment, Sighting, Source, Withdrawn
from trace_service.detection.settings import DAY_MS, Settings

_THRESHOLD: Final = 6.9
_KEPT_MS: Final = 200 * DAY_MS
# Until then a lot may be on its way, or its receipt in a reader that is offline.
DUE_DAYS: Final = 12
_DUE_MS: Final = DUE_DAYS * DAY_MS
# Shipments of a dealer that were read when they came, before anything was learned; of a dealer, worth so many.
_PRIOR_READ: Final = (17.0, 20.0)
_OWN_PRIOR: Final = 20.0
# How likely a reader is out of order on some day, which explains that it read nothing.
_OUTAGE: Final = 0.02
_MOST_SILENT_NATS: Final = 5.0
# Shipments of which readers had some cases and not all, of so many, before anything was learned.
_PRIOR_PARTLY: Final = (1.0, 40.0)
# A case in a shop of another branch: how likely where the whole lot went there, against honest goods.
_SHOP_NATS: Final = 2.0
_MOST_SHOP_NATS: Final = 10.0
_LEAST_CASES: Final = 2


def shop_nats(cases: int) -> float:
    """Return what so many cases of a silent lot in shops of another branch say."""
    return min(_MOST_SHOP_NATS, _SHOP_NATS * cases)


class _Lot(Struct):
    """One shipment to one dealer; `shops` are the sightings of its cases in shops of other branches."""

    key: str
    dealer: str
    sender: str
    due: int
    cases: frozenset[str]
    read: dict[str, str] = {}  # reading → case
    shops: dict[str, Sighting] = {}
    judged: bool = False


class LotSkipDetector:
    """Judges each lot a dozen days after it should have come, and again when its cases turn up in a shop."""

    wants: tuple[type, ...] = (Sighting, Movement, Shipment, Withdrawn)

    def __init__(self, network: Network, settings: Settings) -> None:
        self.network, self.settings = network, settings
        self._lots: dict[str, _Lot] = {}
        self._lot_of: dict[str, str] = {}
        self._read_of: dict[str, str] = {}  # reading → lot
        self._readings: dict[str, list[int]] = {}
        self._due: dict[int, list[str]] = {}
        self._every = [0, 0]  # lots read, lots judged
        self._partly = [0, 0]  # lots read in part, lots read
        self._own: dict[str, list[int]] = {}

    def observe(self, observation: Observation, now: int) -> Iterable[Claim]:
        """Count what is read of each lot, and where its cases turn up."""
        if isinstance(observation, Shipment):
            self._paper(observation, now)
        elif isinstance(observation, Movement):
            yield from self._moved(observation, now)
        elif isinstance(observation, Sighting | Withdrawn):
            lot = self._lots.get(self._lot_of.pop(observation.key, ""))
            if lot is not None and lot.shops.pop(observation.key, None) is not None:
                yield self._claim(lot)
            if isinstance(observation, Sighting):
                yield from self._seen(observation)
            elif (old := self._read_of.pop(observation.key, None)) is not None and old in self._lots:
                self._lots[old].read.pop(observation.key, None)

    def close_day(self, now: int) -> Iterable[Claim]:
        """Learn from the lots that should have come by now, and forget old ones."""
        for key in self._due.pop(now // DAY_MS, ()):
            lot = self._lots.get(key)
            if lot is None or lot.judged:
                continue
            lot.judged = True
            for tally in (self._every, self._own.setdefault(lot.dealer, [0, 0])):
                tally[0] += bool(lot.read)
                tally[1] += 1
            if lot.read:
                self._partly[0] += not lot.cases <= set(lot.read.values())
                self._partly[1] += 1
            if lot.shops:
                yield self._claim(lot)
        if now // DAY_MS % 30 == 0:
            self._tidy(now - _KEPT_MS)

    def _tidy(self, oldest: int) -> None:
        for key in [key for key, lot in self._lots.items() if lot.due < oldest]:
            lot = self._lots.pop(key)
            for sighting in lot.shops:
                self._lot_of.pop(sighting, None)
            for reading in lot.read:
                if self._read_of.get(reading) == key:
                    del self._read_of[reading]
        for days in self._readings.values():
            del days[: bisect_left(days, oldest // DAY_MS)]

    def _paper(self, paper: Shipment, now: int) -> None:
        if paper.receiver not in self.network.dealers or paper.kind == "return":
            return
        due = max(paper.arrived_at or paper.departed_at, min(now, paper.departed_at + _DUE_MS))
        lot = _Lot(paper.key, paper.receiver, paper.sender, due, frozenset(paper.cases))
        old = self._lots.get(paper.key)
        if old is not None:
            lot.read, lot.shops, lot.judged = old.read, old.shops, old.judged
        self._lots[paper.key] = lot
        self._due.setdefault(max(due, now) // DAY_MS + _DUE_MS // DAY_MS, []).append(paper.key)

    def _moved(self, movement: Movement, now: int) -> Iterable[Claim]:
        """Take in a reading: a receipt by the dealer of a lot, or its sending on, proves that it had the goods."""
        site, case = movement.site_dealer, movement.goods.case
        if site is None or case is None:
            return
        day = min(movement.occurred_at, now) // DAY_MS
        days = self._readings.setdefault(site, [])
        if not days or days[-1] != day:
            at = bisect_left(days, day)
            if at == len(days) or days[at] != day:
                insort(days, day)
        # In this order, and not that of a set of texts, which differs between processes.
        for key in dict.fromkeys((movement.shipment, movement.goods.shipment)):
            lot = self._lots.get(key or "")
            if lot is not None and lot.dealer == site:
                lot.read[movement.key] = case
                self._read_of[movement.key] = lot.key
                if lot.shops and (len(lot.read) == 1 or any(each.goods.case == case for each in lot.shops.values())):
                    yield self._claim(lot)

    def _seen(self, sighting: Sighting) -> Iterable[Claim]:
        """Keep a case that a shop or warehouse outside of the dealer's branch has."""
        goods, position = sighting.goods, sighting.position
        lot = self._lots.get(goods.shipment or "")
        if lot is None or goods.dealer != lot.dealer or position.source not in (Source.STORE, Source.SITE):
            return
        store = self.network.store(position.place or "", sighting.occurred_at)
        keeper = store.dealer if store else position.place
        if keeper is None or keeper not in self.network.dealers or self._same_branch(keeper, lot.dealer):
            return
        lot.shops[sighting.key] = sighting
        self._lot_of[sighting.key] = lot.key
        if lot.judged:
            yield self._claim(lot)

    def _same_branch(self, one: str, other: str) -> bool:
        if one == other or one in self.network.lineage(other) or other in self.network.lineage(one):
            return True
        return self.network.is_national(other, 0)

    def silence_nats(self, lot: str) -> float:
        """Return ln of how much likelier a lot's silence is if it never came than if it came."""
        found = self._lots[lot]
        if not found.judged:
            return 0.0
        if found.read:
            # The reader worked that day: it had the others of the shipment.
            return -log((self._partly[0] + _PRIOR_PARTLY[0]) / (self._partly[1] + _PRIOR_PARTLY[1]))
        every = (self._every[0] + _PRIOR_READ[0]) / (self._every[1] + _PRIOR_READ[1])
        own = self._own.get(found.dealer, [0, 0])
        usual = (own[0] + _OWN_PRIOR * every) / (own[1] + _OWN_PRIOR)
        days = self._readings.get(found.dealer, [])
        day = found.due // DAY_MS
        span = max(1.0, (days[-1] - days[0]) / len(days)) if days else 1.0
        at = bisect_left(days, day)
        gap = (days[at] if at < len(days) else day + 30) - (days[at - 1] if at else day - 30)
        # The longer the reader was silent, against its usual pace, the likelier it was out of order.
        broken = _OUTAGE / (_OUTAGE + (1 - _OUTAGE) * exp(-gap / span))
        return min(_MOST_SILENT_NATS, -log(min(1.0, 1 - usual + usual * broken)))

    def _city(self, lot: _Lot) -> str | None:
        first = min(lot.shops.values(), key=lambda each: each.occurred_at, default=None)
        if first is None or first.position.lat is None or first.position.lon is None:
            return None
        return self.network.city_near(first.position.lat, first.position.lon)

    def _claim(self, lot: _Lot) -> Claim:
        had = set(lot.read.values())
        cases = {each.goods.case: each for each in lot.shops.values() if each.goods.case and each.goods.case not in had}
        silent = self.silence_nats(lot.key)
        shops = shop_nats(len(cases))
        nats = silent + shops if silent > 0 and len(cases) >= _LEAST_CASES else 0.0
        keepers = {each.position.place for each in lot.shops.values() if each.position.place}
        return Claim(
            key=f"lot/{lot.key}",
            detector="level_skip",
            kind="skip",
            dealer=lot.dealer,
            nats=nats,
            threshold=_THRESHOLD,
            adcode=self._city(lot),
            contributions=tuple(
                Contribution(
                    case=case, nats=round(shops / len(cases), 3), note="level_missing", first_at=each.occurred_at,
                    events=tuple(other.event for other in lot.shops.values() if other.goods.case == case),
                )
                for case, each in cases.items()
            ),
            shipments=(lot.key,),
            parties=tuple(dict.fromkeys((lot.dealer, lot.sender))),
            figures={
                "sold_to": lot.dealer,
                "received_at": ", ".join(sorted(keepers)),
                "cases": len(cases),
                "lot_cases": len(lot.cases),
                "silence_nats": round(silent, 3),
                "level_missing": len(lot.cases - had) if silent > 0 else 0,
            },
        )  # fmt: skip
