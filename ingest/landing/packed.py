"""Events as PostgreSQL's binary COPY, packed here: an adapter called for each of 22 columns costs more than the rest.

A row is the number of its columns and, for each, the length of its bytes and the bytes; -1 stands for NULL. What
does not fit a column's type raises `ValueError`, where psycopg's own binary integers would wrap silently.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from msgspec import Struct

from contracts.messages import Environment, Event, Facings, Position, Scan, Status, Stock
from contracts.topics import Kind
from ingest.landing.decode import Decoded, Item

WORK: Final = "copy_work"
"""The COPY after which the trace service has something to do."""

_BEGIN: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_NO_CIRCUMSTANCES: Final = _NULL * 6
_NO_FACINGS: Final = _NULL * 5
_PIECE_ROWS: Final = 500
_WORK_COLUMNS: Final = 6
# A row of work is claimed as a whole, so that this is how much one worker of the trace service takes at least.
_WORK_EVENTS: Final = 50
# PostgreSQL counts microseconds from the year 2000.
_EPOCH_MS: Final = 946_684_800_000

_numbers = struct.Struct(">" + "iq" * 5).pack
_numbers_and_size = struct.Struct(">" + "iq" * 5 + "i").pack
_place = struct.Struct(">" + "id" * 3).pack
_stock = struct.Struct(">" + "ii" * 2 + "if").pack
_facings = struct.Struct(">" + "ih" * 4 + "if").pack
_sequence = struct.Struct(">iqiq").pack
_instant = struct.Struct(">iq").pack
_channel = struct.Struct(">ih").pack
_single = struct.Struct(">if").pack
_flag = struct.Struct(">i?").pack
_size = struct.Struct(">i").pack
_count = struct.Struct(">h").pack
_instants = [struct.Struct(">" + "iq" * n).pack for n in range(_WORK_EVENTS)]
_array = struct.Struct(">6i").pack
_TIMESTAMPTZ: Final = 1184
_NO_INSTANTS: Final = struct.pack(">4i", 12, 0, 0, _TIMESTAMPTZ)
_range = struct.Struct(">iBiqiq").pack
_LOWER_INCLUDED: Final = 0x02
_RANGE_BYTES: Final = 25

_COLUMNS: Final = {Kind.SCAN: 22, Kind.STOCK: 19, Kind.ENV: 13, Kind.STATUS: 12}
_BLOCKS: Final = {
    Kind.SCAN: "copy_scan",
    Kind.STOCK: "copy_stock",
    Kind.ENV: "copy_environment",
    Kind.STATUS: "copy_status",
}
_QUEUED: Final = {Kind.SCAN: "scan", Kind.STOCK: "stock"}


New = Sequence[tuple[Decoded, Sequence[Item]]]


class _Run(Struct):
    """Events of one sequence and kind that follow one another: the first one's number, and all their capture times."""

    first: int
    times: list[int]


def event_copies(new: New) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Yield what each COPY sends to store these events and queue their work.

    It comes in pieces, so that PostgreSQL reads one while the next is packed.
    """
    kinds: dict[Kind, list[tuple[Decoded, Sequence[Item]]]] = {}
    for one in new:
        if one[0].kind is not None:
            kinds.setdefault(one[0].kind, []).append(one)
    for kind, members in kinds.items():
        rows = _scans(members) if kind is Kind.SCAN else _events(members, kind)
        yield _BLOCKS[kind], _copy(rows)
    queued = [one for kind, members in kinds.items() if kind in _QUEUED for one in members]
    if queued:
        yield WORK, _copy((row,) for row in _work(queued))


def _copy(rows: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """Yield one COPY in pieces; a number that does not fit its column is a `ValueError`."""
    piece, size = [_BEGIN], 0
    try:
        for parts in rows:
            piece += parts
            size += 1
            if size >= _PIECE_ROWS:
                yield b"".join(piece)
                piece, size = [], 0
    except struct.error as error:
        raise ValueError(f"a number does not fit its column: {error}") from error
    yield b"".join((*piece, _END))


def _scans(members: New) -> Iterator[tuple[bytes, ...]]:
    """Yield each scan's row in parts; this is `_events` for what nearly every event is."""
    for message, items in members:
        head = _head(_COLUMNS[Kind.SCAN], message.device, message.boot, message.site)
        sent, received = _micros(message.sent_at), _micros(message.received_at)
        for item in items:
            scan = item.event
            if type(scan) is not Scan:
                raise ValueError(f"a {type(scan).__name__} among scans")
            code = scan.code.encode()
            ts = (scan.ts - _EPOCH_MS) * 1000
            numbers = _numbers_and_size(8, item.seq, 8, ts, 8, sent, 8, received, 8, item.content, len(code))
            job = _job(scan.symbology, scan.aim, scan.activity, scan.reference, scan.parent, scan.to, scan.operator)
            yield head, numbers, code, job, _circumstances(scan) if scan.position or scan.image else _NO_CIRCUMSTANCES


