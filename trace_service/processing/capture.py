"""Events of other sources than stations: EPCIS documents, partners, clerks. One transaction of the caller's."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from trace_service.domain.events import LOGISTIC_PREFIX, Event, Refusal, Source, Step
from trace_service.domain.states import product_of
from trace_service.processing.custody import record
from trace_service.processing.loading import load_sites
from trace_service.processing.observing import observe_captured
from trace_service.processing.outcome import write_reliance
from trace_service.stock.queue import queue_moves
from trace_service.store.connection import Connection
from trace_service.store.locks import lock_units
from trace_service.store.queries import SQL
from trace_service.store.rows import recordset


def capture(
    connection: Connection, brand: str, events: Sequence[Event], moment: datetime | None = None
) -> Mapping[Source, Refusal | None]:
    """Append a brand's events, and return for each why it is refused for now, or None.

    The caller holds a transaction. An event that was captured before changes nothing. What is refused is kept and
    shown in quarantine; a later event may make it right. Only units of other brands, or of none, are kept out of the
    chain of custody altogether: they stand in quarantine and nowhere else. A recipient that nobody registered is
    dropped from the event, which is then refused as `unknown_dealer`. The engine hears of it
    as of `moment` (None: now).
    """
    if not events:
        return {}
    foreign = _foreign(connection, brand, events)
    own = [event for event in _with_known_dealers(connection, brand, events) if event.source not in foreign]
    sites = load_sites(connection, {event.site for event in own}, ())
    parents = {event.parent for event in own if event.parent}
    # 1. Nobody else may change these units, or what they lie in, until this is committed.
    lock_units(connection, {event.unit for event in own}, parents)
    # 2. What follows from them?
    replayed = record(connection, [(brand, event) for event in own], (), sites)
    write_reliance(connection, replayed.custody, replayed.affected.keys())
    # 3. The brand's engine is told.
    observe_captured(connection, brand, replayed.fresh, replayed, moment or datetime.now(UTC))
    # 4. Scans of the same units are judged again by the worker, who has the keys and the map.
    query = {"units": list(replayed.affected), "sinces": list(replayed.affected.values())}
    connection.execute(SQL["queue_judged"], query)
    if own:
        queue_moves(connection, replayed.moved, own[-1].source)
    connection.execute("NOTIFY work")
    if foreign:
        _keep_out(connection, [event for event in events if event.source in foreign])
    refused = {**replayed.refused, **dict.fromkeys(foreign, Refusal.FOREIGN_UNIT)}
    return {event.source: refused.get(event.source) for event in events}


def _foreign(connection: Connection, brand: str, events: Iterable[Event]) -> set[Source]:
    """Return the events that name an item, product or lot of another brand, or a container that another brand uses."""
    named = {event.source: [unit for unit in (event.unit, event.parent) if unit] for event in events}
    gtins = {_gtin(unit) for units in named.values() for unit in units}
    logistic = {unit for units in named.values() for unit in units if unit.startswith(LOGISTIC_PREFIX)}
    brands = dict(connection.execute(SQL["product_brands"], {"gtins": sorted(gtins - {""})}).fetchall())
    owners = {row.unit: row.brand for row in connection.execute(SQL["brands_of"], {"units": sorted(logistic)})}
    return {
        source
        for source, units in named.items()
        for unit in units
        if (owners.get(unit) or brand if unit in logistic else brands.get(_gtin(unit))) != brand
    }


def _gtin(unit: str) -> str:
    product = product_of(unit) or unit.partition("/10/")[0]
    return product.removeprefix("/01/") if product.startswith("/01/") else ""


def _with_known_dealers(connection: Connection, brand: str, events: Sequence[Event]) -> Iterable[Event]:
    named = {event.dealer for event in events if event.dealer}
    known = _dealers(connection, brand, named) if named else {}
    for event in events:
        dealer = known.get(event.dealer.upper()) if event.dealer else None
        # A shipment without a number is named after its site, day and recipient, as a station's is.
        number = event.shipment
        if dealer and number is None and event.step is Step.SHIP:
            number = f"{event.site}-{event.occurred_at:%Y%m%d}-{dealer}"
        if (dealer, number) == (event.dealer, event.shipment):
            yield event
        else:
            yield replace(event, dealer=dealer, shipment=number, recipient=None if dealer else event.dealer)


def _dealers(connection: Connection, brand: str, names: Collection[str]) -> dict[str, str]:
    query = {"recipients": sorted({name.upper() for name in names}), "names": []}
    rows = connection.execute(SQL["recipients"], query)
    return {dealer.upper(): dealer for dealer, owner in rows if owner == brand}


def _keep_out(connection: Connection, events: Iterable[Event]) -> None:
    held: list[dict[str, Any]] = [
        {
            "brand": None,
            **event.source._asdict(),
            "ts": event.occurred_at,
            "code": event.unit,
            "reason": Refusal.FOREIGN_UNIT.value,
            "detail": event.step.value,
        }
        for event in events
    ]
    connection.execute(SQL["insert_quarantine"], {"rows": recordset(held)})
