"""Commits batches: one transaction each, and row by row only where PostgreSQL refuses a row."""

from collections.abc import Sequence
from typing import Final

import psycopg
import structlog
from msgspec.structs import replace

from ingest.landing.decode import Decoded
from ingest.landing.meanwhile import BusyConnection, Meanwhile
from ingest.landing.store import Outcome, store, store_alone

# Classes 22 and 23, and what psycopg itself cannot turn into PostgreSQL's types.
POISON: Final = (psycopg.DataError, psycopg.IntegrityError, ValueError, OverflowError)

# Durability is the promise, whatever the role's defaults; and no statement may hang for ever.
_OPTIONS: Final = (
    "-c synchronous_commit=on -c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
)

log = structlog.get_logger(__name__)


def connect(database_url: str, name: str) -> BusyConnection:
    """Open a connection in autocommit mode, shown to administrators as `name`."""
    return BusyConnection.connect(
        database_url,
        autocommit=True,
        application_name=name,
        options=_OPTIONS,
        connect_timeout=5,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=20_000,
    )


class Writer:
    """Owns one connection, opened when needed and dropped after any failure.

    `meanwhile` is called again and again while the database works.
    """

    def __init__(self, database_url: str, name: str, meanwhile: Meanwhile | None = None) -> None:
        self._database_url = database_url
        self._name = name
        self._meanwhile = meanwhile
        self._connection: psycopg.Connection | None = None

    def write(self, batch: Sequence[Decoded]) -> Outcome:
        """Commit a batch; rows that PostgreSQL refuses become dead letters of the same transaction.

        Raises `psycopg.Error` where nothing, or no one knows whether anything, was committed: write it again.
        """
        connection = self._open()
        try:
            return store_alone(connection, batch)
        except POISON as error:
            log.warning("a row was refused; looking for it", action="ingest.bisect", error=str(error).strip())
        # What its last statements met with came to light after the transaction's own end.
        connection.rollback()
        with connection.transaction():
            return _bisect(connection, batch)

    def close(self) -> None:
        """Drop the connection; the next write opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> psycopg.Connection:
        if self._connection is None:
            connection = connect(self._database_url, self._name)
            connection.meanwhile = self._meanwhile
            self._connection = connection
            log.info("connected to the database", action="ingest.database")
        return self._connection


def _bisect(connection: psycopg.Connection, batch: Sequence[Decoded]) -> Outcome:
    """Store what can be stored, halving what cannot, each try under a savepoint."""
    try:
        with connection.transaction():
            return store(connection, batch)
    except POISON as error:
        halves = _halves(batch)
        if not halves:
            return _condemn(connection, batch[0], error)
    outcome = Outcome()
    for half in halves:
        outcome.add(_bisect(connection, half))
    return outcome


def _halves(batch: Sequence[Decoded]) -> list[Sequence[Decoded]]:
    """Split between messages or, when there is one left, between its events; nothing if it has only one."""
    if len(batch) > 1:
        middle = len(batch) // 2
        return [batch[:middle], batch[middle:]]
    (message,) = batch
    if len(message.items) < 2:  # noqa: PLR2004  two is what a half needs
        return []
    middle = len(message.items) // 2
    early, late = message.items[:middle], message.items[middle:]
    return [
        [replace(message, items=early, faults=(), first=early[0].seq, last=early[-1].seq)],
        [replace(message, items=late, first=late[0].seq, last=late[-1].seq)],
    ]


def _condemn(connection: psycopg.Connection, message: Decoded, error: Exception) -> Outcome:
    """Keep one event as a dead letter; if even that is refused, it is not the event's fault and the batch waits."""
    if not message.items:
        raise error
    sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
    with connection.transaction():
        return store(connection, [message.condemn(str(error).strip(), sqlstate)])