def _events(members: New, kind: Kind) -> Iterator[tuple[bytes, ...]]:
    for message, items in members:
        head = _head(_COLUMNS[kind], message.device, message.boot, message.site)
        sent, received = _micros(message.sent_at), _micros(message.received_at)
        for item in items:
            ts = _micros(item.event.ts)
            yield head, _numbers(8, item.seq, 8, ts, 8, sent, 8, received, 8, item.content), _values(item.event)


def _work(new: New) -> Iterator[bytes]:
    runs: dict[tuple[Kind | None, str, str], _Run] = {}
    for message, items in new:
        stream = (message.kind, message.device, message.boot)
        run = runs.get(stream)
        for item in items:
            if run is None or item.seq != run.first + len(run.times) or len(run.times) == _WORK_EVENTS:
                if run is not None:
                    yield _work_row(*stream, run)
                run = runs[stream] = _Run(item.seq, [])
            run.times.append(item.event.ts)
    for stream, run in runs.items():
        yield _work_row(*stream, run)


def _work_row(kind: Kind | None, device: str, boot: str, run: _Run) -> bytes:
    first, *others = map(_micros, run.times)
    return _work_head(_QUEUED[kind] if kind else "", device, boot) + _sequence(8, run.first, 8, first) + _times(others)


def _times(micros: Sequence[int]) -> bytes:
    """Return a timestamptz[]: its dimensions, whether it holds NULLs, its element type, its length and lower bound."""
    if not micros:
        return _NO_INSTANTS
    values = _instants[len(micros)](*chain.from_iterable((8, one) for one in micros))
    return _array(20 + len(values), 1, 0, _TIMESTAMPTZ, len(micros), 1) + values


def _values(event: Event) -> bytes:
    if type(event) is Stock:
        numbers = _stock(4, event.grams, 4, event.units, 4, event.confidence)
        seen = _NO_FACINGS if event.facings is None else _seen(event.facings)
        return _channel(2, event.channel) + _known(event.gtin) + numbers + _known(event.fault) + seen
    if type(event) is Environment:
        humidity = _NULL if event.humidity is None else _single(4, event.humidity)
        mean = _NULL if event.mean_kinetic_c is None else _single(4, event.mean_kinetic_c)
        door = _NULL if event.door_open is None else _flag(1, event.door_open)
        return _single(4, event.temperature_c) + humidity + mean + door + _known(event.alarm)
    if type(event) is Status:
        depth = _instant(8, event.outbox_depth)
        return _known(event.state) + _known(event.firmware) + depth + _dropped(event.dropped)
    raise ValueError(f"no table holds a {type(event).__name__}")


def _seen(facings: Facings) -> bytes:
    counts = (2, facings.filled, 2, facings.empty, 2, facings.unseen, 2, facings.strange)
    return _facings(*counts, 4, facings.share)


def _circumstances(scan: Scan) -> bytes:
    """Return where a scan was made and the hash of its picture, as far as they are known."""
    where = _NULL * 5 if scan.position is None else _position(scan.position)
    image = bytes.fromhex(scan.image)
    return where + (_size(len(image)) + image if image else _NULL)


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
def _head(columns: int, device: str, boot: str, site: str) -> bytes:
    return _count(columns) + _text(device) + _size(16) + bytes.fromhex(boot) + _text(site)


@lru_cache(maxsize=4096)
def _work_head(kind: str, device: str, boot: str) -> bytes:
    return _count(_WORK_COLUMNS) + _text(kind) + _text(device) + _size(16) + bytes.fromhex(boot)
