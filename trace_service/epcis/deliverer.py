"""Sends subscribers what their queries find: in order, at least once; the cursor moves when they took it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import httpcore
import msgspec
import psycopg
import structlog
from psycopg import sql

from contracts.errors import CodefenceError
from contracts.webhooks import sign
from trace_service.epcis.http.requests import VERSION_HEADERS
from trace_service.epcis.projection import project_all
from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.answers import EpcFormat, query_document
from trace_service.epcis.querying.parameters import from_query, read_search
from trace_service.epcis.querying.search import found_event
from trace_service.epcis.schedules import next_time
from trace_service.epcis.standard import namespaces
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, connect
from trace_service.webhooks.addresses import Networks, guarded_pools
from trace_service.webhooks.patience import Patience

_LOOK_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 8.0
_BATCH: Final = 100
_CONCURRENT: Final = 8
_LONGEST_ERROR: Final = 200
_OK: Final = range(200, 300)
_LOCK_SPACE: Final = 0x45504353
_ANY_PREFIX_DIGITS: Final = 7  # identifiers go out as they were captured, so nothing is ever split by it

log = structlog.get_logger(__name__)


class SubscriptionDeliverer:
    """Works off the subscriptions of one database; several may run, each subscription belongs to one at a time."""

    def __init__(self, dsn: str, keys: KeyWrapper, networks: Networks, patience: Patience | None = None) -> None:
        self._dsn = dsn
        self._keys = keys
        self._patience = patience or Patience()
        self._pools = guarded_pools(networks, _CONCURRENT)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; a database that goes away is waited for."""
        try:
            while not stop.is_set():
                try:
                    await self.round()
                # The tasks of a round fail as a group.
                except* psycopg.OperationalError as lost:
                    log.warning("no database", action="epcis.database", error=str(lost.exceptions[0]))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
        finally:
            await self.close()

    async def close(self) -> None:
        """Close what connections are kept."""
        for pool in self._pools.values():
            await pool.aclose()

    async def round(self) -> None:
        """Write own events as EPCIS, and serve every subscription that is due, once."""
        due = await asyncio.to_thread(self._due)
        gate = asyncio.Semaphore(_CONCURRENT)

        async def serve(number: Any) -> None:  # noqa: ANN401  an id
            async with gate:
                await self._serve(number)

        async with asyncio.TaskGroup() as tasks:
            for number in due:
                tasks.create_task(serve(number), name=f"subscription {number}")

    def _due(self) -> Sequence[Any]:
        with connect(self._dsn, "epcis subscriptions") as connection:
            # Own events become EPCIS here, whether anybody subscribes or not: queries then find them written.
            project_all(connection)
            return [row.id for row in connection.execute(SQL["due_subscriptions"])]

    async def _serve(self, number: Any) -> None:  # noqa: ANN401  an id
        """Send one subscription's events, batch after batch, until nothing is left or one is not taken."""
        connection = await asyncio.to_thread(connect, self._dsn, "epcis subscription")
        try:
            own = {"space": _LOCK_SPACE, "id": str(number)}
            had = await asyncio.to_thread(lambda: connection.execute(SQL["own_subscription"], own).fetchone())
            if had is None or not had.had:
                return
            first = True
            while True:
                found = await asyncio.to_thread(self._batch, connection, number)
                if found is None:
                    return
                row, events = found
                if not events and not (first and row.report_if_empty and row.schedule):
                    await asyncio.to_thread(self._rest, connection, row)
                    return
                error = await self._attempt(row, events)
                await asyncio.to_thread(self._record, connection, row, events, error)
                if error or len(events) < _BATCH:
                    if not error:
                        await asyncio.to_thread(self._rest, connection, row)
                    return
                first = False
        finally:
            connection.close()

    def _batch(self, connection: Connection, number: Any) -> tuple[Any, Sequence[Any]] | None:  # noqa: ANN401  an id
        row = connection.execute(SQL["subscription_work"], {"id": number}).fetchone()
        if row is None:
            return None
        try:
            search = read_search(from_query(msgspec.json.decode(row.query_text)), namespaces.STANDARD)
        except CodefenceError as error:
            self._record(connection, row, (), f"the query fails: {error.message}"[:_LONGEST_ERROR])
            return None
        conditions = sql.SQL(" AND ").join([*search.conditions, sql.SQL(SQL["where_visible"])])
        statement = sql.SQL(SQL["stream_events"]).format(conditions=conditions)
        cursor = {"brand": row.brand, "transaction": row.transaction, "last": row.last_event, "limit": _BATCH}
        try:
            return row, connection.execute(statement, {**search.values, **cursor}).fetchall()
        except (psycopg.DataError, psycopg.errors.QueryCanceled) as error:
            # One partner's query that cannot be answered, or not in time, holds nobody else's events up.
            self._record(connection, row, (), f"the query fails: {error.diag.message_primary}"[:_LONGEST_ERROR])
            return None

    async def _attempt(self, row: Any, events: Sequence[Any]) -> str:  # noqa: ANN401  a row
        """Send a batch; whatever goes wrong with it is this subscription's own failure."""
        try:
            return await self._send(row, events)
        except CodefenceError as error:
            return f"{error.code}: {error.message}"[:_LONGEST_ERROR]
        # The process boundary: let out, it would end the deliveries of every brand.
        except Exception as error:
            log.exception("a subscriber's events cannot be sent", action="epcis.broken", subscription=str(row.id))
            return f"an error of this service: {type(error).__name__}"

    async def _send(self, row: Any, events: Sequence[Any]) -> str:  # noqa: ANN401  a row
        """Post a batch; return what went wrong, or an empty text."""
        found = [found_event(each) for each in events]
        document = query_document(
            found, EpcFormat.NO_PREFERENCE, _ANY_PREFIX_DIGITS, name=row.query, subscription=str(row.id)
        )
        body = msgspec.json.encode(document)
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "User-Agent": "Codefence-EPCIS/1",
        }
        headers.update(VERSION_HEADERS.items())
        if row.secret is not None:
            headers["GS1-Signature"] = sign(self._keys.unwrap_text(row.secret), body, int(time.time()))
        pool = self._pools[row.dest.partition(":")[0].lower()]
        try:
            async with (
                asyncio.timeout(_ANSWER_SECONDS),
                pool.stream("POST", row.dest, headers=headers, content=body) as answer,
            ):
                return "" if answer.status in _OK else f"answered {answer.status}"
        except TimeoutError:
            return f"no answer within {_ANSWER_SECONDS:g} s"
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]

    def _record(self, connection: Connection, row: Any, events: Sequence[Any], error: str) -> None:  # noqa: ANN401
        if not error:
            last = events[-1] if events else None
            taken = {
                "id": row.id,
                "transaction": last.transaction if last else row.transaction,
                "last": last.id if last else row.last_event,
                "count": len(events),
            }
            connection.execute(SQL["subscription_taken"], taken)
            return
        failures = row.attempts + 1
        dead = failures >= self._patience.attempts
        connection.execute(
            SQL["subscription_failed"],
            {"id": row.id, "error": error, "dead": dead, "wait": self._patience.wait(failures)},
        )
        log.warning(
            "a subscriber did not take its events", action="epcis.dead" if dead else "epcis.failed",
            subscription=str(row.id), attempts=failures, error=error,
        )  # fmt: skip

    def _rest(self, connection: Connection, row: Any) -> None:  # noqa: ANN401  a row
        """Wait for the next time of a schedule; a stream is looked at again in a second."""
        due = next_time(row.schedule, datetime.now(UTC)) if row.schedule else None
        connection.execute(SQL["subscription_rests"], {"id": row.id, "due_at": due})
