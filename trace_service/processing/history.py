"""Time travel: what was so at one moment (`valid_at`), as it was known at another (`known_at`).

An answer is worked out anew from the events that were on record by `known_at`. Events are never changed or deleted,
and what follows from them depends on nothing else, so a past answer is exactly what would have been said then.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trace_service.domain.custody import Custody
from trace_service.domain.events import Event, Refusal, Source
from trace_service.domain.states import Life, State, is_single
from trace_service.processing.loading import Loaded, brands_of, load, read_event
from trace_service.store.connection import Connection, one
from trace_service.store.queries import SQL

_LIVES = {
    Life.SOLD: ("sold", "retail_sold"),
    Life.DECOMMISSIONED: ("decommissioned", "inactive"),
    Life.DESTROYED: ("destroyed", "destroyed"),
    Life.UNKNOWN: ("unknown", "unknown"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a unit or of what it lay in; `refusal` is why it changed nothing."""

    event: Event
    recorded_at: datetime
    refusal: Refusal | None
    retracted: bool


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit at `valid_at` as known at `known_at` (None: everything that is known now).

    `state` is ours, `disposition` that of the core business vocabulary. `site` is where the unit is, or left from
    while `moving`; `holder` the dealer of that site, None for the brand itself; `dealer` is who is entitled to the unit
    by `shipment`, with `levels` from the root of the channel down and the `territory` version in force. `parents` lead
    from the nearest container to the outermost. `events` are those that say so, oldest first.
    """

    unit: str
    valid_at: datetime
    known_at: datetime | None
    state: str
    disposition: str
    moving: bool
    site: Mapping[str, Any] | None
    holder: str | None
    dealer: str | None
    shipment: str | None
    levels: tuple[str, ...]
    territory: Mapping[str, Any] | None
    parents: tuple[str, ...]
    transfer: Mapping[str, str] | None
    blocked: str | None
    recalled: str | None
    events: tuple[Entry, ...]


def state_at(
    connection: Connection, brand: str, unit: str, valid_at: datetime, known_at: datetime | None = None
) -> UnitState:
    """Return what a unit of the brand was at `valid_at`, by what was on record at `known_at`.

    A unit that nobody had said anything about, or that belongs to another brand, is `unknown`.
    """
    loaded, custody = _known(connection, brand, unit, known_at)
    state = custody.state_at(unit, valid_at)
    said, held = state.said, state.entitlement
    dealer = held.dealer if held else None
    query = {"site": said.site if said else None, "dealer": dealer, "valid_at": valid_at, "known_at": _until(known_at)}
    details = one(connection, SQL["custody_details"], query)
    name, disposition = _names(state, home=bool(said) and details.holder is None)
    return UnitState(
        unit=unit,
        valid_at=valid_at,
        known_at=known_at,
        state=name,
        disposition=disposition,
        moving=state.moving,
        site=details.site,
        holder=details.holder,
        dealer=dealer,
        shipment=held.shipment if held and dealer else None,
        levels=tuple(details.levels or ()),
        territory=details.territory,
        parents=state.path,
        transfer={"dealer": state.transfer.dealer, "number": state.transfer.number} if state.transfer else None,
        blocked=state.blocked.reason if state.blocked else None,
        recalled=state.recalled.reason if state.recalled else None,
        events=tuple(_entries(loaded, custody, state.sources)),
    )


def brand_of(connection: Connection, unit: str) -> str | None:
    """Return whose a unit is, by its events or those of what lies in it; None where nobody said anything about it."""
    return brands_of(connection, [unit]).get(unit)


def timeline(connection: Connection, brand: str, unit: str, known_at: datetime | None = None) -> list[Entry]:
    """Return all that happened to a unit, by itself or inside something, oldest first, as known at `known_at`."""
    loaded, custody = _known(connection, brand, unit, known_at)
    wanted = [
        event.source
        for holder, events in loaded.events.items()
        for event in events
        if holder == unit or not is_single(holder) or holder in custody.state_at(unit, event.occurred_at).path
    ]
    entries = list(_entries(loaded, custody, wanted))
    if loaded.events.get(unit):
        rows = connection.execute(SQL["sightings"], {"unit": unit, "known_at": _until(known_at)})
        entries += [Entry(read_event(row), row.recorded_at, None, retracted=False) for row in rows]
    return sorted(entries, key=lambda each: (each.event.occurred_at, each.event.source))


def _known(connection: Connection, brand: str, unit: str, known_at: datetime | None) -> tuple[Loaded, Custody]:
    loaded = load(connection, [unit], _until(known_at))
    brands = {found for event in loaded.events.get(unit, ()) if (found := loaded.brands[event.source])}
    if brands and brand not in brands:
        loaded = Loaded({}, {}, {}, {}, {})
    return loaded, loaded.custody()


def _until(known_at: datetime | None) -> datetime | str:
    return known_at or "infinity"


def _entries(loaded: Loaded, custody: Custody, sources: Iterable[Source]) -> Iterator[Entry]:
    wanted = set(sources)
    for event in sorted(
        (event for events in loaded.events.values() for event in events if event.source in wanted),
        key=lambda each: (each.occurred_at, each.source),
    ):
        source = event.source
        recorded = loaded.recorded[source]
        yield Entry(event, recorded, custody.refused.get(source), retracted=source in custody.retracted)


def _names(state: State, *, home: bool) -> tuple[str, str]:
    """Return the state under our name and as a disposition; `home` where the brand itself has the unit."""
    if state.life in _LIVES:
        return _LIVES[state.life]
    if state.recalled or state.blocked:
        return ("recalled", "recalled") if state.recalled else ("blocked", "sellable_not_accessible")
    if state.moving:
        return "in_transit", "in_transit"
    if state.said is None:
        return "active", "in_progress" if state.path else "active"
    if home:
        return ("returned", "returned") if state.entitlement else ("in_stock", "in_progress")
    return "in_stock", "sellable_not_accessible" if state.transfer else "sellable_accessible"
