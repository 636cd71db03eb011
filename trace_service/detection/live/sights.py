"""What the worker and the interfaces decided, as observations: sightings and movements, each where and when it was."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import structs

from geofence.coordinates import Crs, Region, to_wgs84
from trace_service.detection.live.feed import milliseconds
from trace_service.detection.live.goods import Keeper
from trace_service.detection.observations import (
    PASSED_ON_DAYS,
    Binding,
    CodeState,
    Movement,
    Position,
    Sighting,
    Source,
)
from trace_service.domain.events import Event, Site, Step
from trace_service.domain.events import Source as Message
from trace_service.domain.verification import Code

SIGHTINGS: Final[Mapping[Step, str]] = {Step.CONSUME: "scan", Step.SELL: "sale", Step.INSPECT: "inspect"}
MOVEMENTS: Final[Mapping[Step, str]] = {
    Step.SHIP: "ship",
    Step.RECEIVE: "receive",
    Step.TRANSFER_APPROVE: "transfer",
    Step.RETURN: "return",
}
_STEPS: Final[Mapping[str, Step]] = {
    "consumer": Step.CONSUME,
    "sell": Step.SELL,
    "inspect": Step.INSPECT,
    "ship": Step.SHIP,
    "receive": Step.RECEIVE,
}
# Beyond this a position names no city.
_WIDEST_GPS_M: Final = 50_000
_WIDEST_ADDRESS_M: Final = 300_000
_ADDRESS: Final = "address"
_TYPED: Final = "Manual"
_AHEAD: Final = timedelta(hours=1)
_OLDEST: Final = timedelta(days=183)
_PASSED_ON: Final = timedelta(days=PASSED_ON_DAYS)
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_NOWHERE: Final = Position(source=Source.NONE)


def number(source: Message) -> str:
    """Return a message's number as alerts cite it."""
    return f"{source.device}/{source.boot}/{source.seq}"


def key_of(event: Event) -> str:
    """Return the key of what is observed of an event: its number, and of units that are bound together theirs."""
    return f"rebinding/{event.shipment}" if event.step is Step.REBIND else number(event.source)


def believed(occurred: datetime, received: datetime) -> datetime:
    """Return when something happened; a clock that is ahead or half a year behind is not believed."""
    return min(occurred, received) if is_dated(occurred, received) else received


def is_dated(occurred: datetime, received: datetime) -> bool:
    """Tell whether the clock of what reported something is believed."""
    return received - _OLDEST <= occurred <= received + _AHEAD


