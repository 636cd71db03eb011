"""What the market's gateway must not forget: events before they are published, and what was acknowledged."""

import secrets
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import structlog

from contracts.messages import Ack
from contracts.topics import Kind

_log = structlog.get_logger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run (id TEXT PRIMARY KEY, seed INTEGER NOT NULL, attack INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS departure (run TEXT, shipment TEXT, left_at REAL NOT NULL, PRIMARY KEY (run, shipment));
CREATE TABLE IF NOT EXISTS event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT, number INTEGER, kind TEXT NOT NULL, body BLOB NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0, UNIQUE (run, number)
);
CREATE INDEX IF NOT EXISTS open_event ON event (seq) WHERE NOT settled;
"""


class Entry(NamedTuple):
    """An event as it is published."""

    seq: int
    kind: Kind
    body: bytes


class Journal:
    """A SQLite file, used from one thread. Sequence numbers are never used twice, whatever is killed when."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _SCHEMA)
        row = self._database.execute("SELECT boot FROM identity").fetchone()
        self.boot: str = row[0] if row else secrets.token_hex(16)
        if row is None:
            self._database.execute("INSERT INTO identity VALUES (?)", (self.boot,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def begin(self, run: str, seed: int, *, attack: bool) -> tuple[int, bool]:
        """Return the seed and the kind of market with which a run was begun: a begun run is not changed."""
        self._database.execute("INSERT OR IGNORE INTO run VALUES (?, ?, ?)", (run, seed, attack))
        found = self._database.execute("SELECT seed, attack FROM run WHERE id = ?", (run,)).fetchone()
        return int(found[0]), bool(found[1])

    def departures(self, run: str) -> Mapping[str, float]:
        """Return when each order left, seconds since the epoch."""
        return dict(self._database.execute("SELECT shipment, left_at FROM departure WHERE run = ?", (run,)))

    def depart(self, run: str, shipment: str) -> None:
        """Remember that an order has left now."""
        self._database.execute("INSERT OR IGNORE INTO departure VALUES (?, ?, ?)", (run, shipment, time.time()))

    def told(self, run: str) -> set[int]:
        """Return the numbers of the planned scans that were captured before."""
        return {number for (number,) in self._database.execute("SELECT number FROM event WHERE run = ?", (run,))}

    def append(self, run: str | None, events: Iterable[tuple[int | None, Kind, bytes]]) -> list[Entry]:
        """Store events, each with its number in the plan, and return them with their sequence numbers."""
        stored = []
        with self._database:
            self._database.execute("BEGIN")
            for number, kind, body in events:
                row = (run, number, kind.value, body)
                cursor = self._database.execute("INSERT INTO event (run, number, kind, body) VALUES (?, ?, ?, ?)", row)
                stored.append(Entry(cursor.lastrowid or 0, kind, body))
        return stored

    def open_entries(self) -> list[Entry]:
        """Return what was never acknowledged, oldest first."""
        rows = self._database.execute("SELECT seq, kind, body FROM event WHERE NOT settled ORDER BY seq")
        return [Entry(seq, Kind(kind), body) for seq, kind, body in rows]

    def settle(self, ack: Ack) -> None:
        """Mark what ingest has committed or refused; a refusal is logged, for it will never be accepted."""
        with self._database:
            self._database.execute("BEGIN")
            for first, last in ack.committed:
                self._mark(first, last, settled=1)
            for refusal in ack.refused:
                self._mark(refusal.first, refusal.last, settled=2)
                _log.warning(
                    "events were refused",
                    action="gateway.refused",
                    first=refusal.first,
                    last=refusal.last,
                    reason=refusal.reason,
                )

    def reopen(self, first: int, last: int) -> list[Entry]:
        """Forget that a range of sequence numbers was acknowledged and return what is in it."""
        self._mark(first, last, settled=0)
        rows = self._database.execute(
            "SELECT seq, kind, body FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq", (first, last)
        )
        return [Entry(seq, Kind(kind), body) for seq, kind, body in rows]

    def _mark(self, first: int, last: int, *, settled: int) -> None:
        self._database.execute("UPDATE event SET settled = ? WHERE seq BETWEEN ? AND ?", (settled, first, last))
