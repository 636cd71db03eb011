"""Tells the brands' engines what was decided: every scan, captured event and paper that became different."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from geofence.coordinates import Region
from trace_service.detection.live.feed import milliseconds
from trace_service.detection.live.goods import Contents, Keeper, Situation
from trace_service.detection.live.papers import returned, shipments
from trace_service.detection.live.queries import SQL
from trace_service.detection.live.sights import MOVEMENTS, SIGHTINGS, Observer, key_of, number
from trace_service.detection.live.told import tell, withdraw
from trace_service.detection.observations import Observation
from trace_service.domain.events import LOGISTIC_PREFIX, Event, Site, Source, Step
from trace_service.domain.scene import CLOCK_TOLERANCE
from trace_service.domain.verification import Code
from trace_service.domain.verification import CodeState as Registered
from trace_service.processing.custody import Replayed
from trace_service.processing.loading import read_event
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL as STORE

_SILENT: Final = frozenset({Step.PACK, Step.COMMISSION, Step.CORRECT})
_NOBODYS: Final = frozenset({Registered.MALFORMED, Registered.FOREIGN})


@dataclass(frozen=True, slots=True)
class Judged:
    """Scans that were judged, new ones (`fresh`) and earlier ones that the news at `moment` concern."""

    scans: Mapping[Source, Any]
    codes: Mapping[Source, Code]
    sites: Mapping[str, Site]
    fresh: Collection[Source]
    moment: datetime
    mainland: Region | None
    lots: Callable[[Mapping[str, str]], Mapping[str, str]]
    """Return the lots of containers, given an item in each."""


def observe_scans(connection: Connection, judged: Judged, brands: Iterable[str | None], replayed: Replayed) -> None:
    """Queue what judged scans say, each of a brand, and the captured events of the same units that the news concern."""
    asked = [
        (judged.scans[source], judged.codes[source], brand)
        for source, brand in zip(judged.scans, brands, strict=True)
        if brand is not None and judged.codes[source].state not in _NOBODYS
    ]
    captured = list(_captured(connection, replayed, judged.scans))
    units = {code.unit for _, code, _ in asked} | {event.unit for _, event in captured}
    observer = Observer(_keeper(connection, replayed, judged.sites, units, judged.lots), judged.mainland)
    observer.convert(row for row, _, _ in asked)
    told = _Told(replayed, judged.sites, judged.moment)
    for row, code, brand in asked:
        source = Source(row.device, row.boot, row.seq)
        if source in replayed.custody.retracted:
            told.wrong[brand].add(number(source))
            continue
        received = row.received_at if source in judged.fresh else judged.moment
        told.said[brand].extend(observer.scan(row, code, received))
    told.add_captured(observer, captured)
    told.send(connection)


def observe_captured(
    connection: Connection, brand: str, events: Iterable[Event], replayed: Replayed, moment: datetime
) -> None:
    """Queue what events of other sources than stations say; scans of the same units follow when they are judged."""
    given = [(brand, event) for event in events]
    units = {event.unit for _, event in given}
    sites = replayed.loaded.sites
    observer = Observer(_keeper(connection, replayed, sites, units), None)
    told = _Told(replayed, sites, moment)
    told.add_captured(observer, given)
    by_source = {event.source: event for found in replayed.loaded.events.values() for event in found}
    for _, event in given:
        if event.corrects is not None and event.corrects in replayed.custody.retracted:
            told.wrong[brand].add(key_of(by_source[event.corrects]))
    told.send(connection)


class _Told:
    """What each brand's engine is to be told of one replay."""

    def __init__(self, replayed: Replayed, sites: Mapping[str, Site], moment: datetime) -> None:
        self._replayed, self._sites, self._moment = replayed, sites, moment
        self.said: dict[str, list[Observation]] = defaultdict(list)
        self.wrong: dict[str, set[str]] = defaultdict(set)
        self._bound: dict[tuple[str, str], list[Event]] = defaultdict(list)

    def add_captured(self, observer: Observer, events: Iterable[tuple[str, Event]]) -> None:
        """Take in what captured events say, each with its brand."""
        for brand, event in events:
            if event.source in self._replayed.custody.retracted:
                self.wrong[brand].add(key_of(event))
            elif event.step is Step.REBIND:
                self._bound[brand, key_of(event)].append(event)
            else:
                self.said[brand].extend(observer.event(event, self._moment))
        for (brand, key), found in self._bound.items():
            self.said[brand].append(observer.binding(key, found, self._moment))

    def send(self, connection: Connection) -> None:
        """Queue papers first, then what happened, each in the order of its arrival."""
        papers = self._papers(connection)
        for brand in papers.keys() | self.said.keys() | self.wrong.keys():
            withdraw(connection, brand, self.wrong[brand], milliseconds(self._moment))
            said = sorted(self.said[brand], key=lambda each: (each.received_at, getattr(each, "occurred_at", 0)))
            tell(connection, brand, [*papers.get(brand, ()), *said])

    def _papers(self, connection: Connection) -> dict[str, list[Observation]]:
        found: dict[str, list[Observation]] = {}
        for brand, numbers in self._replayed.shipments.items():
            found[brand] = list(shipments(connection, brand, numbers, self._moment))
        for (brand, sender), events in self._back().items():
            found.setdefault(brand, []).extend(returned(brand, events, sender, self._moment))
        return found

    def _back(self) -> dict[tuple[str, str], list[Event]]:
        """Return accepted new returns to the brand by who sends them."""
        found: dict[tuple[str, str], list[Event]] = defaultdict(list)
        for event in self._replayed.fresh:
            brand = self._replayed.loaded.brands.get(event.source)
            site = self._sites.get(event.site)
            if event.step is Step.RETURN and event.source not in self._replayed.refused and brand and site:
                found[brand, site.dealer or brand].append(event)
        return found


