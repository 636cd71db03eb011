"""The room on the outbox's disk: new events never take what noting an acknowledgement needs.

SQLite's log grows to about 4 MB before it is written back. On a disk not much larger, the log alone fills it: then no
acknowledgement can be noted any more, and nothing ever becomes free. So the log is kept to a share of the disk, new
events are refused while a reserve is left, and the log is written back and cut as soon as it runs short.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final

from contracts.errors import OutboxError

ADVICE: Final = "Make room on the disk, or replace the storage card; nothing that was confirmed is lost."
_MOST_RESERVE: Final = 1 << 20
_RESERVE_SHARE: Final = 8
_LOG_PAGES: Final = 1000
_LOG_SHARE: Final = 32
_LEAST_LOG_PAGES: Final = 16


class Room:
    """Measures the disk under one outbox, whose connection only the calling thread uses meanwhile."""

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._page = int(database.execute("PRAGMA page_size").fetchone()[0])
        disk = os.statvfs(folder)
        size = disk.f_frsize * disk.f_blocks
        self._reserve = min(_MOST_RESERVE, size // _RESERVE_SHARE)
        pages = max(_LEAST_LOG_PAGES, min(_LOG_PAGES, size // _LOG_SHARE // self._page))
        database.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def is_short(self) -> bool:
        """Tell whether the reserve is touched: half of it must be free, the rest may be unused pages of the file."""
        disk = os.statvfs(self._folder)
        free = disk.f_frsize * disk.f_bavail
        if free >= self._reserve:
            return False
        unused = int(self._database.execute("PRAGMA freelist_count").fetchone()[0]) * self._page
        return free < self._reserve // 2 or free + unused < self._reserve

    def is_ours(self) -> bool:
        """Tell whether the outbox itself takes much of the disk, so that it helps to forget acknowledged events."""
        pages = int(self._database.execute("PRAGMA page_count").fetchone()[0])
        return pages * self._page >= self._reserve

    def require(self) -> None:
        """Raise `OutboxError` where there is none for a new event."""
        if self.is_short():
            raise OutboxError("the outbox cannot write: its disk is nearly full", advice=ADVICE)

    def reclaim(self) -> None:
        """Write the log back and cut it, outside a transaction; what cannot be written back stays in it."""
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
