"""The outbox's rows. One thread uses a store, inside transactions that it does not begin or end itself."""

import json
import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from contracts.errors import OutboxError, OutboxFullError
from contracts.messages import MAX_SEQ, Ack, Resend, Status, encode_event
from contracts.topics import Kind
from edge.outbox.sql import QUERIES, SCHEMA

SCHEMA_VERSION: Final = 1
KEPT_MS: Final = 7 * 24 * 3600 * 1000
KEPT_ROWS: Final = 50_000
KEPT_TOMBSTONES: Final = 10_000
KEPT_CAPTURED: Final = 200_000
_PRUNED_AT_ONCE: Final = 1000
_MOST_RANGES: Final = 100
_LAST: Final = "\U0010ffff"


class Draft(NamedTuple):
    """An event to keep: `body` is its JSON as it will be sent, `captured_at` milliseconds since the epoch.

    A `slot` names what later drafts of the same slot make obsolete (one shelf channel, the status). A draft whose
    `once` was kept before is left out: it is the same capture, read again.
    """

    kind: Kind
    body: bytes
    captured_at: int
    slot: str = ""
    once: str = ""


class Row(NamedTuple):
    """A kept event that waits for its acknowledgement."""

    id: int
    boot: str
    seq: int
    kind: Kind
    body: bytes


class Settled(NamedTuple):
    """What an acknowledgement settled: the rows' ids, and how many of them were refused."""

    ids: tuple[int, ...]
    refused: int


