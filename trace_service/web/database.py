"""The console's way to the database: a pool, named queries, rows as typed models."""

import json
from collections.abc import Mapping
from typing import Final, LiteralString, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg_pool import AsyncConnectionPool

from trace_service.sql import load_queries

CHANNEL = "console"
Row = TypeVar("Row")
_LARGEST_POOL: Final = 8


class Database:
    """Named queries over a pool of connections; each call is one statement in its own transaction."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._queries = load_queries("trace_service.web")
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=_LARGEST_POOL,
            timeout=5.0,
            open=False,
            kwargs={"options": "-c timezone=UTC -c statement_timeout=10000", "application_name": "codefence-console"},
            name="console",
        )

    async def open(self) -> None:
        """Begin to connect; requests wait up to 5 s for a connection."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def listen(self) -> AsyncConnection:
        """Return a connection outside the pool that listens for changes; the caller closes it."""
        connection = await AsyncConnection.connect(self._dsn, autocommit=True, connect_timeout=5)
        await connection.execute(f"LISTEN {CHANNEL}")
        return connection

    async def many(self, query: str, row: type[Row], parameters: Mapping[str, object]) -> list[Row]:
        """Return all rows of a named query."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(row)) as cursor:
            await cursor.execute(self._query(query), parameters)
            return await cursor.fetchall()

    async def one(self, query: str, row: type[Row], parameters: Mapping[str, object]) -> Row | None:
        """Return the first row of a named query, or None."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(row)) as cursor:
            await cursor.execute(self._query(query), parameters)
            return await cursor.fetchone()

    async def run(self, query: str, parameters: Mapping[str, object]) -> None:
        """Run a named statement that returns nothing."""
        async with self._pool.connection() as connection:
            await connection.execute(self._query(query), parameters)

    async def change(self, query: str, parameters: Mapping[str, object], news: Mapping[str, object]) -> bool:
        """Run a named `UPDATE … RETURNING id` and tell every console in the same transaction; return whether it hit."""
        async with self._pool.connection() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute(self._query(query), parameters)
            hit = await cursor.fetchone() is not None
            if hit:
                await cursor.execute(self._query("tell_consoles"), {"payload": json.dumps(news)})
            return hit

    def _query(self, name: str) -> LiteralString:
        return self._queries[name]
