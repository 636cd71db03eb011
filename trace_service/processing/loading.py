"""What custody needs to know of some units: their events, those of all that they were ever packed into, and holds."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trace_service.domain.custody import LEAVES, Custody
from trace_service.domain.events import LOGISTIC_PREFIX, Event, Site, Source, Step
from trace_service.domain.states import is_single
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL

Row = Any


@dataclass(frozen=True, slots=True)
class Loaded:
    """Events by unit, the brand and the time of record of each, what is held inside containers, and the sites."""

    events: dict[str, list[Event]]
    brands: dict[Source, str | None]
    recorded: dict[Source, datetime]
    contents: dict[str, set[str]]
    sites: dict[str, Site]

    def custody(self, filled: Collection[str] = ()) -> Custody:
        """Return what follows from the events."""
        custody = Custody(self.sites, self.contents, filled)
        custody.take(event for events in self.events.values() for event in events)
        return custody


def load_sites(connection: Connection, names: Collection[str], recipients: Collection[str]) -> dict[str, Site]:
    """Return sites by id; recipients are compared without regard to case."""
    query = {"names": sorted(names), "recipients": sorted({name.upper() for name in recipients if name})}
    return {row.id: _site(row.id, row.dealer, row.kind, row) for row in connection.execute(SQL["sites"], query)}


def _site(name: str, dealer: str | None, kind: str, row: Row) -> Site:
    home = dealer is None and kind in {"factory", "warehouse"}
    return Site(name, dealer, home=home, position=None if row.lon is None else (row.lon, row.lat), kind=kind)


def brands_of(connection: Connection, units: Collection[str]) -> dict[str, str]:
    """Return whose each logistic unit is: what lies in it says so before whom it was shipped to."""
    if not units:
        return {}
    return {row.unit: row.brand for row in connection.execute(SQL["brands_of"], {"units": list(units)}) if row.brand}


def load(connection: Connection, units: Collection[str], known_at: datetime | str = "infinity") -> Loaded:
    """Return what the given units depend on, as recorded until `known_at`."""
    loaded = Loaded({}, {}, {}, defaultdict(set), {})
    wanted, asked = set(units), set[str]()
    while wanted:
        before = set(loaded.events)
        _add(connection, loaded, wanted, known_at)
        asked |= wanted
        news = {unit: loaded.events[unit] for unit in loaded.events.keys() - before}
        wanted = {event.lot for events in news.values() for event in events if event.lot}
        # What is held inside a container counts where it leaves; its own past may rest on further containers.
        containers = [
            unit
            for unit, events in news.items()
            if unit.startswith(LOGISTIC_PREFIX) or any(event.step in LEAVES for event in events)
        ]
        if containers:
            for row in connection.execute(SQL["held_contents"], {"units": containers}):
                loaded.contents[row.container].add(row.member)
                wanted.add(row.member)
        wanted -= loaded.events.keys() | asked
    # Single units inside are judged by where they lie, products and lots by having ever been packed there.
    for members in loaded.contents.values():
        members -= {each for each in members if is_single(each)}
    return loaded


def _add(connection: Connection, loaded: Loaded, units: Collection[str], known_at: datetime | str) -> None:
    for row in connection.execute(SQL["events"], {"units": sorted(units), "known_at": known_at}):
        event = read_event(row)
        if row.site_kind and row.site not in loaded.sites:
            loaded.sites[row.site] = _site(row.site, row.site_dealer, row.site_kind, row)
        if event.source not in loaded.brands:
            loaded.events.setdefault(row.unit, []).append(event)
            loaded.brands[event.source] = row.brand
            loaded.recorded[event.source] = row.recorded_at


def read_event(row: Row) -> Event:
    """Return the event that a row of trace.custody_event holds."""
    corrects = Source(row.corrects_device, row.corrects_boot, row.corrects_seq) if row.corrects_device else None
    return Event(
        unit=row.unit,
        step=Step(row.biz_step),
        site=row.site,
        occurred_at=row.occurred_at,
        source=Source(row.device, row.boot, row.seq),
        dealer=row.dealer,
        shipment=row.shipment,
        parent=row.parent,
        reason=row.reason,
        corrects=corrects,
        lot=row.lot,
        verified=row.verified,
        approvers=tuple(row.approvers),
    )