def _captured(connection: Connection, replayed: Replayed, scans: Mapping[Source, Any]) -> Iterator[tuple[str, Event]]:
    """Yield events of the units concerned that no station scanned, each with its brand."""
    since = replayed.affected
    if not since:
        return
    loaded = replayed.loaded
    for unit, begin in since.items():
        for event in loaded.events.get(unit, ()):
            brand = loaded.brands[event.source]
            told = event.step in MOVEMENTS or event.step in SIGHTINGS
            if told and brand and event.source not in scans and event.occurred_at >= begin - CLOCK_TOLERANCE:
                yield brand, event
    query = {"units": list(since), "sinces": list(since.values())}
    for row in connection.execute(STORE["sightings_since"], query):
        event = read_event(row)
        if event.source not in scans and event.source not in loaded.brands:
            yield row.brand, event


def _keeper(
    connection: Connection,
    replayed: Replayed,
    sites: Mapping[str, Site],
    units: Iterable[str],
    lots: Callable[[Mapping[str, str]], Mapping[str, str]] | None = None,
) -> Keeper:
    logistic = sorted(unit for unit in units if unit.startswith(LOGISTIC_PREFIX))
    rows = connection.execute(SQL["contents_of"], {"units": logistic}).fetchall() if logistic else ()
    found = lots({row.unit: row.item for row in rows if row.item and not row.lot}) if lots else {}
    contents = {
        row.unit: Contents(
            row.product and row.product.removeprefix("/01/"),
            row.lot.rpartition("/")[2] if row.lot else found.get(row.unit),
            tuple(row.inside),
        )
        for row in rows
    }
    # What packs and commissions says nothing of who may hold a unit, and is most of what there is.
    loaded = replayed.loaded.events.values()
    events = {event.source: event for found in loaded for event in found if event.step not in _SILENT}
    return Keeper(Situation(replayed.custody, events, {**replayed.loaded.sites, **sites}, contents))
