"""What stations report: stored once, and carried out where it concerns an order or a unit."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
import structlog

from contracts.stations import Note, NoteKind
from trace_service.domain.events import Event, Source, Step
from trace_service.orders import service
from trace_service.orders.access import Station
from trace_service.orders.model import FOLLOWS, By, Order, State, as_json
from trace_service.orders.queries import SQL
from trace_service.processing.capture import capture
from trace_service.store.connection import Connection
from trace_service.webhooks import enqueue

_log = structlog.get_logger(__name__)
_Handler = Callable[[Connection, Station, Order, Note], None]


def take(connection: Connection, station: Station, notes: Iterable[Note]) -> tuple[str, ...]:
    """Store notes and act on those that are new; return the ids of all, since none has to be sent again."""
    ids = []
    for note in notes:
        with connection.transaction():
            _take(connection, station, note)
        ids.append(note.id)
    return tuple(ids)


def _take(connection: Connection, station: Station, note: Note) -> None:
    order = _order_of(connection, station, note)
    row = {
        "device": station.device,
        "id": UUID(note.id),
        "site": station.site,
        "kind": note.kind.value,
        "brand": order.brand if order else None,
        "order_id": note.order or None,
        "unit": note.unit or None,
        "operator": note.operator,
        "occurred_at": _moment(note),
        "body": msgspec.json.encode({"detail": note.detail, "shift": note.shift}).decode(),
    }
    if connection.execute(SQL["insert_station_event"], row).fetchone() is None:
        return
    handler = _HANDLERS.get(note.kind)
    if order is not None and handler is not None:
        handler(connection, station, order, note)


def _order_of(connection: Connection, station: Station, note: Note) -> Order | None:
    """Return the order that a note names, where this site ships or receives it."""
    query = {"site": station.site, "id": note.order, "brand": note.brand}
    row = connection.execute(SQL["order_at_site"], query).fetchone()
    if row is None:
        return None
    service.lock(connection, row.brand, row.id)
    return service.find(connection, row.brand, row.id)


def _begin(connection: Connection, station: Station, order: Order, note: Note) -> None:
    if order.state is State.OPEN:
        service.move(connection, order, State.LOADING, By(_actor(station, note), at=_moment(note)))


def _close(connection: Connection, station: Station, order: Order, note: Note) -> None:
    state = State.CLOSED if note.detail.get("agrees") is True else State.DIFFERENCE
    if state is order.state or state not in FOLLOWS[order.state]:
        _log.warning("a load was closed twice", action="orders.closed_twice", order=order.id, state=order.state.value)
        return
    signed = str(note.detail.get("signed_by", ""))[:64]
    reason = str(note.detail.get("reason", ""))[:300]
    said = f"{reason} ({signed})" if signed else reason
    service.move(connection, order, state, By(_actor(station, note), said, _moment(note)))


def _undo(connection: Connection, station: Station, order: Order, note: Note) -> None:
    _record(connection, station, order, note, Step.VOID)


def _scrap(connection: Connection, station: Station, order: Order, note: Note) -> None:
    _record(connection, station, order, note, Step.DECOMMISSION)


def _record(connection: Connection, station: Station, order: Order, note: Note, step: Step) -> None:
    event = Event(
        note.unit,
        step,
        station.site,
        _moment(note),
        Source(station.device, UUID(note.id), 0),
        shipment=order.id if step is Step.VOID else None,
        reason=str(note.detail.get("reason", ""))[:200] or note.kind.value,
    )
    refused = capture(connection, order.brand, [event])
    for why in filter(None, refused.values()):
        _log.warning("custody refused it", action="orders.refused", unit=note.unit, step=step.value, reason=why.value)


def _tell(topic: str) -> _Handler:
    def tell(connection: Connection, station: Station, order: Order, note: Note) -> None:
        told = {"order": as_json(order), "device": station.device, "at": _moment(note), "detail": note.detail}
        enqueue(connection, order.brand, topic, told | {"unit": note.unit})

    return tell


def _actor(station: Station, note: Note) -> str:
    return f"{station.device}/{note.operator}" if note.operator else station.device


def _moment(note: Note) -> datetime:
    return datetime.fromtimestamp(note.at / 1000, UTC)


_HANDLERS: Final[Mapping[NoteKind, _Handler]] = {
    NoteKind.LOAD_BEGUN: _begin,
    NoteKind.LOAD_CLOSED: _close,
    NoteKind.UNDONE: _undo,
    NoteKind.SCRAPPED: _scrap,
    NoteKind.RECEIVED: _tell("order.received"),
    NoteKind.CONFLICT: _tell("order.conflict"),
}
