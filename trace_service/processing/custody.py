"""From events to what follows from them: append the new ones, replay whom they concern, write the difference.

Shipping a pallet replays the pallet. What lies in it inherits, and is asked again only where it did something later.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from trace_service.domain.custody import HOLDS, Custody
from trace_service.domain.events import LOGISTIC_PREFIX, SIGHTINGS, Event, Refusal, Site, Source, Step
from trace_service.domain.states import is_single
from trace_service.processing.loading import Loaded, brands_of, load
from trace_service.processing.members import EVER, remember, remember_held
from trace_service.processing.outcome import Outcome, write
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL
from trace_service.store.rows import key_columns, recordset

# Units beyond this number that a late event concerns are judged by the worker, a batch at a time.
AT_ONCE: Final = 500
_MOVES = frozenset({Step.RECEIVE, Step.SHIP, Step.SELL})

Since = Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Custody of the units concerned, and what the new events may have changed.

    `affected` are the units whose verdicts are to be decided again, with the time from which they may differ; `brands`
    those of logistic units; `moved` the (site, unit) pairs that came or went there: a case counts for what lies in it.
    `loaded` is what the replay was made from, `fresh` its new events, `shipments` by brand those that gained or lost a
    unit.
    """

    custody: Custody
    affected: Since
    refused: Mapping[Source, Refusal]
    brands: Mapping[str, str]
    moved: frozenset[tuple[str, str]]
    loaded: Loaded
    fresh: Sequence[Event]
    shipments: Mapping[str, Collection[str]]


class Situation(NamedTuple):
    """What is known of the units concerned, what follows from it, and whose the logistic ones are."""

    loaded: Loaded
    custody: Custody
    brands: Mapping[str, str]


def record(
    connection: Connection,
    fresh: Iterable[tuple[str | None, Event]],
    seen: Collection[str],
    sites: dict[str, Site],
    again: Since | None = None,
) -> Replayed:
    """Append events (each with its brand), replay whom they concern, and write containment, bindings and quarantine.

    `seen` are the units scanned in this batch, `again` those to be judged again since a time; `sites` is filled up with
    those that earlier events name. The caller holds the locks.
    """
    events = _append(connection, list(fresh))
    changed = _earliest([_changed(connection, events), again or {}])
    # 1. Whom does it concern? Those who did something in a changed container since.
    changed = _earliest([changed, remember(connection, events, changed)])
    affected = _with_dependents(connection, changed)
    for event in events:
        if event.step is Step.PACK and event.parent:
            affected.setdefault(event.parent, event.occurred_at)
    _queue_classes(connection, events, {unit: since for unit, since in changed.items() if not is_single(unit)})
    # 2. What follows for them from all that is known?
    situation = _replay(connection, events, affected, seen, sites)
    while news := remember_held(connection, situation.custody, affected):
        affected = _earliest([affected, _with_dependents(connection, news)])
        situation = _replay(connection, events, affected, seen, sites)
    loaded, custody = situation.loaded, situation.custody
    # 3. Write what differs.
    strange = {event.unit for event in events if event.step in SIGHTINGS and event.source in custody.refused}
    shipments = write(connection, Outcome(custody, loaded, affected.keys() | strange, situation.brands))
    touched = {unit for event in events for unit in (event.unit, event.parent) if unit}
    moved = frozenset(
        (event.site, unit) for unit in touched for event in loaded.events.get(unit, ()) if event.step in _MOVES
    )
    return Replayed(custody, affected, custody.refused, situation.brands, moved, loaded, events, shipments)


def _replay(
    connection: Connection, fresh: Collection[Event], affected: Since, seen: Collection[str], sites: dict[str, Site]
) -> Situation:
    loaded = load(connection, affected.keys() | set(seen))
    # Sightings move nothing, so that nobody loads them; new ones may still be at a place that nobody knows.
    for event in fresh:
        if event.step in SIGHTINGS:
            loaded.events.setdefault(event.unit, []).append(event)
            loaded.brands[event.source] = None
    loaded.sites.update({name: site for name, site in sites.items() if name not in loaded.sites})
    sites |= loaded.sites
    logistic = sorted(unit for unit in loaded.events.keys() | set(seen) if unit.startswith(LOGISTIC_PREFIX))
    filled = {parent for (parent,) in connection.execute(SQL["filled"], {"units": logistic})} if logistic else set()
    custody = loaded.custody(filled | {event.parent for event in fresh if event.parent})
    return Situation(loaded, custody, brands_of(connection, logistic))


