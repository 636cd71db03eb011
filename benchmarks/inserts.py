"""Ways into one table: ingest's own write beside unnest, a temporary table, and COPY that checks nothing."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier, Placeholder

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.messages import messages
from benchmarks.load.servers import commits_per_s, servers
from contracts.messages import Scan
from ingest.landing.decode import Decoded, decode
from ingest.landing.packed import event_copies
from ingest.landing.store import store_alone
from ingest.queries import QUERIES

_TARGETS: Final = {"ingest_to_copy_10000": Target(">=", 0.55)}
_SIZES: Final = {10: 60, 100: 40, 1_000: 12, 10_000: 3}
"""Batch sizes, and how many batches of each."""
_MESSAGE_EVENTS: Final = 10
_ROUNDS: Final = 5
_COLUMNS: Final = (
    "device, boot, seq, ts, sent_at, received_at, content, site, code, symbology, aim, activity, reference, parent, "
    "recipient, operator"
)
_TYPES: Final = ("text", "uuid", "int8", *("timestamptz",) * 3, "int8", *("text",) * 9)
_UNNEST: Final = SQL("INSERT INTO landing.scan ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING").format(
    SQL(_COLUMNS), SQL(", ").join(SQL("{}::{}[]").format(Placeholder(), Identifier(one)) for one in _TYPES)
)
_COPY: Final = SQL("COPY landing.scan ({}) FROM STDIN (FORMAT binary)").format(SQL(_COLUMNS))
_TEMPORARY: Final[LiteralString] = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS fresh (LIKE landing.scan) ON COMMIT DELETE ROWS"
)
_FROM_TEMPORARY: Final[LiteralString] = "INSERT INTO landing.scan SELECT * FROM fresh ON CONFLICT DO NOTHING"

Batch = Sequence[Decoded]
Row = tuple[object, ...]


def run(progress: Progress) -> Outcome:
    """Write the same kind of batches in every way, in turns; figures are medians over the rounds, so are the ratios."""
    ways: dict[str, Callable[[Connection, Batch], None]] = {
        "ingest": _ingest,
        "unnest": _unnest,
        "temporary_table": _temporary,
        "copy": _copy,
        "copy_by_adapters": _copy_by_adapters,
    }
    figures: dict[str, Figure] = {}
    with servers() as parts, psycopg.connect(parts.owner_dsn, autocommit=True) as connection:
        figures["disk.commits_per_s"] = round(commits_per_s(parts.owner_dsn))
        for size, count in _SIZES.items():
            progress(f"batches of {size}")
            rates: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(_ROUNDS):
                for name, way in ways.items():
                    rates[name].append(_rate(connection, way, list(_batches(size, count))))
            figures |= {f"{name}_{size}.rows_per_s": round(statistics.median(rate)) for name, rate in rates.items()}
            ceilings = map(max, rates["copy"], rates["copy_by_adapters"])
            ratios = [ours / ceiling for ours, ceiling in zip(rates["ingest"], ceilings, strict=True)]
            figures[f"ingest_to_copy_{size}"] = statistics.median(ratios)
            figures[f"ingest_to_copy_{size}_range"] = f"{min(ratios):.2f}-{max(ratios):.2f}"
        figures["disk.commits_per_s_after"] = round(commits_per_s(parts.owner_dsn))
    return Outcome(figures, _TARGETS)


def _batches(size: int, count: int) -> Iterator[Batch]:
    """Yield decoded batches of `size` events; decoding is not part of what is measured."""
    now = time.time_ns() // 1_000_000
    events = min(size, _MESSAGE_EVENTS)
    source = (decode(one.topic, one.payload, now) for one in messages(size * count // events, events))
    while batch := list(islice(source, size // events)):
        yield batch


def _rate(connection: Connection, way: Callable[[Connection, Batch], None], batches: Sequence[Batch]) -> float:
    connection.execute("TRUNCATE landing.scan, landing.work, landing.received, landing.rollup_dirty")
    connection.execute("CHECKPOINT")
    started = time.perf_counter()
    for batch in batches:
        if way is _ingest:
            way(connection, batch)
        else:
            with connection.transaction():
                way(connection, batch)
    rows = sum(len(message.items) for batch in batches for message in batch)
    return rows / (time.perf_counter() - started)


def _ingest(connection: Connection, batch: Batch) -> None:
    """Everything that ingest does: registry, received ranges, events, work, rollups, devices, and the commit."""
    store_alone(connection, batch)


def _copy(connection: Connection, batch: Batch) -> None:
    """Copy the rows alone, packed as ingest packs them."""
    with connection.cursor().copy(QUERIES["copy_scan"]) as copy:
        for piece in _packed(batch):
            copy.write(piece)


def _copy_by_adapters(connection: Connection, batch: Batch) -> None:
    """Copy the rows alone, each value adapted by psycopg."""
    with connection.cursor().copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for row in _rows(batch):
            copy.write_row(row)


def _unnest(connection: Connection, batch: Batch) -> None:
    """Insert arrays, one a column; the table's key finds duplicates."""
    columns = [list(column) for column in zip(*_rows(batch), strict=True)]
    connection.cursor(binary=True).execute(_UNNEST, columns)


def _temporary(connection: Connection, batch: Batch) -> None:
    """Copy into a temporary table and insert from there; the table's key finds duplicates."""
    cursor = connection.cursor()
    cursor.execute(_TEMPORARY)
    with cursor.copy(QUERIES["copy_scan"].replace("landing.scan", "fresh")) as copy:
        for piece in _packed(batch):
            copy.write(piece)
    cursor.execute(_FROM_TEMPORARY)


def _packed(batch: Batch) -> Iterable[bytes]:
    return dict(event_copies([(message, message.items) for message in batch]))["copy_scan"]


def _rows(batch: Batch) -> Iterator[Row]:
    for message in batch:
        boot, site = UUID(message.boot), message.site
        sent, received = _moment(message.sent_at), _moment(message.received_at)
        for item in message.items:
            scan = item.event
            if isinstance(scan, Scan):
                texts = (scan.code, scan.symbology, scan.aim, scan.activity.value, scan.reference, scan.parent)
                identity = (message.device, boot, item.seq, _moment(scan.ts), sent, received, item.content, site)
                yield (*identity, *texts, scan.to, scan.operator)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
