"""Events found: a page at a time, in one order, without gaps or repetitions between the pages."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from psycopg import sql

from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.parameters import Search
from trace_service.epcis.refusals import NoSuchResourceError, QueryTooLargeError
from trace_service.store.connection import Connection

PAGE: Final = 30
LARGEST_PAGE: Final = 1000
TOKEN_LIFE: Final = timedelta(hours=1)


class Found(NamedTuple):
    """One stored event with what its document defined."""

    event: dict[str, Any]
    prefixes: Mapping[str, str]
    record_time: datetime


class Position(NamedTuple):
    """Where a page ended: the last event's place in the order, and how many events the query may still give."""

    value: datetime
    id: int
    left: int | None
    query: str


@dataclass(frozen=True, slots=True)
class Page:
    """Events, and where the next page begins; `after` is None on the last one."""

    events: Sequence[Found]
    after: Position | None


def find(connection: Connection, brand: str, search: Search, size: int, start: Position | None = None) -> Page:
    """Return a page of events; raises `QueryTooLargeError` where the query's `most` is exceeded."""
    left = start.left if start else search.limit
    most = search.most if start is None else None
    if most is not None and _count(connection, brand, search, most + 1) > most:
        raise QueryTooLargeError(
            f"more than {most} events match", advice="Ask for a shorter time, or leave out maxEventCount."
        )
    wanted = size if left is None else min(size, left)
    rows = _rows(connection, brand, search, wanted + 1, start)
    shown = rows[:wanted]
    rest = None if left is None else left - len(shown)
    more = len(rows) > wanted and rest != 0
    after = Position(shown[-1].position, shown[-1].id, rest, search.name) if more and shown else None
    return Page([found_event(row) for row in shown], after)


def _count(connection: Connection, brand: str, search: Search, limit: int) -> int:
    """Return how many events match, counted up to a limit."""
    conditions = sql.SQL(" AND ").join([*search.conditions, sql.SQL(SQL["where_visible"])])
    statement = sql.SQL(SQL["count_events"]).format(conditions=conditions)
    row = connection.execute(statement, {**search.values, "brand": brand, "limit": limit}).fetchone()
    return int(row[0]) if row else 0


def _rows(connection: Connection, brand: str, search: Search, limit: int, start: Position | None) -> Sequence[Any]:
    column = sql.Identifier(search.order)
    conditions = [*search.conditions, sql.SQL(SQL["where_visible"])]
    values = dict(search.values)
    if start is not None:
        block = sql.SQL(SQL["where_before" if search.descending else "where_after"])
        named = {"value": sql.Placeholder("after_value"), "id": sql.Placeholder("after_id")}
        conditions.append(block.format(column=column, **named))
        values |= {"after_value": start.value, "after_id": start.id}
    statement = sql.SQL(SQL["find_events"]).format(
        column=column,
        conditions=sql.SQL(" AND ").join(conditions),
        direction=sql.SQL("DESC" if search.descending else "ASC"),
    )
    return connection.execute(statement, {**values, "brand": brand, "limit": limit}).fetchall()


def found_event(row: Any) -> Found:  # noqa: ANN401  a row
    """Return what a row of `find_events` or `stream_events` holds."""
    return Found(msgspec.json.decode(row.event), msgspec.json.decode(row.prefixes), row.record_time)


def keep_position(connection: Connection, brand: str, position: Position) -> tuple[str, datetime]:
    """Store where the next page begins; return its token and when that expires."""
    token, expires = secrets.token_urlsafe(24), datetime.now(UTC) + TOKEN_LIFE
    row = {"token": token, "brand": brand, "position": msgspec.json.encode(position).decode(), "expires_at": expires}
    connection.execute(SQL["insert_page"], row)
    return token, expires


def position_of(connection: Connection, brand: str, token: str, query: str) -> Position:
    """Return where a page begins; raises `NoSuchResourceError` for an unknown or expired token, or another query's."""
    row = connection.execute(SQL["page"], {"token": token, "brand": brand}).fetchone()
    position = msgspec.convert(row.position, Position, strict=False) if row else None
    if position is None or position.query != query:
        raise NoSuchResourceError("the page token is unknown or expired", advice="Ask for the first page again.")
    return position


def forget_position(connection: Connection, brand: str, token: str) -> None:
    """Make a token worthless; raises `NoSuchResourceError` for one that is unknown."""
    if connection.execute(SQL["delete_page"], {"token": token, "brand": brand}).fetchone() is None:
        raise NoSuchResourceError("the page token is unknown")
