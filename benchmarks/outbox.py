"""Events to disk at the edge: group commits with fsync beside one by one, and beside SQLite without any fsync."""

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.messages import scan_body
from contracts.topics import Kind
from edge.outbox import Draft, Outbox
from edge.outbox.outbox import now_ms

_TARGETS: Final = {"outbox.hundreds.rows_per_s": Target(">=", 20_000)}
_ROUNDS: Final = 3
_SECONDS: Final = 1.0
_CALLERS: Final = 10
_LIMIT: Final = 5_000_000
_PAGE: Final = bytes(4096)


def run(progress: Progress) -> Outcome:
    """Fill outboxes in one folder, each way in turn, and return the best of three rounds."""
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as name:
        folder = Path(name)
        figures["disk"] = _file_system(folder)
        figures["disk.fsyncs_per_s"] = round(_fsyncs_per_s(folder))
        for number in range(_ROUNDS):
            for way, measure in _WAYS.items():
                place = folder / f"{way}-{number}"
                place.mkdir()
                os.sync()  # an fsync would also wait for what the way before it left behind
                rate = round(measure(place))
                progress(f"round {number + 1}: {way} {rate:,} rows/s")
                figures[f"{way}.rows_per_s"] = max(rate, int(figures.get(f"{way}.rows_per_s", 0)))
        figures["disk.fsyncs_per_s_after"] = round(_fsyncs_per_s(folder))
    return Outcome(figures, _TARGETS)


def _grouped(size: int) -> Callable[[Path], float]:
    def measure(folder: Path) -> float:
        """Add `size` events a call, from one thread."""
        with Outbox(folder / "outbox.db", limit=_LIMIT) as outbox:
            return _rate(lambda: len(outbox.add(_drafts(size))))

    return measure


def _crowd(folder: Path) -> float:
    """Add events one at a time from several threads."""
    with Outbox(folder / "outbox.db", limit=_LIMIT) as outbox:
        counts = [0.0] * _CALLERS

        def work(place: int) -> None:
            counts[place] = _rate(lambda: len(outbox.add(_drafts(1))))

        threads = [threading.Thread(target=work, args=(place,)) for place in range(_CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts)


def _naive(synchronous: str) -> Callable[[Path], float]:
    def measure(folder: Path) -> float:
        """Insert into a plain table, a commit for every row, as one would at first."""
        database = sqlite3.connect(folder / "naive.db", isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        database.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        # The log grows to its lasting size first: an fsync of a file that grows is several times slower.
        database.execute("INSERT INTO event (body) VALUES (zeroblob(6000000))")
        database.execute("DELETE FROM event")
        database.execute("PRAGMA wal_checkpoint(RESTART)")

        def insert() -> int:
            database.execute("INSERT INTO event (body) VALUES (?)", (scan_body(now_ms(), 1),))
            return 1

        rate = _rate(insert)
        database.close()
        return rate

    return measure


_WAYS: Final[dict[str, Callable[[Path], float]]] = {
    "outbox.one_by_one": _grouped(1),
    "outbox.tens": _grouped(10),
    "outbox.hundreds": _grouped(100),
    f"outbox.{_CALLERS}_callers": _crowd,
    "naive.synchronous_full": _naive("FULL"),
    "naive.synchronous_off": _naive("OFF"),
}


def _drafts(count: int) -> list[Draft]:
    now = now_ms()
    return [Draft(Kind.SCAN, scan_body(now, number), now) for number in range(count)]


def _rate(work: Callable[[], int]) -> float:
    """Repeat the work for a second and return how much of it a second takes; building the events is part of it."""
    done, started = 0, time.monotonic()
    while (elapsed := time.monotonic() - started) < _SECONDS:
        done += work()
    return done / elapsed


def _fsyncs_per_s(folder: Path) -> float:
    """Return how often a second a page can be appended and forced to the disk: the bound of every commit."""
    file = os.open(folder / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append() -> int:
        os.write(file, _PAGE)
        os.fsync(file)
        return 1

    rate = _rate(append)
    os.close(file)
    return rate


def _file_system(folder: Path) -> str:
    """Return the device and file system that a folder lies on."""
    mounts = [line.split()[:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    over = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    device, _, kind = max(over, key=lambda mount: len(mount[1]))
    return f"{device} ({kind})"
