"""Events as PostgreSQL's binary COPY, packed here: an adapter called for each of 22 columns costs more than the rest.

A row is the number of its columns and, for each, the length of its bytes and the bytes; -1 stands for NULL. What
does not fit a column's type raises `ValueError`, where psycopg's own binary integers would wrap silently.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from contracts.messages import Environment, Event, Position, Scan, Status, Stock
from contracts.topics import Kind
from ingest.decode import Decoded, Item

# The width of the smallest rollup.
_BUCKET_MS: Final = 5 * 60 * 1000
_BEGIN: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_NOWHERE: Final = _NULL * 5
_IDENTITY_COLUMNS: Final = 8
_WORK_COLUMNS: Final = 5
# PostgreSQL counts microseconds from the year 2000.
_EPOCH_MS: Final = 946_684_800_000

_identity = struct.Struct(">" + "iq" * 5).pack
_place = struct.Struct(">" + "id" * 3).pack
_stock = struct.Struct(">" + "ii" * 2 + "if").pack
_sequence = struct.Struct(">iqiq").pack
_instant = struct.Struct(">iq").pack
_channel = struct.Struct(">ih").pack
_single = struct.Struct(">if").pack
_size = struct.Struct(">i").pack
_count = struct.Struct(">h").pack
_range = struct.Struct(">iBiqiq").pack
_LOWER_INCLUDED: Final = 0x02
_RANGE_BYTES: Final = 25

_COLUMNS: Final = {Kind.SCAN: 14, Kind.STOCK: 6, Kind.ENV: 2, Kind.STATUS: 4}
_BLOCKS: Final = {
    Kind.SCAN: "copy_scan",
    Kind.STOCK: "copy_stock",
    Kind.ENV: "copy_environment",
    Kind.STATUS: "copy_status",
}
_ROLLED_UP: Final = {Kind.SCAN: "scan", Kind.STOCK: "stock", Kind.ENV: "environment"}
_QUEUED: Final = {Kind.SCAN: "scan", Kind.STOCK: "stock"}


def event_blocks(new: Iterable[tuple[Decoded, Sequence[Item]]]) -> dict[str, bytes]:
    """Return what each COPY sends to store these events, queue their work and renew their rollups."""
    rows: dict[str, list[bytes]] = {}
    dirty: set[tuple[str, int]] = set()
    try:
        for message, items in new:
            _add(message, items, rows, dirty)
    except struct.error as error:
        raise ValueError(f"a number does not fit its column: {error}") from error
    if dirty:
        rows["copy_rollup_dirty"] = [
            _count(2) + _known(kind) + _instant(8, _micros(bucket)) for kind, bucket in sorted(dirty)
        ]
    return {block: b"".join((_BEGIN, *lines, _END)) for block, lines in rows.items()}


def _add(message: Decoded, items: Sequence[Item], rows: dict[str, list[bytes]], dirty: set[tuple[str, int]]) -> None:
    kind = message.kind
    if kind is None:
        raise ValueError("events of no kind")
    columns = _IDENTITY_COLUMNS + _COLUMNS[kind]
    head = _head(columns, message.device, message.boot)
    sent, received = _micros(message.sent_at), _micros(message.received_at)
    site = _known(message.site)
    events = rows.setdefault(_BLOCKS[kind], [])
    for seq, content, _, event in items:
        ts = _micros(event.ts)
        events.append(head + _identity(8, seq, 8, ts, 8, sent, 8, received, 8, content) + site + _values(event))
    if kind in _ROLLED_UP:
        dirty.update([(_ROLLED_UP[kind], item.event.ts - item.event.ts % _BUCKET_MS) for item in items])
    if kind in _QUEUED:
        head = _work_head(_QUEUED[kind], message.device, message.boot)
        work = rows.setdefault("copy_work", [])
        work.extend([head + _sequence(8, item.seq, 8, _micros(item.event.ts)) for item in items])


def _values(event: Event) -> bytes:
    if type(event) is Scan:
        return _scan(event)
    if type(event) is Stock:
        numbers = _stock(4, event.grams, 4, event.units, 4, event.confidence)
        return _channel(2, event.channel) + _known(event.gtin) + numbers + _known(event.fault)
    if type(event) is Environment:
        humidity = _NULL if event.humidity is None else _single(4, event.humidity)
        return _single(4, event.temperature_c) + humidity
    if type(event) is Status:
        depth = _instant(8, event.outbox_depth)
        return _known(event.state) + _known(event.firmware) + depth + _dropped(event.dropped)
    raise ValueError(f"no table holds a {type(event).__name__}")


def _scan(scan: Scan) -> bytes:
    image = bytes.fromhex(scan.image)
    return b"".join(
        (
            _text(scan.code),
            _known(scan.symbology),
            _known(scan.aim),
            _text(scan.activity),
            _known(scan.reference),
            _known(scan.parent),
            _known(scan.to),
            _known(scan.operator),
            _NOWHERE if scan.position is None else _position(scan.position),
            _size(len(image)) + image if image else _NULL,
        )
    )


def _position(where: Position) -> bytes:
    return _place(8, where.lon, 8, where.lat, 8, where.accuracy_m) + _text(where.platform) + _known(where.crs)


def _dropped(ranges: Sequence[tuple[int, int]]) -> bytes:
    """Return an int8multirange; PostgreSQL sorts and merges what it reads."""
    whole = b"".join(_range(_RANGE_BYTES, _LOWER_INCLUDED, 8, first, 8, last + 1) for first, last in ranges)
    return _size(4 + len(whole)) + _size(len(ranges)) + whole


def _micros(milliseconds: int) -> int:
    return (milliseconds - _EPOCH_MS) * 1000


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _size(len(encoded)) + encoded


_known = lru_cache(maxsize=4096)(_text)  # what a few thousand events have in common


@lru_cache(maxsize=4096)
def _head(columns: int, device: str, boot: str) -> bytes:
    return _count(columns) + _text(device) + _size(16) + bytes.fromhex(boot)


@lru_cache(maxsize=4096)
def _work_head(kind: str, device: str, boot: str) -> bytes:
    return _count(_WORK_COLUMNS) + _text(kind) + _text(device) + _size(16) + bytes.fromhex(boot)
