"""What has to be done beside storing, by one worker of all and never on the thread that stores."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import psycopg
import structlog
from psycopg import Connection

from ingest.commands import Order
from ingest.landing.decode import Clock
from ingest.landing.rows import moment
from ingest.landing.writer import connect
from ingest.metrics import Metrics
from ingest.mqtt.consumer import BrokerError
from ingest.queries import QUERIES
from ingest.settings import IngestSettings
from ingest.upkeep import gaps, retention, rollups

_KEY: Final = 0x75706B70  # any constant: whoever holds it does the upkeep
_RETENTION_EVERY_SECONDS: Final = 3600.0

log = structlog.get_logger(__name__)


class Round(NamedTuple):
    """What one round did."""

    buckets: int
    asked: int
    gaps: int
    alerted: int
    expired: dict[str, int]


class Upkeep:
    """Rolls up, watches for gaps and removes what is old, over one connection that holds an advisory lock.

    `send` publishes orders to devices. One that is lost on the way is given again, since its gap stays open.
    """

    def __init__(
        self, settings: IngestSettings, clock: Clock, send: Callable[[Sequence[Order]], None], metrics: Metrics
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._send = send
        self._metrics = metrics.upkeep
        self._connection: Connection | None = None
        self._next_retention = 0.0

    def run(self, stop: threading.Event) -> None:
        """Do a round every `maintenance_seconds` until `stop` is set; what fails is tried again the next time."""
        while not stop.wait(self._settings.maintenance_seconds):
            try:
                self.round()
            except (psycopg.Error, BrokerError) as error:
                self._metrics.failures.inc()
                log.warning(
                    "upkeep was given up until the next round", action="ingest.upkeep", error=str(error).strip()
                )
                self.close()
        self.close()

    def round(self) -> Round | None:
        """Do what is due; None if another worker does it. Raises `psycopg.Error` or `BrokerError`."""
        connection = self._held()
        if connection is None:
            return None
        now = moment(self._clock())
        buckets = rollups.roll_up(connection)
        self._metrics.buckets.inc(buckets)
        seen = self._watch(connection, now)
        return Round(buckets, len(seen.orders), seen.open, seen.alerted, self._expire(connection, now))

    def close(self) -> None:
        """Let another worker take over."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _held(self) -> Connection | None:
        """Return the connection if it holds the lock; a session has it until it ends."""
        if self._connection is None:
            url = self._settings.database_url.get_secret_value()
            connection = connect(url, f"codefence {self._settings.client_id} upkeep")
            if connection.execute(QUERIES["try_upkeep"], {"key": _KEY}).fetchone() != (True,):
                connection.close()
                return None
            connection.execute(QUERIES["patience_of_upkeep"])
            self._connection = connection
        return self._connection

    def _watch(self, connection: Connection, now: datetime) -> gaps.Watch:
        with connection.transaction():
            seen = gaps.watch(connection, timedelta(seconds=self._settings.gap_seconds), now)
            if seen.orders:
                self._send(seen.orders)
        self._metrics.resends.inc(len(seen.orders))
        self._metrics.gaps.set(seen.open)
        self._metrics.alerts.set(seen.alerted)
        return seen

    def _expire(self, connection: Connection, now: datetime) -> dict[str, int]:
        if time.monotonic() < self._next_retention:
            return {}
        days = self._settings.retention_days
        keep = {"scan": days, "stock": days, "status": days, "environment": self._settings.environment_retention_days}
        expired = retention.expire(connection, keep, now)
        expired |= retention.expire_records(connection, self._settings.record_retention_days, now)
        if not expired:
            self._next_retention = time.monotonic() + _RETENTION_EVERY_SECONDS
        for kind, number in expired.items():
            self._metrics.expired.labels(kind).inc(number)
        if expired:
            log.info("what is old was removed", action="ingest.expired", **expired)
        return expired
