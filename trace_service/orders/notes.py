"""What stations report: stored once, and carried out where it concerns an order or a unit."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
import psycopg
import structlog

from contracts.errors import CodefenceError
from contracts.gs1 import CANONICAL_HOST
from contracts.stations import Note, NoteKind, Taken
from trace_service.codes.batches import BatchError, scrap
from trace_service.codes.batches import find as find_batch
from trace_service.codes.lookup import counters_of
from trace_service.domain.events import Event, Source, Step
from trace_service.keys import KeyWrapper
from trace_service.orders import service
from trace_service.orders.access import Station
from trace_service.orders.model import FOLLOWS, By, Order, State, as_json
from trace_service.orders.queries import SQL
from trace_service.processing.capture import capture
from trace_service.store.connection import Connection
from trace_service.webhooks import enqueue

_log = structlog.get_logger(__name__)
_Handler = Callable[[Connection, Station, Order, Note], None]
_SCRAPPED: Final = "scrapped at a station"
_LONGEST_REASON: Final = 500


def take(connection: Connection, keys: KeyWrapper, station: Station, notes: Iterable[Note]) -> Taken:
    """Store notes and act on those that are new; return the ids of all, since none has to be sent again.

    Each is a transaction of its own. One that cannot be carried out is stored with the reason and named as refused, so
    that it holds no other up. Raises psycopg.OperationalError where the database fails: then they have to come again.
    """
    ids, refused = [], []
    for note in notes:
        try:
            with connection.transaction():
                if _store(connection, station, note) and note.kind is NoteKind.SCRAPPED:
                    _scrap(connection, keys, station, note)
        except psycopg.OperationalError:
            raise
        except (CodefenceError, psycopg.DatabaseError, ValueError, LookupError) as error:
            _refuse(connection, station, note, error)
            refused.append(note.id)
        ids.append(note.id)
    return Taken(tuple(ids), tuple(refused))


def _refuse(connection: Connection, station: Station, note: Note, error: Exception) -> None:
    """Keep a note as it came, as text: what the database refused once must not be refused here again."""
    code = error.code if isinstance(error, CodefenceError) else type(error).__name__
    order = connection.execute(SQL["order_at_site"], _place(station, note)).fetchone()
    refused = {"code": code, "reason": str(error)[:_LONGEST_REASON], "note": msgspec.json.encode(note).decode()}
    row = _row(station, note, order.brand if order else None, {"refused": refused})
    connection.execute(SQL["insert_station_event"], row)
    _log.error("a note was refused", action="orders.note_refused", device=station.device, note=note.id, code=code)


def _row(station: Station, note: Note, brand: str | None, body: Mapping[str, object]) -> dict[str, object]:
    return {
        "device": station.device,
        "id": UUID(note.id),
        "site": station.site,
        "kind": note.kind.value,
        "brand": brand,
        "order_id": note.order or None,
        "unit": note.unit or None,
        "operator": note.operator,
        "occurred_at": _moment(note),
        "body": msgspec.json.encode(body).decode(),
    }


def _place(station: Station, note: Note) -> dict[str, str]:
    return {"site": station.site, "id": note.order, "brand": note.brand}


def _store(connection: Connection, station: Station, note: Note) -> bool:
    """Store a note and move the order that it is about; return whether it is new."""
    order = _order_of(connection, station, note)
    row = _row(station, note, order.brand if order else None, {"detail": note.detail, "shift": note.shift})
    if connection.execute(SQL["insert_station_event"], row).fetchone() is None:
        return False
    handler = _HANDLERS.get(note.kind)
    if order is not None and handler is not None:
        handler(connection, station, order, note)
    return True


def _order_of(connection: Connection, station: Station, note: Note) -> Order | None:
    """Return the order that a note names, where this site ships or receives it."""
    row = connection.execute(SQL["order_at_site"], _place(station, note)).fetchone()
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
    _record(connection, order.brand, _event(station, note, Step.VOID, order.id))


def _scrap(connection: Connection, keys: KeyWrapper, station: Station, note: Note) -> None:
    """Take a label out of its batch; one that custody has seen already is an item, and is decommissioned."""
    query = {"gtin": note.unit[4:18], "site": station.site}
    row = connection.execute(SQL["brand_of_product"], query).fetchone()
    if row is None:
        return
    _, place = next(iter(counters_of(connection, keys, row.brand, [CANONICAL_HOST + note.unit])))
    if place is None:
        return
    batch, counter = place
    try:
        scrap(connection, keys, find_batch(connection, row.brand, batch), ((counter, counter),), _SCRAPPED)
    except BatchError:
        _record(connection, row.brand, _event(station, note, Step.DECOMMISSION))


def _event(station: Station, note: Note, step: Step, shipment: str | None = None) -> Event:
    source = Source(station.device, UUID(note.id), 0)
    return Event(note.unit, step, station.site, _moment(note), source, shipment=shipment, reason=note.kind.value)


def _record(connection: Connection, brand: str, event: Event) -> None:
    for why in filter(None, capture(connection, brand, [event]).values()):
        _log.warning("custody refused it", action="orders.refused", unit=event.unit, reason=why.value)


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
    NoteKind.RECEIVED: _tell("order.received"),
    NoteKind.CONFLICT: _tell("order.conflict"),
}
