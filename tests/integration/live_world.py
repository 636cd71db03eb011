"""A generated world played into the database as a real system would: landed scans, captured papers, one worker."""

import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from conftest import TestDatabase
from trace_market import KEYS

from contracts.gs1 import item_key
from contracts.tc20 import Profile, Tc20
from firmware_sim.world.playing.channel import write_channel
from geofence.maps import AtomMap
from trace_service.backtest.events import Event, EventReader
from trace_service.backtest.forms import Forms
from trace_service.backtest.world import Item, Paper, World
from trace_service.channel.importer import Job, import_files
from trace_service.codes.issue import issue_batch
from trace_service.codes.keyring import rotate_epoch
from trace_service.epcis.capture import Behaviour
from trace_service.epcis.capture import capture as capture_epcis
from trace_service.store.connection import Connection, connect
from trace_service.worker import Worker

BRAND = "world"
LINK = "https://id.gs1.org"
BOOT = uuid.UUID(int=11)
_NEVER = 2**62
_ACTIVITIES = {
    "ship": "ship", "transfer": "ship", "receive": "receive", "sale": "sell", "inspect": "inspect",
    "consumer_scan": "consumer", "pack": "pack",
}  # fmt: skip


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def register(
    connection: Connection, owner_dsn: str, folder: Path, tables: Path, atoms: AtomMap
) -> list[tuple[datetime, bytes]]:
    """Import the world's network as a brand of its own; return the tables of what changes later, and when."""
    with psycopg.connect(owner_dsn, autocommit=True) as owner:
        owner.execute("INSERT INTO trace.brand VALUES (%s, '界', 'World')", (BRAND,))
    files = {path.name: path.read_text("utf-8") for path in write_channel(folder, tables)}
    header, *lines = files["sites.csv"].splitlines(keepends=True)
    first, later, seen = [header], list[tuple[datetime, bytes]](), set[str]()
    for line in lines:
        name, begins = line.partition(",")[0], line.rstrip().rpartition(",")[2]
        if name in seen:
            later.append((datetime.fromisoformat(begins), f"{header}{line}".encode()))
        else:
            seen.add(name)
            first.append(line)
    files["sites.csv"] = "".join(first)
    change(connection, [(name, text.encode()) for name, text in files.items()], atoms)
    with connect(owner_dsn, "keys") as owner:
        rotate_epoch(owner, KEYS, BRAND, Profile.AES)
    return sorted(later)


def change(connection: Connection, files: list[tuple[str, bytes]], atoms: AtomMap) -> None:
    """Import tables as the operator does."""
    plan = import_files(connection, BRAND, files, Job("test", atoms, operator=True))
    assert plan.sound, plan.problems[:5]