class Observer:
    """Makes observations of one situation; positions in other systems are turned into WGS-84 by the mainland."""

    def __init__(self, keeper: Keeper, mainland: Region | None) -> None:
        self._keeper, self._mainland = keeper, mainland
        self._converted: dict[tuple[str, float, float], tuple[float, float]] = {}

    def convert(self, rows: Iterable[Any]) -> None:
        """Convert the positions of many scans at once; one by one they take a quarter of the time of all the rest."""
        if self._mainland is None:
            return
        shifted: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for row in rows:
            if row.crs not in (None, Crs.WGS84) and _STEPS.get(row.activity) in SIGHTINGS and _is_precise(row):
                shifted[row.crs].append((row.lon, row.lat))
        for crs, places in shifted.items():
            lons, lats = to_wgs84([lon for lon, _ in places], [lat for _, lat in places], Crs(crs), self._mainland)
            found = zip(lons.tolist(), lats.tolist(), strict=True)
            self._converted |= {(crs, *place): known for place, known in zip(places, found, strict=True)}

    def scan(self, row: Any, code: Code, received: datetime) -> Iterator[Sighting | Movement]:  # noqa: ANN401  as landed
        """Yield what a scan says; `received` is when it came, or when what changed it came."""
        step = _STEPS.get(row.activity)
        if step is None or not code.unit:
            return
        source = Message(row.device, row.boot, row.seq)
        site = self._keeper.situation.sites.get(row.site)
        moment, dated = believed(row.ts, row.received_at), is_dated(row.ts, row.received_at)
        if step in MOVEMENTS:
            if code.state.accepted:
                event = Event(code.unit, step, row.site, moment, source, shipment=row.reference or None)
                yield from self._movements(event, site, received, (row.device, row.operator), dated=dated)
            return
        goods = self._keeper.goods(code.unit, moment, code)
        if goods.state is CodeState.UNKNOWN and row.symbology == _TYPED:
            # Somebody who types a code slips: what nobody issued is then no label, whatever its form.
            goods = structs.replace(goods, product=None)
        consumer = step is Step.CONSUME
        # A gateway speaks for many phones: it names them where it knows them.
        device, actor = (row.operator, "") if consumer else (row.device, row.operator)
        name = number(source)
        yield Sighting(
            key=name,
            event=name,
            kind=SIGHTINGS[step],
            goods=goods,
            position=self._position(row, site),
            occurred_at=milliseconds(moment),
            received_at=milliseconds(received),
            device=device,
            actor=actor,
            dated=dated,
        )

    def event(self, event: Event, received: datetime) -> Iterator[Sighting | Movement]:
        """Yield what an event of another source than a station says; a captured shipment is a paper and no reading."""
        site = self._keeper.situation.sites.get(event.site)
        if event.step in MOVEMENTS and event.step is not Step.SHIP:
            yield from self._movements(event, site, received, ("", ""))
        elif event.step in SIGHTINGS:
            moment = believed(event.occurred_at, received)
            yield Sighting(
                key=number(event.source),
                event=number(event.source),
                kind=SIGHTINGS[event.step],
                goods=self._keeper.goods(event.unit, moment),
                position=_at(site),
                occurred_at=milliseconds(moment),
                received_at=milliseconds(received),
                device=event.source.device if event.step is Step.SELL else "",
                dated=is_dated(event.occurred_at, received),
            )

    def binding(self, key: str, events: Sequence[Event], received: datetime) -> Binding:
        """Return what re-binding events of one number say together."""
        first = events[0]
        before = self._keeper.goods(first.unit, first.occurred_at, without=first)
        units = tuple(dict.fromkeys(each.unit for each in events))
        return Binding(
            key=key,
            event=number(first.source),
            cases=units,
            units=units,
            from_dealer=before.dealer,
            to_dealer=first.dealer,
            approvers=first.approvers,
            occurred_at=milliseconds(first.occurred_at),
            received_at=milliseconds(received),
            actor=next(iter(first.approvers), ""),
        )

    def _movements(
        self, event: Event, site: Site | None, received: datetime, by: tuple[str, str], *, dated: bool = True
    ) -> Iterator[Movement]:
        if site is None:
            return
        inside = self._keeper.situation.contents.get(event.unit)
        name = number(event.source)
        goods = self._keeper.goods(event.unit, event.occurred_at, without=event)
        sent_on = event.occurred_at - _PASSED_ON if dated else _EVER
        documented = self._keeper.papers.documents(event, site.dealer, sent_on)
        for case in (inside.cases if inside else ()) or (event.unit,):
            yield Movement(
                key=name if case == event.unit else f"{name}{case}",
                event=name,
                kind=MOVEMENTS[event.step],
                goods=goods if case == event.unit else structs.replace(goods, unit=case, case=case),
                site_dealer=site.dealer,
                position=_at(site),
                occurred_at=milliseconds(event.occurred_at),
                received_at=milliseconds(received),
                shipment=event.shipment,
                documented=documented,
                device=by[0],
                actor=by[1],
                dated=dated,
            )

    def _position(self, row: Any, site: Site | None) -> Position:  # noqa: ANN401  likewise
        if row.lon is None or row.lat is None:
            return _at(site)
        if not _is_precise(row):
            return _NOWHERE
        address = row.platform == _ADDRESS
        if (place := (row.crs, row.lon, row.lat)) not in self._converted:
            self.convert([row])
        lon, lat = self._converted.get(place, (row.lon, row.lat))
        # Who inspects stands in a shop, and goods in a shop are no traveller's.
        source = Source.IP if address else Source.STORE if row.activity == "inspect" else Source.GPS
        return Position(source=source, lat=lat, lon=lon, accuracy_m=row.accuracy_m)


def _is_precise(row: Any) -> bool:  # noqa: ANN401  a row as landed
    """Whether a scan says where it was made, closely enough to name a city."""
    widest = _WIDEST_ADDRESS_M if row.platform == _ADDRESS else _WIDEST_GPS_M
    return row.lon is not None and row.lat is not None and 0 <= (row.accuracy_m or 0) <= widest


def _at(site: Site | None) -> Position:
    if site is None or site.position is None:
        return _NOWHERE
    lon, lat = site.position
    if site.kind == "store":
        return Position(source=Source.STORE, lat=lat, lon=lon, place=site.id)
    # A warehouse goes by the dealer who runs it.
    return Position(source=Source.SITE, lat=lat, lon=lon, place=site.dealer or site.id)