def open_database(path: Path) -> sqlite3.Connection:
    """Open or make the file; `OutboxError` where it is damaged or from a newer version.

    Every commit reaches the disk before it returns (WAL with synchronous=FULL). The connection may pass to another
    thread, but is used by one at a time.
    """
    advice = f"Keep a copy of {path} for support, move it away and start again; its unsent events stay in it."
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise OutboxError(f"the outbox {path} cannot be opened: {error}", advice=advice) from error
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        version = int(database.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            database.executescript(f"BEGIN; {SCHEMA}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
    except sqlite3.Error as error:
        database.close()
        raise OutboxError(f"the outbox {path} cannot be used: {error}", advice=advice) from error
    if version > SCHEMA_VERSION:
        database.close()
        raise OutboxError(f"the outbox {path} was made by a newer version", advice="Install that version again.")
    return database


class Store:
    """Rows, counters and slots of one outbox. `limit` bounds the rows that wait for an acknowledgement.

    `depth` counts them as they are on the disk, so that nobody takes for done what may yet be rolled back.

    Every store is a new `boot`, so that an outbox restored from a copy never gives a sequence number out twice.
    Rows of earlier boots keep theirs.
    """

    def __init__(self, database: sqlite3.Connection, *, limit: int, now: int) -> None:
        self._database = database
        self._limit = limit
        self.boot = secrets.token_hex(16)
        self._run("prune_boots")
        self._run("add_boot", boot=self.boot, now=now)
        self._boot_id = self._boot_id_of(self.boot)
        self._seq = self._committed_seq = 0
        self._slots: dict[str, int] = {}
        self._waiting = self.depth = int(self._run("count_waiting").fetchone()[0])

    def add(self, drafts: Sequence[Draft], notes: Mapping[str, str]) -> list[bool]:
        """Keep drafts and notes; return for each draft whether it is new, False where it was captured before.

        A note without a value is removed.
        Raises `OutboxFullError`, and keeps none of them, where there is no room. Beyond the limit a reading takes the
        place of an earlier one of its slot that was never sent.
        """
        scans = sum(draft.kind is Kind.SCAN for draft in drafts)
        if (scans and self._waiting + scans > self._limit) or self._waiting + len(drafts) > 2 * self._limit:
            raise OutboxFullError(
                f"{self._waiting} events wait for their acknowledgement",
                advice="Bring the link to the server back; the station goes on as soon as there is room.",
            )
        for name, value in notes.items():
            if value:
                self._run("put_note", name=name, value=value)
            else:
                self._run("drop_note", name=name)
        return [self._add_one(draft) for draft in drafts]

    def _add_one(self, draft: Draft) -> bool:
        if draft.once and not self._run("add_captured", once=draft.once).rowcount:
            return False
        if draft.slot in self._slots and (draft.kind is Kind.STATUS or self._waiting >= self._limit):
            row = self._slots[draft.slot]
            self._run("replace_event", id=row, body=draft.body, captured_at=draft.captured_at)
            return True
        self._seq += 1
        cursor = self._run(
            "add_event",
            boot_id=self._boot_id,
            seq=self._seq,
            kind=draft.kind.value,
            body=draft.body,
            captured_at=draft.captured_at,
        )
        self._waiting += 1
        if draft.slot and cursor.lastrowid is not None:
            self._slots[draft.slot] = cursor.lastrowid
        return True

    def take(self, limit: int, *, after: int, except_ids: Collection[int]) -> list[Row]:
        """Return the oldest waiting rows whose id is above `after`; what was handed out is never replaced."""
        found = self._run("waiting", limit=limit, after=after, **{"except": json.dumps(list(except_ids))})
        rows = [Row(id_, boot, seq, Kind(kind), body) for id_, boot, seq, kind, body in found]
        handed_out = {row.id for row in rows}
        self._slots = {slot: id_ for slot, id_ in self._slots.items() if id_ not in handed_out}
        return rows

    def newest(self) -> int:
        """Return the id of the newest row, 0 where there is none."""
        return int(self._run("newest").fetchone()[0])

    def settle(self, ack: Ack, now: int) -> Settled:
        """Mark what an acknowledgement names; ranges of unknown boots or beyond any sequence settle nothing."""
        boot_id = self._boot_id_of(ack.boot)
        common = {"boot_id": boot_id, "now": now}
        committed = [
            row[0]
            for first, last in ack.committed
            if _in_sequence(first, last)
            for row in self._run("commit_range", first=first, last=last, **common).fetchall()
        ]
        refused = [
            row[0]
            for first, last, reason in ((each.first, each.last, each.reason) for each in ack.refused)
            if _in_sequence(first, last)
            for row in self._run("refuse_range", first=first, last=last, reason=reason[:64], **common).fetchall()
        ]
        self._waiting -= len(committed) + len(refused)
        return Settled((*committed, *refused), len(refused))

    def reopen(self, request: Resend, now: int) -> int:
        """Make acknowledged rows wait again; return how many of the range are not there any more.

        For those a status takes the place of the first and names all of them as dropped, so that the server can close
        its gap.
        """
        if not _in_sequence(request.first, request.last):
            return 0
        self._run("add_boot", boot=request.boot, now=now)
        boot_id = self._boot_id_of(request.boot)
        span = {"boot_id": boot_id, "first": request.first, "last": request.last}
        self._waiting += len(self._run("reopen_range", **span).fetchall())
        present = [row[0] for row in self._run("present", **span)]
        last = min(request.last, self._seq) if boot_id == self._boot_id else request.last
        holes = _holes(present, request.first, last)[:_MOST_RANGES]
        if holes:
            status = encode_event(Status(state="online", ts=now, outbox_depth=self._waiting, dropped=tuple(holes)))
            row = {"boot_id": boot_id, "seq": holes[0][0], "kind": Kind.STATUS.value, "captured_at": now}
            self._run("add_event", body=status, **row)
            self._waiting += 1
        return sum(to - start + 1 for start, to in holes)

    def last_of_earlier_boots(self) -> list[Row]:
        """Return the last event of each earlier start, settled and still kept; the newest 100 starts at most."""
        found = self._run("last_of_earlier_boots", boot_id=self._boot_id, limit=_MOST_RANGES)
        return [Row(id_, boot, seq, Kind(kind), body) for id_, boot, seq, kind, body in found]

    def prune(self, now: int) -> None:
        """Forget what was settled longest ago, a little at a time: a scan may be waiting for this transaction."""
        self._run("prune_old", before=now - KEPT_MS, most=_PRUNED_AT_ONCE)
        self._run("prune_many", state=1, keep=KEPT_ROWS, most=_PRUNED_AT_ONCE)
        self._run("prune_many", state=2, keep=KEPT_TOMBSTONES, most=_PRUNED_AT_ONCE)
        self._run("prune_captured", keep=KEPT_CAPTURED)

    def make_room(self) -> None:
        """Forget acknowledged events before their time, a little at a time: the disk is too small for all of them."""
        self._run("prune_many", state=1, keep=0, most=_PRUNED_AT_ONCE)

    def notes(self, prefix: str) -> dict[str, str]:
        """Return what agents noted under names that begin so."""
        return dict(self._run("notes", prefix=prefix, end=prefix + _LAST).fetchall())

    def committed(self) -> None:
        """Learn that the transaction is on disk."""
        self._committed_seq = self._seq
        self.depth = self._waiting

    def rolled_back(self) -> None:
        """Learn that the transaction left nothing behind."""
        self._seq = self._committed_seq
        self._slots.clear()
        self._waiting = self.depth

    def _boot_id_of(self, boot: str) -> int:
        row = self._run("boot_id", boot=boot).fetchone()
        return int(row[0]) if row else -1

    def _run(self, query: str, /, **values: Any) -> sqlite3.Cursor:  # noqa: ANN401 - SQLite's own value types
        return self._database.execute(QUERIES[query], values)


def _in_sequence(first: int, last: int) -> bool:
    return 1 <= first <= last <= MAX_SEQ


def _holes(present: Sequence[int], first: int, last: int) -> list[tuple[int, int]]:
    """Return the ranges, inclusive, of `first` to `last` that `present` (rising) leaves out."""
    edges = [first - 1, *present, last + 1]
    return [(low + 1, high - 1) for low, high in pairwise(edges) if high - low > 1]
