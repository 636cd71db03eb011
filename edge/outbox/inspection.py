"""A look at an outbox from outside, while its agent runs or after it ended. Writes nothing."""

import sqlite3
from pathlib import Path
from typing import Final

from msgspec import Struct

from contracts.errors import OutboxError
from edge.outbox.sql import QUERIES

SHOWN_TOMBSTONES: Final = 100


class Tombstone(Struct, frozen=True):
    """An event that the server refused, and the error code that says why."""

    boot: str
    seq: int
    kind: str
    reason: str
    refused_at_ms: int
    body: str


class Inspection(Struct, frozen=True):
    """How many events wait, are acknowledged or refused; the oldest waiting one's capture; the newest tombstones."""

    waiting: int
    acknowledged: int
    refused: int
    oldest_waiting_ms: int | None
    tombstones: tuple[Tombstone, ...]


def inspect(path: Path) -> Inspection:
    """Look at an outbox; raises `OutboxError` where there is none."""
    if not path.is_file():
        raise OutboxError(f"there is no outbox at {path}", advice="Set EDGE_DATA to the agent's folder.")
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            waiting, acknowledged, refused, oldest = database.execute(QUERIES["summary"]).fetchone()
            rows = database.execute(QUERIES["tombstones"], {"limit": SHOWN_TOMBSTONES}).fetchall()
        finally:
            database.close()
    except sqlite3.Error as error:
        raise OutboxError(f"the outbox {path} cannot be read: {error}", advice="Check the file's owner.") from error
    tombstones = tuple(
        Tombstone(boot, seq, kind, reason, at, body.decode("utf-8", "replace"))
        for boot, seq, kind, reason, at, body in rows
    )
    return Inspection(waiting, acknowledged, refused, oldest, tombstones)