@dataclass
class Stage:
    """One world on its way into one database; `batch` is how many scans land before the worker looks."""

    world: World
    database: TestDatabase
    connection: Connection
    atoms: AtomMap
    changes: list[tuple[datetime, bytes]]
    batch: int = 100
    clock: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    codes: dict[str, str] = field(default_factory=dict)
    landed: int = 0
    captured: dict[uuid.UUID, datetime] = field(default_factory=dict)
    _scans: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.worker = Worker(self.database.trace_dsn, KEYS, self.atoms, threading.Event(), clock=lambda: self.clock)
        self._forms = Forms(tuple(self.world.items.values()), self.world.items)
        self._rogue = Tc20(bytes(range(32)), BRAND, 1)
        self._cases: dict[str, dict[str, Item]] = defaultdict(dict)
        for item in self.world.items.values():
            for shipment in item.shipments:
                self._cases[shipment].setdefault(item.case, item)
        self._pallets: dict[str, dict[str, None]] = defaultdict(dict)
        for item in self.world.items.values():
            self._pallets[item.pallet][item.case] = None
        self._issue()

    def play(self, after: Callable[[], None] = lambda: None) -> None:
        """Let the world happen in the order of its arrival."""
        seen = self._seen()
        papers = sorted((each for each in self.world.papers.values() if each.document_time != _NEVER),
            key=lambda each: (each.document_time, each.id), reverse=True)  # fmt: skip
        self._pack(seen)
        for event in EventReader(self.world.folder):
            while papers and papers[-1].document_time <= event.received:
                self.work()
                self._paper(papers.pop())
                self.work()
            while self.changes and self.changes[0][0] <= moment(event.received):
                self.work()
                change(self.connection, [("sites.csv", self.changes.pop(0)[1])], self.atoms)
            self._event(event)
            if len(self._scans) >= self.batch:
                self.work()
                after()
        self.work()

    def work(self) -> None:
        """Land what waits, and let the worker do all there is to do."""
        self._land()
        self.worker.drain(self.connection)

    def _seen(self) -> set[str]:
        """Items that anybody scans: nobody asks what else lay in the cases."""
        asked = {"consumer_scan", "sale", "inspect", "void"}
        return {code for event in EventReader(self.world.folder) if event.type in asked for code in event.codes}

    def _issue(self) -> None:
        batches: dict[tuple[str, str], list[str]] = defaultdict(list)
        for code, item in self.world.items.items():
            batches[item.product, item.batch].append(code)
        with self.connection.transaction():
            for (gtin, lot), codes in batches.items():
                issued = issue_batch(self.connection, KEYS, gtin, len(codes), lot)
                self.codes |= {code: item_key(gtin, serial) for code, serial in zip(codes, issued.serials, strict=True)}

    def _pack(self, seen: set[str]) -> None:
        """One item of each case at least, as the line reported them before anything left."""
        first = {item.case: item.code for item in self.world.items.values()}
        chosen = [item for item in self.world.items.values() if item.code in seen or first[item.case] == item.code]
        start = min(each.departed for each in self.world.papers.values()) - 86_400_000 * 2
        self.clock = moment(start)
        events = [
            {
                "type": "AggregationEvent", "eventTime": self.clock.isoformat(), "eventTimeZoneOffset": "+08:00",
                "action": "ADD", "bizStep": "packing", "parentID": self.link(case),
                "childEPCs": [self.link(item.code) for item in inside],
                "readPoint": {"id": "urn:codefence:site:BRAND"},
            }
            for case, inside in _grouped(chosen).items()
        ]  # fmt: skip
        commissioned = [
            {
                **_object("commissioning", self.clock, [self.link(item.code) for item in inside], "BRAND"),
                "action": "ADD",
            }
            for inside in _grouped(chosen).values()
        ]
        for place in range(0, len(events), 400):
            self._capture([*commissioned[place : place + 400], *events[place : place + 400]])

    def _paper(self, paper: Paper) -> None:
        cases = self._cases.get(paper.id)
        if not cases:
            return
        self.clock = moment(paper.document_time)
        event = _object("shipping", moment(paper.departed), [self.link(case) for case in cases], paper.sender)
        number = f"urn:codefence:shipment:{paper.id}"
        event["bizTransactionList"] = [{"type": "desadv", "bizTransaction": number}]
        if paper.receiver == "BRAND":
            event["disposition"] = "returned"
        elif paper.receiver.startswith("S"):
            event["destinationList"] = [{"type": "location", "destination": f"urn:codefence:site:{paper.receiver}"}]
        else:
            event["destinationList"] = [
                {"type": "owning_party", "destination": f"urn:codefence:dealer:{paper.receiver}"}
            ]
        self._capture([event])

    def _capture(self, events: list[dict[str, Any]]) -> None:
        document = {
            "@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld", {"cf": "urn:codefence:"}],
            "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": self.clock.isoformat(),
            "epcisBody": {"eventList": events},
        }  # fmt: skip
        job = capture_epcis(self.connection, (BRAND, "erp"), document, Behaviour.PROCEED, moment=self.clock)
        self.captured[job.id] = self.clock

    def _event(self, event: Event) -> None:
        if event.type in ("void", "rebind"):
            self.work()
            self.clock = moment(event.received)
            links = [self.link(code) for code in event.codes]
            at = moment(event.occurred)
            if event.type == "void":
                self._capture([{**_object("decommissioning", at, links, "BRAND"), "action": "DELETE"}])
            else:
                self._capture([self._rebinding(event, at, links)])
            self.work()
        elif event.type in _ACTIVITIES and event.type != "pack":
            self.clock = moment(event.received)
            # A gate that reads a pallet's label reports the cases on it.
            read = {unit: None for code in event.codes for unit in self._pallets.get(code, (code,))}
            self._scans += [self._scan(event, unit) for unit in read]

    def _rebinding(self, event: Event, at: datetime, links: list[str]) -> dict[str, Any]:
        approvers = event.approvers if isinstance(event.approvers, list) else []
        return {
            **_object("urn:codefence:step:rebinding", at, links, "BRAND"),
            "destinationList": [{"type": "owning_party", "destination": f"urn:codefence:dealer:{event.to_dealer}"}],
            "bizTransactionList": [{"type": "desadv", "bizTransaction": f"urn:codefence:shipment:{event.event_id}"}],
            "cf:approvers": list(approvers),
        }

    def _scan(self, event: Event, code: str) -> tuple[Any, ...]:
        self.landed += 1
        at, received = event.occurred_at, moment(event.received)
        site, own = "phones", event.source in ("site", "store") and event.place is not None
        if own:
            site = str(event.place)
        consumer = event.type == "consumer_scan"
        place: tuple[Any, ...] = (None,) * 5
        if not own and event.source in ("gps", "ip") and event.lat is not None:
            platform = "address" if event.source == "ip" else "android"
            place = (event.lon, event.lat, event.accuracy_m, platform, "wgs84")
        recipient, reference = "", event.shipment or ""
        if event.type in ("ship", "transfer") and reference in self.world.papers:
            known = self.world.papers[reference].document_time <= event.received
            recipient = self.world.papers[reference].receiver if known else ""
        operator = str(event.device_id) if consumer else str(event.actor or "")
        device = "gateway" if consumer else str(event.device_id)
        return (
            device, BOOT, self.landed, at, received, received, 0, site, self.link(code), "QR", "",
            _ACTIVITIES[event.type], reference, "", "" if recipient == "BRAND" else recipient, operator, *place,
        )  # fmt: skip

    def link(self, code: str) -> str:
        """Return what stands on a label: forgeries in the form of issued codes are authentic to nobody."""
        if not code.startswith("/"):
            return f"{LINK}/00/{code}"
        if code not in self.codes:
            product = self._forms.product(code)
            if product is not None:
                gtin = code.split("/")[2]
                self.codes[code] = item_key(gtin, self._rogue.issue(gtin, len(self.codes)))
            else:
                self.codes[code] = code
        return f"{LINK}{self.codes[code]}"

    def _land(self) -> None:
        if not self._scans:
            return
        with psycopg.connect(self.database.ingest_dsn) as ingest, ingest.cursor() as cursor:
            columns = (
                "device, boot, seq, ts, sent_at, received_at, content, site, code, symbology, aim, activity, reference,"
                " parent, recipient, operator, lon, lat, accuracy_m, platform, crs"
            )
            with cursor.copy(f"COPY landing.scan ({columns}) FROM STDIN") as copy:
                for row in self._scans:
                    copy.write_row(row)
            with cursor.copy("COPY landing.work (kind, device, boot, seq, ts) FROM STDIN") as copy:
                for row in self._scans:
                    copy.write_row(("scan", *row[:4]))
        self._scans.clear()


def _grouped(items: list[Item]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[item.case].append(item)
    return found


def _object(step: str, at: datetime, links: list[str], site: str) -> dict[str, Any]:
    return {
        "type": "ObjectEvent", "eventTime": at.isoformat(), "eventTimeZoneOffset": "+08:00", "action": "OBSERVE",
        "bizStep": step, "epcList": links, "readPoint": {"id": f"urn:codefence:site:{site}"},
    }  # fmt: skip
