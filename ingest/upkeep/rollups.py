"""Adds up events into buckets of five minutes, hours and days (of UTC), exactly, however late an event comes.

Storing an event notes its five-minute bucket in the same transaction. A noted bucket is added up again from its
events, then its hour from the five minutes, then its day from the hours, in one transaction with the note's removal:
whatever is interrupted is done again, and doing it twice changes nothing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from psycopg import Connection

from ingest.queries import QUERIES

KINDS: Final = ("scan", "stock", "environment")
# So many a transaction, so that none is long; so many a round, so that a backlog does not crowd out the rest.
_BUCKETS: Final = 50
_TURNS: Final = 20
_WIDTHS: Final = ((60, 5), (1440, 60))

log = structlog.get_logger(__name__)


def roll_up(connection: Connection) -> int:
    """Renew the buckets that changed, in transactions of their own; return how many of five minutes there were.

    At most 1,000 of each kind; the rest stays noted for the next call.
    """
    renewed = 0
    for kind in KINDS:
        for _ in range(_TURNS):
            with connection.transaction():
                taken = _renew(connection, kind)
            renewed += taken
            if taken < _BUCKETS:
                break
    return renewed


def _renew(connection: Connection, kind: str) -> int:
    rows = connection.execute(QUERIES["take_dirty"], {"kind": kind, "limit": _BUCKETS})
    taken = {bucket.astimezone(UTC) for (bucket,) in rows}
    buckets = _open(connection, kind, taken)
    if buckets:
        _replace(connection, kind, 5, buckets)
        for minutes, parts in _WIDTHS:
            buckets = sorted({_start(bucket, minutes) for bucket in buckets})
            _replace(connection, kind, minutes, buckets, parts)
    return len(taken)


def _open(connection: Connection, kind: str, taken: Iterable[datetime]) -> list[datetime]:
    """Return the buckets whose events are all still there; the others are final."""
    row = connection.execute(QUERIES["final_buckets"], {"kind": kind}).fetchone()
    final = [bucket for bucket in taken if row is not None and bucket < row[0]]
    if final:
        log.warning(
            "events older than the retention are not added up", action="ingest.rollup_final", kind=kind, n=len(final)
        )
    return sorted(set(taken) - set(final))


def _replace(connection: Connection, kind: str, minutes: int, buckets: list[datetime], parts: int = 0) -> None:
    connection.execute(QUERIES[f"clear_{kind}"], {"minutes": minutes, "buckets": buckets})
    block = f"roll_{kind}_up" if parts else f"roll_{kind}_5"
    # One at a time: with constant bounds both BRIN and TimescaleDB's chunks are pruned.
    for bucket in buckets:
        end = bucket + timedelta(minutes=minutes)
        connection.execute(QUERIES[block], {"bucket": bucket, "end": end, "minutes": minutes, "parts": parts})


def _start(bucket: datetime, minutes: int) -> datetime:
    day = bucket.replace(hour=0, minute=0)
    return day + (bucket - day) // timedelta(minutes=minutes) * timedelta(minutes=minutes)
