"""What a worker counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from ingest.landing.store import Outcome


class UpkeepMetrics:
    """What the upkeep of one worker counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.gaps = Gauge(
            "codefence_ingest_gaps_open",
            "Holes in what was received that devices were asked for.",
            registry=registry,
        )
        self.alerts = Gauge(
            "codefence_ingest_gaps_alerted", "Those of them that were asked for in vain.", registry=registry
        )
        self.resends = Counter("codefence_ingest_resends_asked", "Commands to send a range again.", registry=registry)
        self.buckets = Counter(
            "codefence_ingest_rollup_buckets", "Five-minute buckets added up, again or anew.", registry=registry
        )
        self.expired = Counter(
            "codefence_ingest_rows_expired", "Events removed because of their age.", ["kind"], registry=registry
        )
        self.failures = Counter(
            "codefence_ingest_upkeep_failures", "Rounds of upkeep that were given up.", registry=registry
        )


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter(
            "codefence_ingest_messages_received", "Messages taken from the broker.", registry=self.registry
        )
        self.committed = Counter(
            "codefence_ingest_events_committed", "Events stored for the first time.", registry=self.registry
        )
        self.duplicates = Counter(
            "codefence_ingest_events_duplicate", "Events answered again from what is stored.", registry=self.registry
        )
        self.dead_letters = Counter(
            "codefence_ingest_dead_letters", "Dead letters written.", ["reason"], registry=self.registry
        )
        self.repeats = Counter(
            "codefence_ingest_dead_letter_repeats",
            "Dead letters counted on one that is kept, because their sender has too many.",
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "codefence_ingest_batch_seconds", "Time to commit one batch.", registry=self.registry
        )
        self.lag_seconds = Gauge(
            "codefence_ingest_lag_seconds",
            "From the device's sending to the commit, oldest message of the last batch, by the device's clock.",
            registry=self.registry,
        )
        self.holding = Gauge(
            "codefence_ingest_holding", "1 while a batch cannot be committed and is retried.", registry=self.registry
        )
        self.broker_connected = Gauge(
            "codefence_ingest_broker_connected", "1 while connected to the broker.", registry=self.registry
        )
        self.upkeep = UpkeepMetrics(self.registry)

    def count(self, outcome: Outcome) -> None:
        """Take in what a committed batch did."""
        self.committed.inc(outcome.committed)
        self.duplicates.inc(outcome.duplicates)
        self.repeats.inc(outcome.repeats)
        for _, fault in outcome.letters:
            self.dead_letters.labels(fault.reason).inc()

    def serve(self, port: int) -> None:
        """Serve the metrics over HTTP on the loopback address, from a thread that ends with the process."""
        start_http_server(port, addr="127.0.0.1", registry=self.registry)
