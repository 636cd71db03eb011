"""Capture: a document's events are checked, given ids, held against custody and stored, all of it or what is right."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from trace_service.domain.events import Event, Refusal, Source, Step
from trace_service.epcis.custody import DEVICE, SITE, Places, custody_events, step_of, units
from trace_service.epcis.queries import SQL
from trace_service.epcis.rows import Origin, event_row, key, place
from trace_service.epcis.standard import namespaces
from trace_service.epcis.standard.documents import Document
from trace_service.epcis.standard.errors import InvalidDocumentError
from trace_service.epcis.standard.hashing import event_hash
from trace_service.epcis.standard.problems import Problem, child
from trace_service.epcis.validation import check
from trace_service.processing.capture import capture as capture_custody
from trace_service.store.connection import Connection
from trace_service.store.rows import recordset

MOST_EVENTS: Final = 5000
MOST_UNITS: Final = 20_000
_EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)
_GLN = re.compile(r"/41[47]/(\d{13})")
_ALREADY: Final = "EVENT_EXISTS"
_FOREIGN: Final = "FOREIGN_UNIT"
_EXCEPTIONS: Final[Mapping[str, str]] = {_ALREADY: "ResourceAlreadyExistsException", _FOREIGN: "SecurityException"}


class Behaviour(StrEnum):
    """What one bad event means for the others of its document."""

    ROLLBACK = "rollback"
    PROCEED = "proceed"


@dataclass(frozen=True, slots=True)
class Job:
    """What became of a captured document.

    `stored` are the ids of its events that are in now or were before, `fresh` tells whether any was not.
    """

    id: UUID
    success: bool
    problems: Sequence[Problem]
    stored: Sequence[str]
    fresh: bool


@dataclass(slots=True)
class _Work:
    """Events of one document on their way; `problems` and `custody` by the event's number in the document."""

    brand: str
    id: UUID
    document: Document
    moment: datetime | None = None
    events: dict[int, dict[str, Any]] = field(default_factory=dict)
    problems: dict[int, list[Problem]] = field(default_factory=lambda: defaultdict(list))
    custody: dict[int, list[Event]] = field(default_factory=dict)
    known: dict[int, str] = field(default_factory=dict)

    def refuse(self, index: int, code: str, message: str, where: str = "") -> None:
        """Note a problem of an event."""
        pointer = self.document.pointer(index)
        self.problems[index].append(Problem(child(pointer, where) if where else pointer, code, message))

    def prefixes(self, index: int) -> Mapping[str, str]:
        """Return the prefixes that hold in an event."""
        return namespaces.scope(self.document.prefixes, self.events[index])


class _RolledBackError(Exception):
    """Ends the transaction of a document that is to be stored whole or not at all."""


def capture(  # noqa: PLR0913  what a capture is, and its clock
    connection: Connection,
    partner: tuple[str, str],
    content: Mapping[str, Any],
    behaviour: Behaviour,
    extensions: Mapping[str, str] = namespaces.STANDARD,
    *,
    moment: datetime | None = None,
) -> Job:
    """Capture a document for `partner`, a brand and a name, at a moment (None: now); return what became of it.

    Raises `InvalidDocumentError` for a document that is wrong beyond its events, or has too many of them.
    """
    brand, name = partner
    verdict = check(content, extensions, strict=True)
    document = verdict.document
    if document is None or len(document.events) > MOST_EVENTS:
        raise InvalidDocumentError([Problem("", "TOO_MANY_EVENTS", f"more than {MOST_EVENTS} events")])
    work = _Work(brand, uuid4(), document, moment)
    _assign(work, verdict.problems)
    try:
        with connection.transaction():
            if not (behaviour is Behaviour.ROLLBACK and work.problems):
                _store(connection, work)
            if behaviour is Behaviour.ROLLBACK and work.problems:
                raise _RolledBackError  # noqa: TRY301  leaving the block is what undoes it
            job = _finish(connection, work, name, behaviour)
    except _RolledBackError:
        work.events.clear()
        with connection.transaction():
            job = _finish(connection, work, name, behaviour)
    return job


