"""Removes events, settled dead letters and closed gaps that are older than they need to be kept.

Rollups and the audit's books stay, and so do letters that nobody has decided on and gaps that are open.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from psycopg import Connection

from ingest.queries import QUERIES

_ROWS: Final = 5000
_TURNS: Final = 40


def expire(connection: Connection, keep: Mapping[str, int], now: datetime) -> dict[str, int]:
    """Remove what is older than `keep` days, by kind of event; return how many events went.

    Whole chunks where TimescaleDB has them, 5,000 rows a transaction otherwise, at most 200,000 a call. Cuts at
    midnight UTC, so that no bucket is cut in two. Fewer than 31 days raise `InvalidParameterValue`.
    """
    removed: dict[str, int] = {}
    for kind, days in keep.items():
        before = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
        for _ in range(_TURNS):
            row = connection.execute(QUERIES["expire"], {"kind": kind, "before": before, "most": _ROWS}).fetchone()
            gone = row[0] if row else 0
            if not gone:
                break
            removed[kind] = removed.get(kind, 0) + gone
    return removed


def expire_records(connection: Connection, days: int, now: datetime) -> dict[str, int]:
    """Remove dead letters that were replayed or closed, and gaps that were closed, so many days ago; return how many.

    What a letter proved stays in `landing.letter_proof`. Fewer than 31 days raise `InvalidParameterValue`.
    """
    before = now - timedelta(days=days)
    letters = 0
    for _ in range(_TURNS):
        row = connection.execute(QUERIES["expire_letters"], {"before": before, "most": _ROWS}).fetchone()
        gone = row[0] if row else 0
        letters += gone
        if gone < _ROWS:
            break
    gaps = connection.execute(QUERIES["expire_gaps"], {"before": before}).rowcount
    return {name: number for name, number in (("dead_letter", letters), ("gap", gaps)) if number}
