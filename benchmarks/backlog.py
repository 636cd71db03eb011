"""A million events that waited at the edge drain while people go on scanning: how fast, how long live scans take."""

import logging
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
import structlog
from pydantic import SecretStr

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.messages import DEVICES, SITE, scan_body
from benchmarks.load.process import Subject, running
from benchmarks.load.servers import Servers, commits_per_s, servers
from cli.installation import codefence
from contracts.messages import Ack
from contracts.topics import Kind
from edge.outbox import Draft, Outbox, Row, Settled
from edge.outbox.outbox import now_ms
from edge.settings import AgentSettings
from edge.uplink import Uplink

_TARGETS: Final = {
    "live_to_ack_p99_ms": Target("<=", 1000.0),
    "stored_twice": Target("==", 0),
    "lost": Target("==", 0),
    "ingest.peak_mib": Target("<=", 150.0),
}
_STATIONS: Final = 8
_WAITING: Final = 1_000_000
_EACH: Final = _WAITING // _STATIONS
_CHUNK: Final = 5000
_LIVE_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.2
_STUCK_SECONDS: Final = 300.0


def run(progress: Progress) -> Outcome:
    """Fill outboxes, let their uplinks drain them through a broker and ingest, and scan meanwhile."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    numbers = count()
    figures: dict[str, Figure] = {"stations": _STATIONS, "waiting": _WAITING}
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as name, servers() as parts:
        figures |= {"broker": parts.broker_name, "disk.commits_per_s": round(commits_per_s(parts.owner_dsn))}
        folders = [Path(name, device) for device in DEVICES[:_STATIONS]]
        started = time.monotonic()
        for folder in folders:
            _fill(folder, numbers)
            progress(f"{folder.name}: {_EACH:,} scans wait")
        figures["filled_per_s"] = round(_WAITING / (time.monotonic() - started))
        with _ingest(parts) as ingest, ExitStack() as stack:
            stations = [stack.enter_context(_station(folder, parts)) for folder in folders]
            live, seconds = _drain(stations, numbers, progress)
            peak = ingest.peak_mib()
        figures |= {"drained_per_s": round(_WAITING / seconds), "live_scans": len(live), "ingest.peak_mib": peak}
        figures |= _stored(parts, _WAITING + len(live))
    cuts = statistics.quantiles(live, n=100)
    figures |= {"live_to_ack_p50_ms": cuts[49], "live_to_ack_p99_ms": cuts[98], "live_to_ack_worst_ms": max(live)}
    return Outcome(figures, _TARGETS)


class Watched(Outbox):
    """An outbox that notes how long each scan added by `scan` took to its settled acknowledgement."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, limit=2 * _EACH)
        self._added: dict[bytes, float] = {}
        self._going: dict[int, bytes] = {}
        self.taken_ms: list[float] = []

    @property
    def open_scans(self) -> int:
        """How many live scans have no acknowledgement yet."""
        return len(self._added)

    def scan(self, number: int) -> None:
        """Keep one live scan."""
        now = now_ms()
        body = scan_body(now, number)
        self._added[body] = time.monotonic()
        self.add([Draft(Kind.SCAN, body, now)])

    def take(self, limit: int, *, after: int = 0, except_ids: Collection[int] = ()) -> list[Row]:
        """Return waiting rows, and remember which of them are live."""
        rows = super().take(limit, after=after, except_ids=except_ids)
        self._going |= {row.id: row.body for row in rows if row.boot == self.boot and row.kind is Kind.SCAN}
        return rows

    def settle(self, ack: Ack) -> Settled:
        """Take note of an acknowledgement, and of how long its live scans took."""
        settled = super().settle(ack)
        now = time.monotonic()
        for row in settled.ids:
            if row in self._going:
                self.taken_ms.append((now - self._added.pop(self._going.pop(row))) * 1e3)
        return settled


def _fill(folder: Path, numbers: Iterator[int]) -> None:
    with Outbox(folder / "outbox.db", limit=2 * _EACH) as outbox:
        for _ in range(_EACH // _CHUNK):
            now = now_ms()
            outbox.add([Draft(Kind.SCAN, scan_body(now, next(numbers)), now) for _ in range(_CHUNK)])


@contextmanager
def _station(folder: Path, parts: Servers) -> Iterator[Watched]:
    settings = AgentSettings(
        device=folder.name,
        site=SITE,
        data=folder,
        broker_port=parts.port,
        broker_user="load",
        broker_password=SecretStr(parts.password),
    )
    with Watched(folder / "outbox.db") as outbox:
        uplink = Uplink(settings, outbox, "bench", lambda: None)
        uplink.start()
        yield outbox
        uplink.stop(5)


def _drain(stations: list[Watched], numbers: Iterator[int], progress: Progress) -> tuple[list[float], float]:
    """Scan on every station five times a second until its backlog is gone; return the live scans' ms, and seconds."""
    over = threading.Event()

    def scan(station: Watched) -> None:
        while not over.wait(_LIVE_SECONDS):
            station.scan(next(numbers))

    threads = [threading.Thread(target=scan, args=(station,)) for station in stations]
    started = told = time.monotonic()
    for thread in threads:
        thread.start()
    while (left := sum(station.depth for station in stations)) > _STATIONS * 2:
        time.sleep(_POLL_SECONDS)
        if time.monotonic() - told > 5:  # noqa: PLR2004 - seconds between lines
            told = time.monotonic()
            progress(f"{left:,} events wait")
        if told - started > _STUCK_SECONDS:
            break
    seconds = time.monotonic() - started
    over.set()
    for thread in threads:
        thread.join()
    while any(station.open_scans for station in stations):
        time.sleep(_POLL_SECONDS)
    return [taken for station in stations for taken in station.taken_ms], seconds


@contextmanager
def _ingest(parts: Servers) -> Iterator[Subject]:
    environment = {
        "PATH": os.defpath,
        "INGEST_DATABASE_URL": parts.ingest_dsn,
        "INGEST_BROKER_PORT": str(parts.port),
        "INGEST_BROKER_PASSWORD": parts.password,
    }
    with running(codefence("ingest", "run"), environment) as subject:
        subject.wait_for_line("ingest.connected")
        yield subject


def _stored(parts: Servers, sent: int) -> dict[str, Figure]:
    """Return how many of the scans are not in the database, and how many more than once; each has a code of its own."""
    with psycopg.connect(parts.owner_dsn) as connection:
        rows, codes = connection.execute("SELECT count(*), count(DISTINCT code) FROM landing.scan").fetchone() or (0, 0)
    return {"lost": sent - codes, "stored_twice": rows - codes}
