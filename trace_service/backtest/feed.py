"""A world folder as the engine's ordered stream: events and papers merged on the clock of arrival."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import isfinite
from typing import Final

from msgspec import structs

from trace_service.backtest.events import Event, EventReader
from trace_service.backtest.forms import Forms
from trace_service.backtest.papers import Papers
from trace_service.backtest.sites import Sites
from trace_service.backtest.world import Item, World
from trace_service.detection.network import Network
from trace_service.detection.observations import (
    PASSED_ON_DAYS,
    Binding,
    CodeState,
    Goods,
    Movement,
    Observation,
    Position,
    Shipment,
    Sighting,
    Source,
)
from trace_service.detection.settings import DAY_MS

_SIGHTINGS: Final = {"consumer_scan": "scan", "sale": "sale", "inspect": "inspect"}
_MOVEMENTS: Final = frozenset(("ship", "receive", "transfer", "return"))
_SOURCES: Final = {each.value: each for each in Source}
# Wider than this a position names no city.
_WIDEST_GPS_M: Final = 50_000
_WIDEST_IP_M: Final = 300_000


class Feed:
    """Iterate over it for observations; `notices` counts by rule what was handled on the way."""

    def __init__(self, world: World, network: Network) -> None:
        self.reader = EventReader(world.folder)
        self.notices: Counter[str] = Counter()
        self.scans = 0
        self._world, self._papers, self._sites = world, Papers(world, network), Sites(world, network)
        self._cases: dict[str, Item] = {}
        self._pallets: dict[str, dict[str, Item]] = defaultdict(dict)
        for item in world.items.values():
            if item.case not in self._cases:
                self._cases[item.case] = item
                if item.pallet:
                    self._pallets[item.pallet][item.case] = item
        self._listed = frozenset(self._pallets)
        self._sighted: dict[str, list[tuple[Sighting, Item]]] = defaultdict(list)
        self._receipts: dict[str, list[tuple[Movement, Item, Event]]] = defaultdict(list)
        self._void: dict[str, int] = {}
        self._forms = Forms(tuple(world.items.values()), world.items, (each.gtin for each in world.channel.products))

    def __iter__(self) -> Iterator[Observation]:
        for event in self.reader:
            for paper in self._papers.release(event.received):
                yield paper
                yield from self._anew(paper)
                self._let_go(paper)
            if event.type in _SIGHTINGS:
                yield from self._sightings(event)
            elif event.type in _MOVEMENTS:
                yield from self._movements(event)
            elif event.type == "rebind":
                yield self._binding(event)
            elif event.type == "void":
                for code in event.codes:
                    self._void.setdefault(code, event.occurred)
            elif event.type == "pack":
                self._pack(event)

    def _anew(self, paper: Shipment) -> Iterator[Observation]:
        """Observe again what a paper that just came puts in another light."""
        for case in paper.cases:
            for index, (sighting, item) in enumerate(self._sighted.get(case, ())):
                goods = self._goods(sighting.goods.unit, item, sighting.occurred_at, paper.received_at)
                if goods != sighting.goods:
                    changed = structs.replace(sighting, goods=goods, received_at=paper.received_at)
                    self._sighted[case][index] = (changed, item)
                    yield changed
            if case in self._receipts:
                yield from self._judged_again(case, paper)

    def _let_go(self, paper: Shipment) -> None:
        """Forget what was observed of cases that no paper is to come of: nothing puts it in another light."""
        for case in paper.cases:
            if not self._papers.awaits(case):
                self._sighted.pop(case, None)
                self._receipts.pop(case, None)

    def _judged_again(self, case: str, paper: Shipment) -> Iterator[Movement]:
        """Observe receipts again that a paper explains, or explains no more, since it had sent the goods on before."""
        for index, (movement, item, receipt) in enumerate(self._receipts[case]):
            if movement.documented and paper.departed_at >= movement.occurred_at - PASSED_ON_DAYS * DAY_MS:
                continue
            documented = self._papers.documents(item, movement.site_dealer, receipt, paper.received_at)
            if documented != movement.documented:
                goods = self._goods(movement.goods.unit, item, movement.occurred_at, paper.received_at)
                again = structs.replace(movement, goods=goods, documented=documented, received_at=paper.received_at)
                self._receipts[case][index] = (again, item, receipt)
                yield again

    def _goods(self, unit: str, item: Item | None, moment: int, known_at: int) -> Goods:
        if item is None:
            form, slip = self._forms.product(unit), self._forms.misread(unit)
            return Goods(unit=unit, state=CodeState.UNKNOWN, product=form, misread=slip)
        known = self._papers.entitled(item, moment, known_at)
        state, since = self._state(unit, item, min(moment, known_at))
        return Goods(
            unit=unit,
            case=item.case,
            product=item.product,
            batch=item.batch,
            dealer=known.dealer,
            shipment=known.shipment,
            shipped_at=known.shipped_at,
            chain=known.chain,
            state=state,
            state_since=since,
        )

    def _state(self, unit: str, item: Item, moment: int) -> tuple[CodeState, int | None]:
        """Return what the registry says of a unit at a moment, and since when."""
        for code in (unit, item.case, item.pallet):
            if code in self._void:
                return CodeState.VOID, self._void[code]
        batch = self._world.batches.get(item.batch)
        if batch is not None and batch.recalled is not None and batch.recalled <= moment:
            return CodeState.RECALLED, batch.recalled
        if batch is not None and batch.expires is not None and batch.expires <= moment:
            return CodeState.EXPIRED, batch.expires
        return CodeState.ACTIVE, None

    def _sightings(self, event: Event) -> Iterator[Sighting]:
        position = self._position(event)
        kind = _SIGHTINGS[event.type]
        self.scans += event.type == "consumer_scan"
        for code in dict.fromkeys(event.codes):
            item = self._item(code)
            unit = item.code if item is not None and item.code == code else code  # the same text is kept once
            sighting = Sighting(
                key=f"{event.event_id}/{unit}",
                event=event.event_id,
                kind=kind,
                goods=self._goods(unit, item, event.occurred, event.received),
                position=position,
                occurred_at=event.occurred,
                received_at=event.received,
                device=_text(event.device_id),
                actor=_text(event.actor),
                dated=event.dated,
            )
            if item is None:
                self.notices["unknown_code"] += 1
            elif self._papers.awaits(item.case):
                self._sighted[item.case].append((sighting, item))
            yield sighting

    def _pack(self, event: Event) -> None:
        """Keep what a carton or pallet that items.csv does not have was packed of."""
        parent = event.parent
        if parent is not None and parent not in self._cases and parent not in self._listed:
            items = (self._item(unit) for unit in event.codes)
            self._pallets[parent] = {item.case: item for item in items if item is not None}

    def _item(self, unit: str) -> Item | None:
        found = self._world.items.get(unit) or self._cases.get(unit)
        if found is None and unit in self._pallets:
            found = next(iter(self._pallets[unit].values()), None)
        return found

    def _explode(self, codes: list[str]) -> dict[str, Item]:
        found: dict[str, Item] = {}
        for unit in codes:
            if unit in self._pallets:
                found |= self._pallets[unit]
            elif (item := self._item(unit)) is not None:
                found[item.case] = item
            else:
                self.notices["unknown_code"] += 1
        return found

    def _movements(self, event: Event) -> Iterator[Movement]:
        site = self._sites.dealer(event)
        if site is None:
            self.notices["movement_at_unknown_place"] += 1
            return
        position, dealer = self._position(event), self._sites.below_brand(site)
        told: dict[tuple[str, ...], bool] = {}  # what papers say of goods that came by the same shipments
        for case, item in self._explode(event.codes).items():
            documented = told.get(item.shipments)
            if documented is None:
                documented = told[item.shipments] = self._papers.documents(item, dealer, event, event.received)
            movement = Movement(
                key=f"{event.event_id}/{case}",
                event=event.event_id,
                kind=event.type,
                goods=self._goods(case, item, event.occurred, event.received),
                site_dealer=dealer,
                position=position,
                occurred_at=event.occurred,
                received_at=event.received,
                shipment=event.shipment or None,
                documented=documented,
                device=_text(event.device_id),
                actor=_text(event.actor),
                dated=event.dated,
            )
            if event.type == "receive" and self._papers.awaits(case):
                self._receipts[case].append((movement, item, event))
            yield movement

    def _binding(self, event: Event) -> Binding:
        approvers = event.approvers
        if isinstance(approvers, str):
            approvers = [each for each in approvers.split(";") if each.strip()]
        elif isinstance(approvers, int):
            approvers = [f"approver {number + 1}" for number in range(min(max(approvers, 0), 9))]
        return Binding(
            key=event.event_id,
            event=event.event_id,
            cases=tuple(self._explode(event.codes)),
            units=tuple(event.codes),
            from_dealer=event.from_dealer,
            to_dealer=event.to_dealer,
            approvers=tuple(dict.fromkeys(approvers or ())),
            occurred_at=event.occurred,
            received_at=event.received,
            actor=_text(event.actor),
        )

    def _position(self, event: Event) -> Position:
        source = _SOURCES.get(event.source or "none", Source.NONE)
        adcode = None if event.adcode is None else str(event.adcode)
        widest = _WIDEST_GPS_M if source is Source.GPS else _WIDEST_IP_M
        if event.accuracy_m is not None and not 0 <= event.accuracy_m <= widest:
            self.notices["absurd_accuracy"] += 1
            source = Source.NONE
        lat, lon = event.lat, event.lon
        if lat is not None and lon is not None and not _on_earth(lat, lon):
            self.notices["position_off_the_earth"] += 1
            lat = lon = None
        if source in (Source.SITE, Source.STORE):
            found = self._sites.position(event)
            if found is not None:
                lat, lon, adcode = found
        if (lat is None or lon is None) and adcode is None:
            self.notices["without_location"] += event.type == "consumer_scan"
            source = Source.NONE
        return Position(source=source, lat=lat, lon=lon, accuracy_m=event.accuracy_m, adcode=adcode, place=event.place)


def _on_earth(lat: float, lon: float) -> bool:
    return isfinite(lat) and isfinite(lon) and abs(lat) <= 90 and abs(lon) <= 180 and (lat, lon) != (0, 0)  # noqa: PLR2004  # degrees


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value)
