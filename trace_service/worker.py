"""The worker: claims queued work, a batch a transaction, and never loses or repeats any of it.

Work leaves the queue in the transaction that writes its results, so a worker killed at any point leaves nothing half
done. Several workers share a queue: they skip what another has claimed.
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import uuid4

import psycopg
import structlog
from psycopg import errors

from contracts.errors import ConfigurationError
from geofence.maps import AtomMap
from trace_service.detection.live.network import load_network
from trace_service.detection.live.snapshots import Snapshots
from trace_service.domain.events import Source
from trace_service.health import WorkerHealth
from trace_service.keys import KeyWrapper
from trace_service.processing.books import Books
from trace_service.processing.follow import Live
from trace_service.processing.scans import process_again, process_scans
from trace_service.replenishment.again import propose_again
from trace_service.replenishment.suspects import process_suspects
from trace_service.steady import Pace, Steady
from trace_service.stock.live import process_moves, process_queued_moves, process_readings
from trace_service.stock.silence import Silence
from trace_service.store.connection import Connection, connect
from trace_service.store.queries import SQL
from trace_service.store.rows import recordset
from trace_service.trips.judging import TripBench

BATCH_SIZE: Final = 250
AGAIN_SIZE: Final = 100
# What scans that come meanwhile may wait for it.
AGAIN_SECONDS: Final = 0.05
POLL_SECONDS: Final = 1.0
LARGEST_BACKOFF_SECONDS: Final = 15.0
_ATTEMPTS: Final = 8
_SHORT_SECONDS: Final = 60.0
# Another worker was in the way; the same work succeeds a moment later.
_CONTENTION = (errors.SerializationFailure, errors.DeadlockDetected, errors.LockNotAvailable)
# Not one piece of work's fault: setting work aside for it would empty the queue into the quarantine.
_SYSTEMIC = (psycopg.OperationalError, psycopg.ProgrammingError, ConfigurationError)

log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """One process's worth of work; `run` blocks until `stop` is set."""

    def __init__(  # noqa: PLR0913  the parts that a process puts together, by name where they are seldom given
        self,
        dsn: str,
        keys: KeyWrapper,
        atoms: AtomMap,
        stop: threading.Event,
        health: WorkerHealth | None = None,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._dsn = dsn
        self._clock = clock
        self._health = health or WorkerHealth()
        self._keys = keys
        self._books = Books(atoms)
        snapshots = Snapshots(dsn, keys.derived("codefence engine snapshot"))
        self._live = Live(partial(load_network, atoms=atoms), _tell, snapshots)
        self._trips = TripBench()
        self._steady = Steady()
        self._silence = Silence()
        self._again_pace = Pace(AGAIN_SECONDS, AGAIN_SIZE)
        self._stop = stop

    def run(self) -> None:
        """Work until told to stop; while the database is away, try again ever more slowly."""
        failures = 0
        while not self._stop.is_set():
            try:
                with connect(self._dsn, "trace worker") as connection:
                    log.info("connected", action="worker.connected")
                    failures = 0
                    self._health.connected.set(1)
                    self._serve(connection)
            except psycopg.OperationalError as error:
                self._health.connected.set(0)
                self._health.moved()  # it waits for the database, which is no fault of its own
                failures += 1
                wait = min(LARGEST_BACKOFF_SECONDS, 0.25 * 2**failures) * random.uniform(0.5, 1.0)  # noqa: S311  jitter
                log.warning("no database", action="worker.retry", error=str(error), seconds=round(wait, 2))
                self._stop.wait(wait)
        log.info("stopped", action="worker.stopped")

    def drain(self, connection: Connection) -> int:
        """Work until the queue is empty or another worker has the rest; return how many pieces were done."""
        total = 0
        while not self._stop.is_set():
            done = self._one_batch(connection) or self._count_again(connection) or self._judge_again(connection)
            done = done or self._propose_again(connection)
            done += self._trips.work(connection)
            total += done
            done += self._watch(connection)
            self._health.moved(done)
            self._steady.between(connection, done)
            if not done:
                break
        return total

    def _watch(self, connection: Connection) -> int:
        """Let the engines take in what was decided; a fault of theirs holds up no scan."""
        began = time.perf_counter()
        try:
            done = self._live.follow(connection)
        except _SYSTEMIC:
            raise
        except Exception:
            log.exception("an engine cannot go on; its log is fed again", action="worker.engine_failed")
            return 0
        if done:
            self._health.engine_seconds.observe(time.perf_counter() - began)
        return done

    def _serve(self, connection: Connection) -> None:
        self._live.forget()
        connection.execute("LISTEN work")
        while not self._stop.is_set():
            self.drain(connection)
            self._live.close_days(connection)
            oldest = connection.execute(SQL["oldest_work"]).fetchone()
            self._health.lag_seconds.set(oldest.seconds if oldest else 0)
            # What waits may be what a shelf said.
            if (oldest is None or oldest.seconds < _SHORT_SECONDS) and self._silence.is_due(now := time.monotonic()):
                with connection.transaction():
                    _tell(connection, self._silence.look(connection, now))
            for _ in connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                pass
        self._live.keep(connection)

    def _one_batch(self, connection: Connection) -> int:
        ids: list[int] = []
        try:
            return self._with_retries(connection, SQL["claim"], {"limit": BATCH_SIZE}, ids)
        except _SYSTEMIC:
            raise
        except Exception:  # noqa: BLE001  the boundary: whatever one piece of work does, the others go on
            log.warning("a batch failed; looking for the piece that is to blame", action="worker.bisect", size=len(ids))
            self._bisect(connection, ids)
            return len(ids)

    def _count_again(self, connection: Connection) -> int:
        """Count stock that moved by other ways than scans."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with connection.transaction():
                    done, told = process_queued_moves(connection, self._keys)
                    _tell(connection, told)
            except _CONTENTION:
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311  jitter
            else:
                return done
        return 0

    def _propose_again(self, connection: Connection) -> int:
        """Look at proposals after approvals, counts, recalls and alerts, once nothing waits that may move goods."""
        total = 0
        for work in (propose_again, process_suspects):
            # Each takes its locks in one order; both in one transaction could end in a deadlock.
            with connection.transaction():
                done, told = work(connection)
                _tell(connection, told)
            total += done
        return total

    def _judge_again(self, connection: Connection) -> int:
        """Judge units again that a late event or a correction concerns; new work goes before them."""
        for size in (self._again_pace.size, 1):
            began = time.perf_counter()
            try:
                done = self._with_retries(connection, SQL["claim_reevaluations"], {"limit": size}, [], self._again)
                self._again_pace.took(done, time.perf_counter() - began)
            except _SYSTEMIC:
                raise
            except Exception:
                log.exception("units cannot be judged again", action="worker.again_failed", size=size)
            else:
                return done
        with connection.transaction():
            for row in connection.execute(SQL["claim_reevaluations"], {"limit": 1}).fetchall():
                keys = {"device": "reevaluation", "boot": uuid4(), "seq": 0, "ts": row.since}
                connection.execute(SQL["quarantine_claimed"], {**keys, "code": row.unit, "detail": "see the log"})
        return 1

    def _again(self, connection: Connection, claimed: Sequence[Any]) -> None:
        if claimed:
            news = process_again(
                connection, self._keys, self._books, {row.unit: row.since for row in claimed}, self._clock()
            )
            _tell(connection, news.told)
            log.info("judged again", action="worker.again", units=len(claimed))

    def _bisect(self, connection: Connection, ids: Sequence[int]) -> None:
        for part in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
            if not part:
                continue
            try:
                self._with_retries(connection, SQL["claim_these"], {"ids": list(part)}, [])
            except _SYSTEMIC:
                raise
            except Exception as error:
                if len(part) > 1:
                    self._bisect(connection, part)
                elif halves := _split(connection, part[0]):
                    self._bisect(connection, halves)
                else:
                    log.exception("a piece of work cannot be done", action="worker.poison", work=part[0])
                    _set_aside(connection, part[0], error)
                    self._health.set_aside.inc()

    def _with_retries(
        self,
        connection: Connection,
        claim: Any,  # noqa: ANN401  a literal string, of which psycopg alone has the type
        query: dict[str, Any],
        ids: list[int],
        process: Callable[[Connection, Sequence[Any]], None] | None = None,
    ) -> int:
        for attempt in range(1, _ATTEMPTS + 1):
            ids.clear()
            try:
                with connection.transaction():
                    claimed = connection.execute(claim, query).fetchall()
                    if process is not None:
                        process(connection, claimed)
                        return len(claimed)
                    ids.extend(dict.fromkeys(row.id for row in claimed))
                    self._process(connection, claimed)
            except _CONTENTION as error:
                if attempt == _ATTEMPTS:
                    raise
                log.info("another worker was in the way", action="worker.contention", error=type(error).__name__)
                time.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311  jitter
            else:
                return len(claimed)
        return 0

    def _process(self, connection: Connection, claimed: Sequence[Any]) -> None:
        if not claimed:
            return
        began = time.perf_counter()
        scans = [row for row in claimed if row.kind == "scan"]
        readings = [row for row in claimed if row.kind == "stock"]
        told: set[tuple[str, str]] = set()
        if scans:
            news = process_scans(connection, self._keys, self._books, scans)
            cause = Source(scans[-1].device, scans[-1].boot, scans[-1].seq)
            told |= news.told | process_moves(connection, self._keys, news.moved, cause)
        if readings:
            told |= process_readings(connection, readings)
        _tell(connection, told)
        took = time.perf_counter() - began
        self._health.batch_seconds.observe(took)
        log.info("batch", action="worker.batch", scans=len(scans), readings=len(readings), ms=round(1000 * took))


def _tell(connection: Connection, told: Collection[tuple[str, str]]) -> None:
    payloads = [recordset([{"kind": kind, "brand": brand}])[1:-1] for kind, brand in sorted(told)]
    connection.execute(SQL["tell_console"], {"payloads": payloads})


def _split(connection: Connection, work: int) -> list[int]:
    """Make two rows of a queued one that holds several events; none if it holds one."""
    return [row.id for row in connection.execute(SQL["split_work"], {"id": work})]


def _set_aside(connection: Connection, work: int, error: Exception) -> None:
    """Move one piece of work from the queue to the quarantine, with what went wrong."""
    with connection.transaction():
        row = connection.execute(SQL["claim_these"], {"ids": [work]}).fetchone()
        if row is None:
            return
        keys = {"device": row.device, "boot": row.boot, "seq": row.seq, "ts": row.ts}
        code = connection.execute(SQL["claimed_code"], keys).fetchone()
        detail = f"{type(error).__name__}: {error}"[:500]
        connection.execute(SQL["quarantine_claimed"], {**keys, "code": code[0] if code else "", "detail": detail})