def _assign(work: _Work, problems: Iterable[Problem]) -> None:
    """Sort problems to events; those that are nobody's refuse the whole document."""
    document = work.document
    owners = {document.pointer(index): index for index in range(len(document.events))}
    loose = []
    for problem in problems:
        index = owners.get(_event_pointer(document, problem.pointer))
        if index is None:
            loose.append(problem)
        else:
            work.problems[index].append(problem)
    if loose:
        raise InvalidDocumentError(loose)
    for index, event in enumerate(document.events):
        if index not in work.problems:
            own_id = event.get("eventID") or event_hash(event, document.prefixes)
            for where, code, message in _impossible(event):
                work.refuse(index, code, message, where)
            if index not in work.problems:
                work.events[index] = {**event, "eventID": own_id}


def _impossible(event: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what the standard allows and nobody can act on: where, a code, and words."""
    times = {"eventTime": event["eventTime"]}
    if "errorDeclaration" in event:
        times["errorDeclaration"] = event["errorDeclaration"]["declarationTime"]
    for where, text in times.items():
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            yield where, "FORMAT", f"{text!r} is no time that can be read here"
            continue
        if not _EARLIEST <= moment <= datetime.now(UTC) + _AHEAD:
            yield where, "TIME_OUT_OF_RANGE", f"{text} lies before 1970 or in the future"
    if len(units(event)) > MOST_UNITS:
        yield "", "TOO_MANY_UNITS", f"more than {MOST_UNITS} units in one event"


def _event_pointer(document: Document, pointer: str) -> str:
    """Return the pointer of the event that a problem is in, or of nothing where it is in none."""
    if document.single:
        # A single event is the document; what is wrong with its context is still the document's.
        inside = f"{pointer}/".startswith(f"{document.base}/") and not pointer.startswith("/@context")
        return document.base if inside else "#"
    step = pointer.removeprefix(f"{document.base}/").partition("/")[0]
    return f"{document.base}/{step}"


def _store(connection: Connection, work: _Work) -> None:
    # 1. What is already there: the same again is no news, another event under the same id is refused.
    _match_known(connection, work)
    # 2. Codes of others are nobody's business here.
    _refuse_foreign(connection, work)
    # 3. What the events mean for custody.
    _interpret(connection, work)
    _tell_custody(connection, work)
    # 4. The events themselves.
    rows = []
    for index, event in work.events.items():
        numbers = [each.source.seq for each in work.custody.get(index, ())]
        origin = Origin(DEVICE, work.id, numbers[0], numbers[-1]) if numbers else Origin(DEVICE, work.id, 0, -1)
        rows.append(event_row(event, work.brand, work.document.prefixes, origin))
    if rows:
        connection.execute(SQL["insert_events"], {"rows": recordset(rows)})


def _match_known(connection: Connection, work: _Work) -> None:
    ids = [event["eventID"] for event in work.events.values()]
    connection.execute(SQL["lock_ids"], {"brand": work.brand, "ids": ids})
    stored = connection.execute(SQL["known_events"], {"brand": work.brand, "ids": ids}).fetchall()
    before: dict[tuple[str, bool], Any] = {
        (row.event_id, row.declared): msgspec.json.decode(row.event) for row in stored
    }
    for index, event in list(work.events.items()):
        own = (event["eventID"], "errorDeclaration" in event)
        content = {name: value for name, value in event.items() if name not in {"recordTime", "@context"}}
        earlier = before.setdefault(own, content)
        if earlier is content:
            continue
        del work.events[index]
        if earlier == content:
            work.known[index] = own[0]
        else:
            work.refuse(index, _ALREADY, f"another event has the id {own[0]}", "eventID")


def _refuse_foreign(connection: Connection, work: _Work) -> None:
    named = {index: units(event) for index, event in work.events.items()}
    everything = {unit for found in named.values() for unit in found}
    parameters = {
        "brand": work.brand,
        "gtins": sorted({unit.split("/")[2] for unit in everything if unit.startswith("/01/")}),
        "units": sorted(unit for unit in everything if not unit.startswith("/01/")),
    }
    foreign = {row.unit for row in connection.execute(SQL["foreign_units"], parameters)}
    if not foreign:
        return
    for index, found in named.items():
        strange = next((unit for unit in found if unit in foreign or unit.split("/")[2] in foreign), None)
        if strange is not None:
            work.refuse(index, _FOREIGN, f"{strange} is no code of this brand")
            del work.events[index]


def _interpret(connection: Connection, work: _Work) -> None:
    places = _places(connection, work)
    number = 0
    by_id: dict[str, list[Event]] = {}
    # An error declaration may stand before the event that it is about.
    for index, event in sorted(work.events.items(), key=lambda each: "errorDeclaration" in each[1]):
        if "errorDeclaration" in event:
            found = list(_corrections(connection, work, event, by_id, number))
        else:
            found = list(custody_events(event, work.prefixes(index), places, (work.id, number)))
            by_id[event["eventID"]] = found
        if found:
            work.custody[index] = found
            number += len(found)


def _corrections(
    connection: Connection, work: _Work, event: Mapping[str, Any], by_id: Mapping[str, Sequence[Event]], first: int
) -> Iterator[Event]:
    own = by_id.get(event["eventID"])
    wrong = (
        [(each.unit, each.site, each.source) for each in own]
        if own is not None
        else [
            (row.unit, row.site, Source(row.device, row.boot, row.seq))
            for row in connection.execute(SQL["corrected"], {"brand": work.brand, "event_id": event["eventID"]})
        ]
    )
    declaration = event["errorDeclaration"]
    for number, (unit, site, source) in enumerate(wrong, start=first):
        yield Event(
            unit,
            Step.CORRECT,
            site,
            datetime.fromisoformat(declaration["declarationTime"]),
            Source(DEVICE, work.id, number),
            reason=declaration.get("reason"),
            corrects=source,
        )


def _places(connection: Connection, work: _Work) -> Places:
    named = {place(event, name) for event in work.events.values() for name in ("readPoint", "bizLocation")}
    for event in work.events.values():
        named |= {key(each["destination"]) for each in event.get("destinationList", ())}
    glns = {match[1] for each in named if each and (match := _GLN.search(each))}
    names = {each.removeprefix(SITE) for each in named if each and each.startswith(SITE)}
    sites, dealers = {}, {}
    query = {"brand": work.brand, "glns": sorted(glns), "names": sorted(names)}
    for row in connection.execute(SQL["places"], query):
        sites[f"{SITE}{row.id}"] = row.id
        if row.dealer:
            dealers[f"{SITE}{row.id}"] = row.dealer
        if row.gln:
            sites[f"/414/{row.gln}"] = row.id
            if row.dealer:
                dealers[f"/414/{row.gln}"] = row.dealer
    return Places(sites, dealers, _contents(connection, work))


def _contents(connection: Connection, work: _Work) -> Mapping[str, Sequence[str]]:
    found: dict[str, Sequence[str]] = {}
    for index, event in work.events.items():
        emptied = step_of(event, work.prefixes(index)) is Step.UNPACK and not event.get("childEPCs")
        if emptied and "parentID" in event:
            parent = units({"parentID": event["parentID"]})
            query = {"brand": work.brand, "parents": parent, "at": datetime.fromisoformat(event["eventTime"])}
            found |= {row.parent: row.children for row in connection.execute(SQL["contents"], query)}
    return found


def _tell_custody(connection: Connection, work: _Work) -> None:
    """Hand the events to custody, and note what it refuses."""
    owners = {each.source: index for index, found in work.custody.items() for each in found}
    events = [each for found in work.custody.values() for each in found]
    refused: dict[int, list[tuple[str, Refusal]]] = defaultdict(list)
    outcome = capture_custody(connection, work.brand, events, work.moment)
    for event in events:
        why = outcome.get(event.source)
        if why is not None:
            refused[owners[event.source]].append((event.unit, why))
    for index, found in refused.items():
        for unit, why in found:
            work.refuse(index, why.value.upper(), f"custody holds {unit}: {why.value.replace('_', ' ')}")


def _finish(connection: Connection, work: _Work, partner: str, behaviour: Behaviour) -> Job:
    problems = [problem for _, found in sorted(work.problems.items()) for problem in found]
    stored = work.known | {index: event["eventID"] for index, event in work.events.items()}
    row = {
        "id": work.id,
        "brand": work.brand,
        "partner": partner,
        "behaviour": behaviour.value,
        "success": not problems,
        "events": len(work.events),
        "errors": msgspec.json.encode([as_error(problem) for problem in problems]).decode(),
    }
    connection.execute(SQL["insert_capture"], row)
    return Job(work.id, not problems, problems, [stored[index] for index in sorted(stored)], bool(work.events))


def as_error(problem: Problem) -> dict[str, Any]:
    """Return a problem as the standard's problem object."""
    kind = _EXCEPTIONS.get(problem.code, "ValidationException")
    return {
        "type": f"epcisException:{kind}",
        "title": problem.code.replace("_", " ").capitalize(),
        "code": problem.code,
        "pointer": problem.pointer,
        "detail": problem.message,
    }
