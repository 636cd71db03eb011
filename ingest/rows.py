"""Events as rows of the landing tables, in the order of the columns that `queries.sql` copies."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from contracts.messages import Environment, Scan, Status, Stock
from contracts.topics import Kind
from ingest.decode import Decoded, Fault, Item

Row = tuple[object, ...]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_IDENTITY: Final = ("text", "uuid", "int8", "timestamptz", "timestamptz", "timestamptz", "int8", "text")
TYPES: Final[dict[str, tuple[str, ...]]] = {
    "copy_scan": _IDENTITY + ("text",) * 8 + ("float8",) * 3 + ("text", "text", "bytea"),
    "copy_stock": (*_IDENTITY, "int2", "text", "int4", "int4", "float4", "text"),
    "copy_environment": (*_IDENTITY, "float4", "float4"),
    "copy_status": (*_IDENTITY, "text", "text", "int8", "int8multirange"),
    "copy_work": ("text", "text", "uuid", "int8", "timestamptz"),
    "copy_rollup_dirty": ("text", "timestamptz"),
    "copy_dead_letter": ("timestamptz", "text", "bytea", "text", "uuid", "int8", "int8", "text", "text", "text"),
}
"""The column types of each COPY. Binary COPY wraps integers that do not fit, so the contract bounds every one."""

BUCKET_MS: Final = 5 * 60 * 1000
"""The width of the smallest rollup."""

_ROLLED_UP: Final = {Kind.SCAN: "scan", Kind.STOCK: "stock", Kind.ENV: "environment"}
_QUEUED: Final = {Kind.SCAN: "scan", Kind.STOCK: "stock"}


def moment(milliseconds: int) -> datetime:
    """Return milliseconds since the epoch as an aware datetime, exactly."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def event_rows(new: Iterable[tuple[Decoded, list[Item]]]) -> dict[str, list[Row]]:
    """Return the rows of every COPY that storing these events takes: the queue of work, and the rollups to renew."""
    rows: dict[str, list[Row]] = {}
    dirty: set[tuple[str, int]] = set()
    for message, items in new:
        boot = UUID(message.boot)
        sent, received = moment(message.sent_at), moment(message.received_at)
        queued = _QUEUED.get(message.kind) if message.kind else None
        rolled_up = _ROLLED_UP.get(message.kind) if message.kind else None
        for seq, content, _, event in items:
            ts = moment(event.ts)
            if rolled_up:
                dirty.add((rolled_up, event.ts - event.ts % BUCKET_MS))
            identity = (message.device, boot, seq, ts, sent, received, content, message.site)
            block, rest = _values(event)
            rows.setdefault(block, []).append(identity + rest)
            if queued:
                rows.setdefault("copy_work", []).append((queued, message.device, boot, seq, ts))
    if dirty:
        rows["copy_rollup_dirty"] = [(kind, moment(bucket)) for kind, bucket in sorted(dirty)]
    return rows


def letter_rows(letters: Iterable[tuple[Decoded, Fault]]) -> list[Row]:
    """Return the rows of the dead letters; what PostgreSQL's text cannot hold is spelt out."""
    return [
        (
            moment(message.received_at),
            storable(message.topic),
            fault.payload,
            message.device or None,
            UUID(message.boot) if message.boot else None,
            fault.first,
            fault.last,
            fault.reason,
            storable(fault.detail),
            fault.sqlstate,
        )
        for message, fault in letters
    ]


def _values(event: Scan | Stock | Environment | Status) -> tuple[str, Row]:
    match event:
        case Scan():
            return "copy_scan", _scan(event)
        case Stock():
            return "copy_stock", (
                event.channel,
                event.gtin,
                event.grams,
                event.units,
                event.confidence,
                event.fault,
            )
        case Environment():
            return "copy_environment", (event.temperature_c, event.humidity)
        case Status():
            dropped = Multirange([Range(first, last + 1) for first, last in event.dropped])
            return "copy_status", (event.state, event.firmware, event.outbox_depth, dropped)


def _scan(scan: Scan) -> Row:
    where = scan.position
    place = (where.lon, where.lat, where.accuracy_m, where.platform.value, where.crs) if where else (None,) * 5
    return (
        scan.code,
        scan.symbology,
        scan.aim,
        scan.activity.value,
        scan.reference,
        scan.parent,
        scan.to,
        scan.operator,
        *place,
        bytes.fromhex(scan.image) if scan.image else None,
    )


def storable(text: str) -> str:
    """Return a text with what PostgreSQL's cannot hold spelt out."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
