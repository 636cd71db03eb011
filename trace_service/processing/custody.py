"""From events to what follows from them: append the new ones, replay whom they concern, write the difference."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from trace_service.domain.custody import Custody, replay
from trace_service.domain.events import LOGISTIC_PREFIX, Event, History, Refusal, Site, Source, Step
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL
from trace_service.store.rows import key_columns, recordset

_MOVES = frozenset({Step.RECEIVE.value, Step.SHIP.value, Step.SELL.value})


@dataclass(frozen=True, slots=True)
class Replayed:
    """Custody of all connected units, and what the new events may have changed.

    `affected` are the units whose verdicts are to be decided again, `brands` those of logistic units, `moved` the
    (site, unit) pairs that came or went there: a case counts for what is known to lie in it.
    """

    custody: Custody
    affected: frozenset[str]
    refused: Mapping[Source, Refusal]
    brands: Mapping[str, str]
    moved: frozenset[tuple[str, str]]


def load_sites(connection: Connection, names: Collection[str], recipients: Collection[str]) -> dict[str, Site]:
    """Return sites by id; recipients are compared without regard to case."""
    query = {"names": sorted(names), "recipients": sorted({name.upper() for name in recipients if name})}
    return {
        row.id: Site(
            row.id,
            row.dealer,
            home=row.dealer is None and row.kind in {"factory", "warehouse"},
            position=None if row.lon is None else (row.lon, row.lat),
        )
        for row in connection.execute(SQL["sites"], query)
    }


def record(
    connection: Connection, fresh: Iterable[tuple[str | None, Event]], seen: Collection[str], sites: dict[str, Site]
) -> Replayed:
    """Append events (each with its brand), replay every connected unit, and write containment and bindings.

    `seen` are the units scanned in this batch; `sites` is filled up with those that earlier events name. The caller
    holds the locks.
    """
    events = list(fresh)
    if events:
        rows = recordset(_event_row(*pair) for pair in events)
        connection.execute(SQL["insert_events"], {"rows": rows})
        connection.execute(SQL["insert_shipments"], {"rows": rows})
    touched = {unit for _, event in events for unit in (event.unit, event.parent) if unit}
    connected = connection.execute(SQL["connected"], {"touched": sorted(touched), "asked": sorted(seen)}).fetchall()
    affected = frozenset(row.unit for row in connected if row.affected)
    stored = connection.execute(SQL["events"], {"units": [row.unit for row in connected]}).fetchall()
    missing = {row.site for row in stored} - sites.keys()
    if missing:
        sites |= load_sites(connection, missing, ())
    by_unit: dict[str, list[Event]] = defaultdict(list)
    brands: dict[str, str] = {}
    # What lies in a unit says whose it is, before whom it was shipped to.
    for row in sorted(stored, key=lambda each: (each.parent is None, each.brand or "")):
        by_unit[row.unit].append(_event(row))
        for unit in filter(None, (row.unit, row.parent)):
            if row.brand and unit.startswith(LOGISTIC_PREFIX):
                brands.setdefault(unit, row.brand)
    histories = {unit: replay(each, sites) for unit, each in by_unit.items()}
    refused = {source: why for history in histories.values() for source, why in history.refused.items()}
    changed = {unit: histories[unit] for unit in affected if unit in histories}
    owners = {row.unit: row.brand for row in stored if row.brand} | brands
    shippers = {Source(row.device, row.boot, row.seq): row.brand for row in stored}
    _write(connection, changed, owners, shippers)
    _quarantine(connection, [event for unit in changed for event in by_unit[unit]], refused, owners)
    moved = {(row.site, row.unit) for row in stored if row.unit in touched and row.biz_step in _MOVES}
    return Replayed(Custody(histories), affected, refused, brands, frozenset(moved))


def _event_row(brand: str | None, event: Event) -> dict[str, Any]:
    return {
        "brand": brand,
        "unit": event.unit,
        "biz_step": event.step.value,
        "site": event.site,
        "dealer": event.dealer,
        "shipment": event.shipment,
        "parent": event.parent,
        "occurred_at": event.occurred_at,
        "reason": event.reason,
        "lot": event.lot,
        "verified": event.verified,
        "corrects_device": event.corrects.device if event.corrects else None,
        "corrects_boot": event.corrects.boot if event.corrects else None,
        "corrects_seq": event.corrects.seq if event.corrects else None,
        **event.source._asdict(),
    }


def _event(row: Any) -> Event:  # noqa: ANN401  a row's columns are known to the query alone
    return Event(
        row.unit,
        Step(row.biz_step),
        row.site,
        row.occurred_at,
        Source(row.device, row.boot, row.seq),
        row.dealer,
        row.shipment,
        row.parent,
    )


def _write(
    connection: Connection,
    histories: Mapping[str, History],
    brands: Mapping[str, str],
    shippers: Mapping[Source, str | None],
) -> None:
    """Bring containments and bindings in line; a binding belongs to the brand whose shipment it is."""
    units = sorted(histories)
    packings = [
        {"brand": brands[unit], "child": unit, **_span(each), "parent": each.parent}
        for unit in units
        for each in histories[unit].packings
        if unit in brands
    ]
    bindings = [
        {
            "brand": shippers[each.source],
            "unit": unit,
            "dealer": each.dealer,
            "shipment": each.shipment,
            **_span(each),
            **each.source._asdict(),
        }
        for unit in units
        for each in histories[unit].entitlements
        if each.dealer
    ]
    parameters = {"units": units, "rows": recordset(packings)}
    connection.execute(SQL["retract_containments"], parameters)
    connection.execute(SQL["insert_containments"], parameters)
    parameters = {"units": units, "rows": recordset(bindings)}
    connection.execute(SQL["retract_bindings"], parameters)
    connection.execute(SQL["insert_bindings"], parameters)


def _span(each: Any) -> dict[str, Any]:  # noqa: ANN401  a packing or an entitlement
    return {"valid_from": each.valid_from, "valid_to": each.valid_to}


def _quarantine(
    connection: Connection, events: list[Event], refused: Mapping[Source, Refusal], brands: Mapping[str, str]
) -> None:
    held = [
        {
            "brand": brands.get(event.unit),
            **event.source._asdict(),
            "ts": event.occurred_at,
            "code": event.unit,
            "reason": refused[event.source].value,
            "detail": event.parent or event.shipment or "",
        }
        for event in events
        if event.source in refused
    ]
    if held:
        connection.execute(SQL["insert_quarantine"], {"rows": recordset(held)})
    mended = [event.source for event in events if event.source not in refused]
    if mended:
        connection.execute(SQL["resolve_quarantine"], key_columns(mended))
