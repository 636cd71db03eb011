"""Connections as every part of the service wants them: aware UTC times, rows as named tuples."""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import namedtuple_row

Connection = psycopg.Connection[Any]


def one(connection: Connection, query: LiteralString, parameters: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Return the row of a query that always has one, such as an aggregate."""
    row = connection.execute(query, parameters).fetchone()
    if row is None:
        raise LookupError(f"no row from: {query}")
    return row


def connect(dsn: str, name: str) -> Connection:
    """Open a connection in autocommit mode; `name` shows in pg_stat_activity."""
    # The planner thinks of a recursion as large: compiling it would take longer than all of its look-ups.
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name=name,
        connect_timeout=5,
        row_factory=namedtuple_row,
        options="-c timezone=UTC -c lock_timeout=10s -c statement_timeout=60s -c jit=off",
    )
