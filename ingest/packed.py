"""Events as PostgreSQL's binary COPY, packed here: an adapter called for each of 22 columns costs more than the rest.

A row is the number of its columns and, for each, the length of its bytes and the bytes; -1 stands for NULL. What
does not fit a column's type raises `ValueError`, where psycopg's own binary integers would wrap silently.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from contracts.messages import Environment, Event, Position, Scan, Status, Stock
from contracts.topics import Kind
from ingest.decode import Decoded, Item

# The width of the smallest rollup.
_BUCKET_MS: Final = 5 * 60 * 1000
WORK: Final = "copy_work"
"""The COPY after which the trace service has something to do."""

_BEGIN: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_NOWHERE: Final = _NULL * 5
_PIECE_ROWS: Final = 500
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


New = Sequence[tuple[Decoded, Sequence[Item]]]


def event_copies(new: New) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield what each COPY sends to store these events, queue their work and renew their rollups.

    It comes in pieces, so that PostgreSQL reads one while the next is packed.
    """
    kinds: dict[Kind, list[tuple[Decoded, Sequence[Item]]]] = {}
    for message, items in new:
        if message.kind is not None:
            kinds.setdefault(message.kind, []).append((message, items))
    for kind, members in kinds.items():
        yield _BLOCKS[kind], _copy(_events(message, items, kind) for message, items in members)
    queued = [one for kind, members in kinds.items() if kind in _QUEUED for one in members]
    if queued:
        yield WORK, _copy(_work(message, items) for message, items in queued)
    dirty = {
        (name, item.event.ts - item.event.ts % _BUCKET_MS)
        for kind, name in _ROLLED_UP.items()
        for _, items in kinds.get(kind, ())
        for item in items
    }
    if dirty:
        rows = [_count(2) + _known(name) + _instant(8, _micros(bucket)) for name, bucket in sorted(dirty)]
        yield "copy_rollup_dirty", _copy([rows])


def _copy(rows: Iterable[list[bytes]]) -> Iterator[bytes]:
    """Yield one COPY in pieces; a number that does not fit its column is a `ValueError`."""
    piece, size = [_BEGIN], 0
    try:
        for some in rows:
            piece += some
            size += len(some)
            if size >= _PIECE_ROWS:
                yield b"".join(piece)
                piece, size = [], 0
    except struct.error as error:
        raise ValueError(f"a number does not fit its column: {error}") from error
    yield b"".join((*piece, _END))


def _events(message: Decoded, items: Sequence[Item], kind: Kind) -> list[bytes]:
    head = _head(_IDENTITY_COLUMNS + _COLUMNS[kind], message.device, message.boot)
    sent, received = _micros(message.sent_at), _micros(message.received_at)
    site = _known(message.site)
    return [
        head
        + _identity(8, one.seq, 8, _micros(one.event.ts), 8, sent, 8, received, 8, one.content)
        + site
        + _values(one.event)
        for one in items
    ]


def _work(message: Decoded, items: Sequence[Item]) -> list[bytes]:
    kind = _QUEUED[message.kind] if message.kind else ""
    head = _work_head(kind, message.device, message.boot)
    return [head + _sequence(8, item.seq, 8, _micros(item.event.ts)) for item in items]


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
    job = _job(scan.symbology, scan.aim, scan.activity, scan.reference, scan.parent, scan.to, scan.operator)
    where = _NOWHERE if scan.position is None else _position(scan.position)
    return _text(scan.code) + job + where + (_size(len(image)) + image if image else _NULL)


@lru_cache(maxsize=4096)
def _job(*texts: str) -> bytes:
    """Return what the scans of one job have in common."""
    return b"".join(map(_text, texts))


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
