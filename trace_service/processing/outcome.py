"""Writes what follows from a replay: containment, bindings, quarantine, and who relied on whom."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trace_service.domain.custody import Custody
from trace_service.domain.events import Entitlement, Event, Refusal, Source
from trace_service.processing.loading import Loaded
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL
from trace_service.store.rows import key_columns, recordset


@dataclass(frozen=True, slots=True)
class Outcome:
    """A replay, of which `units` are to be written; `brands` says whose each logistic unit is."""

    custody: Custody
    loaded: Loaded
    units: Collection[str]
    brands: Mapping[str, str]

    def brand_of(self, unit: str) -> str | None:
        """Return whose a unit is, as far as anybody said."""
        events = self.loaded.events.get(unit, ())
        return self.brands.get(unit) or next(
            (brand for event in events if (brand := self.loaded.brands[event.source])), None
        )

    def events(self) -> Iterable[Event]:
        """Return the events of the units to be written."""
        return (event for unit in self.units for event in self.loaded.events.get(unit, ()))


def write(connection: Connection, outcome: Outcome) -> dict[str, set[str]]:
    """Bring containment, bindings and quarantine in line with the replay.

    Return, by brand, the shipments that gained or lost a unit by it.
    """
    units = sorted(outcome.units)
    parameters = {"units": units, "rows": recordset(_packings(outcome, units))}
    connection.execute(SQL["retract_containments"], parameters)
    connection.execute(SQL["insert_containments"], parameters)
    bindings = list(_bindings(outcome, units))
    if bindings:
        connection.execute(SQL["insert_shipments"], {"rows": recordset(bindings)})
    parameters = {"units": units, "rows": recordset(bindings)}
    changed: dict[str, set[str]] = defaultdict(set)
    for name in ("retract_bindings", "insert_bindings"):
        for row in connection.execute(SQL[name], parameters):
            if row.moved:
                changed[row.brand].add(row.shipment)
    _quarantine(connection, outcome, units)
    return changed


def write_reliance(connection: Connection, custody: Custody, units: Collection[str]) -> None:
    """Note on which containers the given units relied, and when."""
    rows = [
        {"container": container, "occurred_at": moment, "unit": unit}
        for container, moment, unit in sorted(custody.relied)
        if unit in units
    ]
    if rows:
        connection.execute(SQL["insert_reliance"], {"rows": recordset(rows)})


def _packings(outcome: Outcome, units: Iterable[str]) -> Iterable[dict[str, Any]]:
    for unit in units:
        brand = outcome.brand_of(unit)
        # Put in, taken out and put in again at one moment is one stay.
        stays = {(each.parent, each.valid_from): each for each in outcome.custody.packings(unit)}
        if brand is not None:
            for each in stays.values():
                yield {"brand": brand, "child": unit, "parent": each.parent, **_span(each.valid_from, each.valid_to)}


def _bindings(outcome: Outcome, units: Iterable[str]) -> Iterable[dict[str, Any]]:
    sites = {event.source: event.site for event in outcome.events()}
    for unit in units:
        for each in outcome.custody.entitlements(unit):
            # A binding belongs to the brand whose shipment it is.
            brand = outcome.loaded.brands[each.source] or outcome.brand_of(unit)
            if each.dealer and brand:
                yield {
                    "brand": brand,
                    "unit": unit,
                    "dealer": each.dealer,
                    "shipment": each.shipment,
                    "site": sites[each.source],
                    "occurred_at": each.valid_from,
                    **_span(each.valid_from, each.valid_to),
                    **each.source._asdict(),
                }


def _span(valid_from: datetime, valid_to: datetime | None) -> dict[str, Any]:
    return {"valid_from": valid_from, "valid_to": valid_to}


def _quarantine(connection: Connection, outcome: Outcome, units: list[str]) -> None:
    refused = outcome.custody.refused
    held = [_held(outcome, event, refused[event.source]) for event in outcome.events() if event.source in refused]
    if held:
        connection.execute(SQL["insert_quarantine"], {"rows": recordset(held)})
    opened = {Source(*row) for row in connection.execute(SQL["open_quarantine"], {"units": units})}
    mended = [event.source for event in outcome.events() if event.source in opened - refused.keys()]
    if mended:
        connection.execute(SQL["resolve_quarantine"], key_columns(mended))


def _held(outcome: Outcome, event: Event, why: Refusal) -> dict[str, Any]:
    detail = event.site if why is Refusal.UNKNOWN_SITE else event.parent or event.shipment or ""
    said = {
        "step": event.step,
        "site": event.site,
        "at": event.occurred_at,
        "dealer": event.dealer,
        "shipment": event.shipment,
        "parent": event.parent,
    }
    return {
        "brand": outcome.brand_of(event.unit),
        **event.source._asdict(),
        "ts": event.occurred_at,
        "code": event.unit,
        "reason": why.value,
        "detail": detail,
        "facts": {"said": said, "standing": _standing(outcome.custody, event)},
    }


def _standing(custody: Custody, event: Event) -> dict[str, Any]:
    """Return what stood against a refused event: state, place and holder of the unit just before it."""
    state = custody.standing[event.source]
    said = state.said
    held: Entitlement | None = state.entitlement
    return {
        "life": state.life,
        "parents": state.path,
        "site": said.site if said else None,
        "moving": state.moving,
        "since": said.since.moment if said else None,
        "dealer": held.dealer if held else None,
        "shipment": held.shipment if held else None,
        "by": said.since.source._asdict() if said else None,
    }
