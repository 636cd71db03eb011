"""Events of other sources than stations: EPCIS documents, partners, clerks. One transaction of the caller's."""

from collections.abc import Mapping, Sequence

from trace_service.domain.events import Event, Refusal, Source
from trace_service.processing.custody import record
from trace_service.processing.loading import load_sites
from trace_service.store.connection import Connection
from trace_service.store.locks import lock_units


def capture(connection: Connection, brand: str, events: Sequence[Event]) -> Mapping[Source, Refusal | None]:
    """Append a brand's events, and return for each why it is refused for now, or None.

    The caller holds a transaction. An event that was captured before changes nothing. What is refused is kept and
    shown in quarantine; a later event may make it right.
    """
    sites = load_sites(connection, {event.site for event in events}, ())
    known = [event for event in events if event.site in sites]
    units = {unit for event in known for unit in (event.unit, event.parent) if unit}
    lock_units(connection, units)
    replayed = record(connection, [(brand, event) for event in known], units, sites)
    return {
        event.source: replayed.refused.get(event.source) if event.site in sites else Refusal.UNKNOWN_SITE
        for event in events
    }
