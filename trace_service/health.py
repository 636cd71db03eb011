"""What a worker tells of itself: whether it is connected, how far behind it is, and whether it still moves."""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

STALLED_SECONDS: Final = 120.0


class WorkerHealth:
    """The metrics of one worker, in a registry of their own.

    A worker counts as stalled when it has neither done nor looked for work for two minutes.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._moved_at = time.monotonic()
        self.connected = Gauge(
            "codefence_worker_connected", "1 while connected to the database.", registry=self.registry
        )
        self.lag_seconds = Gauge(
            "codefence_worker_lag_seconds", "Age of the oldest piece of work in the queue.", registry=self.registry
        )
        self.pieces = Counter("codefence_worker_pieces", "Pieces of work that were done.", registry=self.registry)
        self.set_aside = Counter(
            "codefence_worker_set_aside", "Pieces of work that could not be done and were kept.", registry=self.registry
        )
        self.batch_seconds = Histogram(
            "codefence_worker_batch_seconds", "Time to decide about one batch.", registry=self.registry
        )
        self.engine_seconds = Histogram(
            "codefence_worker_engine_seconds", "Time for the engines to take in what was decided.",
            registry=self.registry,
        )  # fmt: skip
        Gauge(
            "codefence_worker_stalled", "1 when it has not moved for two minutes.", registry=self.registry
        ).set_function(lambda: float(self.is_stalled))

    @property
    def is_stalled(self) -> bool:
        """Whether it has not moved for too long."""
        return time.monotonic() - self._moved_at > STALLED_SECONDS

    def moved(self, pieces: int = 0) -> None:
        """Note that it did so much work, or looked and found none."""
        self._moved_at = time.monotonic()
        self.pieces.inc(pieces)

    def serve(self, port: int) -> None:
        """Serve the metrics over HTTP on the loopback address, from a thread that ends with the process."""
        start_http_server(port, addr="127.0.0.1", registry=self.registry)
