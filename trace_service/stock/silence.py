"""Shelves that nobody hears of any more: their figures are doubted, and channels that are gone are no part of a sum."""

import time
from collections.abc import Sequence
from typing import Any, Final

from trace_service.domain.events import Source
from trace_service.replenishment.proposals import Place
from trace_service.stock.live import update
from trace_service.stock.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.locks import lock
from trace_service.store.rows import recordset

Row = Any
EVERY_SECONDS: Final = 60.0
GONE_SECONDS: Final = 300.0
"""For so long a device has to report other channels and not this one: after an outage they do not come all at once."""


class Silence:
    """Looks once a minute for channels without a message of the past ten minutes, where agents send two a minute."""

    def __init__(self) -> None:
        self._due = time.monotonic() + EVERY_SECONDS
        self._left_out: dict[tuple[str, int], float] = {}

    def is_due(self, now: float) -> bool:
        """Whether it is time to look again; monotonic seconds."""
        return now >= self._due

    def look(self, connection: Connection, now: float) -> set[tuple[str, str]]:
        """Mark what is silent and drop what is gone, in the caller's transaction; return the console's news."""
        self._due = now + EVERY_SECONDS
        rows = connection.execute(SQL["silent_channels"]).fetchall()
        absent = {(row.device, row.channel) for row in rows if row.left_out}
        self._left_out = {key: self._left_out.get(key, now) for key in absent}
        since = self._left_out.get
        gone = [row for row in rows if row.retired or now - since((row.device, row.channel), now) >= GONE_SECONDS]
        silent = [row for row in rows if row not in gone and row.fault != "SILENT"]
        if not gone and not silent:
            return set()
        lock(connection, {f"shelf {row.device}" for row in (*gone, *silent)})
        changed = [
            *connection.execute(SQL["drop_channels"], {"rows": _keys(gone)}).fetchall(),
            *connection.execute(SQL["silence_channels"], {"rows": _keys(silent)}).fetchall(),
        ]
        if not changed:
            return set()
        last = changed[-1]
        return update(
            connection, {Place(row.site, row.gtin) for row in changed}, Source(last.device, last.boot, last.seq), []
        )


def _keys(rows: Sequence[Row]) -> str:
    return recordset({"device": row.device, "channel": row.channel, "ts": row.ts} for row in rows)
