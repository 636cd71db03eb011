"""A market for the tests: the demo brand with one print run, and messages put in the landing tables as ingest does."""

import base64
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from pydantic import SecretStr

from geofence.maps import AtomMap
from trace_service.demo import run_demo
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, connect
from trace_service.worker import Worker

KEYS = KeyWrapper(SecretStr(base64.b64encode(bytes(range(32))).decode()))
HOST = "id.codefence.example"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
BOOT = uuid.UUID(int=7)
# Scans of one city are this far from one another, so that no one buyer stands behind two of them (degrees).
SPREAD = tuple((0.035 * east, 0.06 * north) for north in (0, 1, -1, 2, -2) for east in (0, 1, -1, 2, -2))
CITIES = ("nanjing", "chengdu", "hangzhou", "wuhan")
PLACES = {"nanjing": (118.80, 32.06), "chengdu": (104.07, 30.67), "hangzhou": (120.15, 30.27), "wuhan": (114.31, 30.59)}


@dataclass(frozen=True)
class Message:
    """One scan: everything that the landing row holds besides the defaults."""

    device: str
    site: str
    seq: int
    minutes: float
    code: str
    activity: str
    parent: str = ""
    reference: str = ""
    recipient: str = ""
    place: str = ""


@dataclass
class Market:
    database: Any
    atoms: AtomMap
    job: dict[str, Any] = field(init=False)
    connection: Connection = field(init=False)
    numbers: int = 0
    start: datetime = START

    def __post_init__(self) -> None:
        self.connection = connect(self.database.trace_dsn, "test")
        self.job = run_demo(self.connection, KEYS, HOST)

    def close(self) -> None:
        self.connection.close()

    def worker(self) -> Worker:
        return Worker(self.database.trace_dsn, KEYS, self.atoms, threading.Event())

    def drain(self) -> int:
        return self.worker().drain(self.connection)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.owner_dsn) as owner:
            return owner.execute(query, values or None).fetchall()  # type: ignore[arg-type]

    def cases_to(self, dealer: str) -> list[dict[str, Any]]:
        orders = {order["id"] for order in self.job["orders"] if order["to"] == dealer}
        return [case for case in self.job["cases"] if case["order"] in orders]

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def pack(self, case: dict[str, Any], minutes: float = 0) -> list[Message]:
        return [
            Message("station-pack", "factory", self.number(), minutes, item, "pack", parent=case["label"])
            for item in case["items"]
        ]

    def ship(self, case: dict[str, Any], to: str, minutes: float = 30) -> Message:
        return Message("station-ship", "dc-east", self.number(), minutes, case["label"], "ship", "", case["order"], to)

    def consumer(self, code: str, place: str, minutes: float = 120) -> Message:
        return Message("gateway-market", "market", self.number(), minutes, code, "consumer", place=place)

    def land(self, *messages: Message) -> None:
        """Put scans and their work into the landing tables in the order given."""
        with psycopg.connect(self.database.ingest_dsn) as ingest:
            for each in messages:
                ts = self.start + timedelta(minutes=each.minutes)
                position = (*self._spot(each), 30.0, "android", "wgs84") if each.place else (None,) * 5
                ingest.execute(
                    "INSERT INTO landing.scan (device, boot, seq, ts, sent_at, received_at, content, site, code,"
                    " symbology, aim, activity, reference, parent, recipient, operator, lon, lat, accuracy_m,"
                    " platform, crs)"
                    " VALUES (%s, %s, %s, %s, %s, now(), 0, %s, %s, 'QR', '', %s, %s, %s, %s, '', %s, %s, %s, %s, %s)"
                    " ON CONFLICT DO NOTHING",
                    (
                        each.device,
                        BOOT,
                        each.seq,
                        ts,
                        ts,
                        each.site,
                        each.code,
                        each.activity,
                        each.reference,
                        each.parent,
                        each.recipient,
                        *position,
                    ),
                )
                self._queue(ingest, "scan", each.device, each.seq, ts)

    @staticmethod
    def _spot(message: Message) -> tuple[float, float]:
        """Return where in the city somebody scans: one phone here, the next some kilometres on."""
        east, north = SPREAD[message.seq % len(SPREAD)] if message.place in CITIES else (0.0, 0.0)
        lon, lat = PLACES[message.place]
        return lon + east, lat + north

    def shelf(
        self,
        device: str,
        channel: int,
        units: int,
        minutes: float = 0,
        *,
        gtin: str = "",
        site: str = "",
        confidence: float = 1.0,
        fault: str = "",
    ) -> None:
        """Put one shelf reading and its work into the landing tables."""
        shelf = next(each for each in self.job["shelves"] if each["device"] == device)
        gtin = gtin or next(each["gtin"] for each in shelf["channels"] if each["channel"] == channel)
        ts, seq = self.start + timedelta(minutes=minutes), self.number()
        with psycopg.connect(self.database.ingest_dsn) as ingest:
            ingest.execute(
                "INSERT INTO landing.stock (device, boot, seq, ts, sent_at, received_at, content, site, channel, gtin,"
                " grams, units, confidence, fault) VALUES (%s, %s, %s, %s, %s, now(), 0, %s, %s, %s, 0, %s, %s, %s)",
                (device, BOOT, seq, ts, ts, site or shelf["site"], channel, gtin, units, confidence, fault),
            )
            self._queue(ingest, "stock", device, seq, ts)

    def camera(self, device: str, gtin: str, seen: tuple[int, int, int, int], minutes: float, fault: str = "") -> None:
        """Put what a camera sees of a product into the landing tables: filled, empty, unseen, strange facings."""
        ts, seq = self.start + timedelta(minutes=minutes), self.number()
        with psycopg.connect(self.database.ingest_dsn) as ingest:
            ingest.execute(
                "INSERT INTO landing.stock (device, boot, seq, ts, sent_at, received_at, content, site, channel, gtin,"
                " grams, units, confidence, fault, filled, empty, unseen, strange, share)"
                " VALUES (%s, %s, %s, %s, %s, now(), 0, %s, 1, %s, 0, %s, 1, %s, %s, %s, %s, %s, 0.5)",
                (device, BOOT, seq, ts, ts, "S-CHENGDU-01", gtin, seen[0], fault, *seen),
            )
            self._queue(ingest, "stock", device, seq, ts)

    @staticmethod
    def _queue(ingest: psycopg.Connection[Any], kind: str, device: str, seq: int, ts: datetime) -> None:
        ingest.execute(
            "INSERT INTO landing.work (kind, device, boot, seq, ts) VALUES (%s, %s, %s, %s, %s)",
            (kind, device, BOOT, seq, ts),
        )
