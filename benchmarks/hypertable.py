"""Ingest's writes into TimescaleDB's hypertables beside the same into plain tables, on one server."""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import psycopg
from psycopg import Connection

from benchmarks.frame import DataMissingError, Figure, Outcome, Progress, Target
from benchmarks.load.messages import DEVICES, SITE, messages
from cli.embedded import timescale
from cli.embedded.postgres import create_database
from ingest.landing.decode import Decoded, decode
from ingest.landing.packed import event_copies
from ingest.landing.writer import Writer
from ingest.queries import QUERIES
from trace_service.schema.migrate import Roles, migrate

_TARGETS: Final = {"hypertable_to_plain_1000": Target(">=", 0.85)}
_SIZES: Final = {100: 40, 1_000: 15, 10_000: 3}
"""Batch sizes, and how many batches of each."""
_MESSAGE_EVENTS: Final = 10
_ROUNDS: Final = 7

Batch = Sequence[Decoded]


class Side(NamedTuple):
    """One of the two databases, for administration and for ingest."""

    connection: Connection
    writer: Writer

    def close(self) -> None:
        """Close both connections."""
        self.writer.close()
        self.connection.close()


Way = Callable[[Side, Batch], None]


def run(progress: Progress) -> Outcome:
    """Write the same batches into both in turn; figures are rows per second, the best of seven rounds."""
    lacking = timescale.unavailable()
    if lacking:
        raise DataMissingError("TimescaleDB is not at hand", advice=lacking)
    figures: dict[str, Figure] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="codefence-bench-")))
        server = timescale.TimescaleServer(folder, progress)
        stack.callback(server.remove)
        dsn = server.start().dsn
        sides = {name: _prepared(dsn(), dsn(name), name) for name in ("hypertable", "plain")}
        for side in sides.values():
            stack.callback(side.close)
        # What stays of a hypertable without the extension is a plain table with the same columns and indexes.
        sides["plain"].connection.execute("DROP EXTENSION timescaledb CASCADE")
        for size, count in _SIZES.items():
            progress(f"batches of {size}")
            for prefix, way in (("", _ingest), ("copy_", _copy)):
                rates, ratio = _rates(sides, way, partial(_batches, size, count))
                figures |= {f"{prefix}{kind}_{size}.rows_per_s": round(rate) for kind, rate in rates.items()}
                figures[f"{prefix}hypertable_to_plain_{size}"] = ratio
    return Outcome(figures, _TARGETS)


def _prepared(server_dsn: str, dsn: str, name: str) -> Side:
    create_database(server_dsn, name)
    migrate(dsn, Roles(ingest=secrets.token_urlsafe(12), trace=secrets.token_urlsafe(12)))
    connection = psycopg.connect(dsn, autocommit=True)
    with connection.cursor() as cursor:
        register = "INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')"
        cursor.executemany(register, [(device, SITE) for device in DEVICES])
    return Side(connection, Writer(dsn, name))


def _rates(
    sides: Mapping[str, Side], way: Way, batches: Callable[[], Iterator[Batch]]
) -> tuple[dict[str, float], float]:
    """Return each side's best rate, and the median over the rounds of how one compares with the other."""
    rounds = []
    for number in range(_ROUNDS):
        # In turn, so that neither always has the quieter disk.
        order = sorted(sides, reverse=bool(number % 2))
        rounds.append({name: _rate(sides[name], way, list(batches())) for name in order})
    best = {name: max(one[name] for one in rounds) for name in sides}
    return best, median(one["hypertable"] / one["plain"] for one in rounds)


def _batches(size: int, count: int) -> Iterator[Batch]:
    """Yield decoded batches of `size` events; decoding is not part of what is measured."""
    now = time.time_ns() // 1_000_000
    source = (decode(one.topic, one.payload, now) for one in messages(size * count // _MESSAGE_EVENTS, _MESSAGE_EVENTS))
    while batch := list(islice(source, size // _MESSAGE_EVENTS)):
        yield batch


def _rate(side: Side, way: Way, batches: Sequence[Batch]) -> float:
    side.connection.execute("TRUNCATE landing.scan, landing.work, landing.received, landing.rollup_dirty")
    way(side, batches[0])  # makes the day's chunk, which lasts for a day
    side.connection.execute("CHECKPOINT")
    started = time.perf_counter()
    for batch in batches[1:]:
        way(side, batch)
    rows = sum(len(message.items) for batch in batches[1:] for message in batch)
    return rows / (time.perf_counter() - started)


def _ingest(side: Side, batch: Batch) -> None:
    """Everything that ingest does: registry, received ranges, events, queue of work, rollups, devices."""
    side.writer.write(batch)


def _copy(side: Side, batch: Batch) -> None:
    """Copy the rows alone, packed as ingest packs them."""
    with side.connection.cursor().copy(QUERIES["copy_scan"]) as copy:
        for piece in dict(event_copies([(message, message.items) for message in batch]))["copy_scan"]:
            copy.write(piece)