def _append(connection: Connection, fresh: list[tuple[str | None, Event]]) -> list[Event]:
    """Insert events and return those that were not there before; a container's brand is that of what lies in it."""
    if not fresh:
        return []
    known = {event.parent: brand for brand, event in fresh if brand and event.parent}
    unknown = {event.unit for brand, event in fresh if brand is None and event.unit not in known}
    if unknown:
        known |= brands_of(connection, sorted(unknown))
    rows = recordset(_event_row(brand or known.get(event.unit), event) for brand, event in fresh)
    inserted = {Source(*row) for row in connection.execute(SQL["insert_events"], {"rows": rows})}
    if any(event.step is Step.SHIP for _, event in fresh):
        connection.execute(SQL["insert_shipments"], {"rows": rows})
    return [event for _, event in fresh if event.source in inserted]


def _earliest(parts: Iterable[Since]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for part in parts:
        for unit, since in part.items():
            found[unit] = min(since, found.get(unit, since))
    return found


def _changed(connection: Connection, events: Collection[Event]) -> dict[str, datetime]:
    """Return from when on the state of each unit may differ."""
    changed: dict[str, datetime] = {}
    for event in events:
        if event.step not in SIGHTINGS:
            # A code that turns out to be genuine was so from the beginning.
            since = EVER if event.verified else event.occurred_at
            changed[event.unit] = min(since, changed.get(event.unit, since))
    corrected = [event.corrects for event in events if event.corrects]
    if corrected:
        for row in connection.execute(SQL["corrected"], key_columns(corrected)):
            changed[row.unit] = min(row.occurred_at, changed.get(row.unit, row.occurred_at))
    # A unit that is held keeps the containers around it from leaving.
    if changed:
        rows = connection.execute(SQL["containers_of_held"], {"units": list(changed)}).fetchall()
        changed = _earliest([changed, *({row.container: changed[row.changed]} for row in rows)])
    for event in events:
        if event.step in HOLDS and is_single(event.unit):
            for (unit,) in connection.execute(SQL["path_above"], {"units": [event.unit]}):
                changed[unit] = min(event.occurred_at, changed.get(unit, event.occurred_at))
    return changed


def _with_dependents(connection: Connection, changed: Since) -> dict[str, datetime]:
    """Return the changed units and all that rely on them since; where they are too many, the rest is queued."""
    found = dict(changed)
    news = dict(changed)
    while news:
        query = {"units": list(news), "sinces": list(news.values()), "limit": AT_ONCE + 1}
        rows = connection.execute(SQL["dependents"], query).fetchall()
        if len(rows) > AT_ONCE:
            connection.execute(SQL["queue_dependents"], query)
            connection.execute("NOTIFY work")
            break
        news = {row.unit: row.since for row in rows if row.unit not in found or row.since < found[row.unit]}
        found |= news
    return found


def _queue_classes(connection: Connection, events: Collection[Event], changed: Since) -> None:
    if not changed:
        return
    for (brand,) in connection.execute(SQL["brands_of_sources"], key_columns(event.source for event in events)):
        query = {"brand": brand, "units": list(changed), "sinces": list(changed.values())}
        connection.execute(SQL["queue_held_classes"], query)
    connection.execute("NOTIFY work")


def _event_row(brand: str | None, event: Event) -> dict[str, Any]:
    corrects = event.corrects
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
        "recipient": event.recipient,
        "approvers": list(event.approvers),
        "corrects_device": corrects.device if corrects else None,
        "corrects_boot": corrects.boot if corrects else None,
        "corrects_seq": corrects.seq if corrects else None,
        **event.source._asdict(),
    }
