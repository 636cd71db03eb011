"""Connections as every part of the service wants them: aware UTC times, rows as named tuples."""

from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

Connection = psycopg.Connection[Any]


def connect(dsn: str, name: str) -> Connection:
    """Open a connection in autocommit mode; `name` shows in pg_stat_activity."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name=name,
        connect_timeout=5,
        row_factory=namedtuple_row,
        options="-c timezone=UTC -c lock_timeout=10s -c statement_timeout=60s",
    )
