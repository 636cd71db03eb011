"""One ingest worker: receive, decode, commit, and only then acknowledge."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import psycopg
import structlog
from msgspec import Struct

from contracts.messages import encode_ack
from contracts.topics import ack_topic
from ingest.backoff import Backoff
from ingest.commands import Order
from ingest.landing.decode import Clock, Decoded, decode
from ingest.landing.store import Outcome
from ingest.landing.writer import Writer
from ingest.metrics import Metrics
from ingest.mqtt.consumer import Arrival, BrokerError, Consumer
from ingest.settings import IngestSettings

# How long SIGTERM may go unnoticed while no message comes.
_IDLE_SECONDS: Final = 0.25
# How long other work may go unnoticed while the database is away.
_GLANCE_SECONDS: Final = 0.05
# Messages decoded in one go: a draining outbox sends 50 events in each.
_SLICE: Final = 100
# While the database works: about so long, and in steps that long messages do not make much longer.
_MEANWHILE_SECONDS: Final = 0.0005
_STEP: Final = 10
# Waking up for every few messages costs more than the messages; so much of the flush time lets more of them come.
_FEW: Final = 50
_PAUSE_SECONDS: Final = 0.001
_BATCH_BYTES: Final = 8 << 20
# Connection lost, transaction rolled back, object in use, operator intervention: they pass by themselves.
_PASSING: Final = ("08", "40", "55", "57")

log = structlog.get_logger(__name__)


class _Waiting(Struct, frozen=True, gc=False):
    """A message that is read and not yet written."""

    arrival: Arrival
    message: Decoded
    events: int


class Worker:
    """Moves messages from one consumer into the landing tables until told to stop.

    While the database works on one batch the next one gathers, all in one thread; there is never a third.

    `clock` gives milliseconds since the epoch; against it every capture time is judged.
    """

    def __init__(
        self, settings: IngestSettings, clock: Clock, consumer: Consumer, metrics: Metrics | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._consumer = consumer
        self._metrics = metrics or Metrics()
        name = f"codefence {settings.client_id}"
        self._writer = Writer(settings.database_url.get_secret_value(), name, self._receive_meanwhile)
        self._stop = threading.Event()
        self._broken: BrokerError | None = None
        self._waiting: deque[_Waiting] = deque()
        self._waiting_events = self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._acks: deque[tuple[str, bytes]] = deque()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then commit and acknowledge what was received, and disconnect.

        Neither a broker nor a database that is away ends it: it waits, says so, and acknowledges nothing.
        """
        self._stop = stop
        backoff = Backoff(0.2, 15)
        try:
            while not stop.is_set():
                try:
                    self._consumer.connect()
                    log.info("connected to the broker", action="ingest.connected")
                    self._metrics.broker_connected.set(1)
                    backoff.reset()
                    self._serve()
                except BrokerError as error:
                    self._metrics.broker_connected.set(0)
                    delay = backoff.next()
                    log.warning(
                        error.message, action="ingest.broker", advice=error.advice, retry_in_seconds=round(delay, 2)
                    )
                    stop.wait(delay)
        finally:
            self._consumer.close()
            self._writer.close()
            log.info("stopped", action="ingest.stopped")

    def order(self, orders: Sequence[Order]) -> None:
        """Have orders to devices published over this worker's connection; from any thread, without waiting.

        A second connection of the same user would end this one where the broker takes the user's name for its id.
        """
        self._acks.extend((order.topic, order.payload) for order in orders)

    def _serve(self) -> None:
        self._broken = None
        while True:
            self._publish_acks()
            self._gather()
            batch = self._take()
            if batch:
                outcome = self._commit([one.message for one in batch])
                if outcome is None:
                    return
                self._finish([one.arrival for one in batch], outcome)
            elif self._stop.is_set():
                return

    def _gather(self) -> None:
        """Receive `batch_size` events, or what comes within `flush_ms` of the first."""
        while self._waiting_events < self._settings.batch_size and not self._stop.is_set():
            patience = _IDLE_SECONDS
            if self._waiting:
                # What came while the database worked on the last batch has waited already.
                patience = self._waiting_since + self._settings.flush_ms / 1000 - time.monotonic()
                if patience <= 0:
                    return
            limit = min(_SLICE, self._settings.batch_size - self._waiting_events)
            count = self._receive(limit, patience)
            if 0 < count < min(limit, _FEW):
                time.sleep(_PAUSE_SECONDS)
            if not count:
                return

    def _receive(self, limit: int, timeout: float) -> int:
        arrivals = self._consumer.receive(limit, timeout)
        if not self._waiting:
            self._waiting_since = time.monotonic()
        now = self._clock()
        for arrival in arrivals:
            message = decode(arrival.topic, arrival.payload, now)
            events = message.size
            self._waiting.append(_Waiting(arrival, message, events))
            self._waiting_events += events
            self._waiting_bytes += len(arrival.payload)
        self._metrics.received.inc(len(arrivals))
        return len(arrivals)

    def _receive_meanwhile(self) -> bool:
        """Read a little while the database works; a broker that goes away is noticed, and told of after the commit."""
        deadline = time.monotonic() + _MEANWHILE_SECONDS
        try:
            while self._waiting_events < self._settings.batch_size and not (self._broken or self._stop.is_set()):
                if self._receive(_STEP, 0) < _STEP:
                    return False
                if time.monotonic() >= deadline:
                    return True
        except BrokerError as error:
            self._broken = error
        return False

    def _take(self) -> list[_Waiting]:
        """Return the next batch: whole messages, and no more of them than fit."""
        batch: list[_Waiting] = []
        if self._waiting_events <= self._settings.batch_size and self._waiting_bytes <= _BATCH_BYTES:
            batch.extend(self._waiting)
            self._waiting.clear()
            self._waiting_events = self._waiting_bytes = 0
            return batch
        events = size = 0
        while self._waiting:
            one = self._waiting[0]
            events += one.events
            size += len(one.arrival.payload)
            if batch and (events > self._settings.batch_size or size > _BATCH_BYTES):
                break
            batch.append(self._waiting.popleft())
            self._waiting_events -= one.events
            self._waiting_bytes -= len(one.arrival.payload)
        return batch

    def _finish(self, arrivals: list[Arrival], outcome: Outcome) -> None:
        """Acknowledge a batch that is committed."""
        for address, reply in outcome.replies.items():
            self._acks.append((ack_topic(address.site, address.device), encode_ack(reply.ack(address.boot))))
        if self._broken:
            raise self._broken
        self._publish_acks()
        self._consumer.settle(arrivals)

    def _publish_acks(self) -> None:
        # Kept until published: after a reconnect the devices get the acknowledgements that the old connection lost.
        while self._acks:
            self._consumer.publish(*self._acks[0])
            self._acks.popleft()

    def _commit(self, messages: list[Decoded]) -> Outcome | None:
        """Write until it succeeds; None if told to stop before."""
        backoff = Backoff(0.2, 10)
        while True:
            started = time.monotonic()
            try:
                outcome = self._writer.write(messages)
            except psycopg.Error as error:
                self._writer.close()
                delay = self._hold(error, backoff)
            else:
                self._note(outcome, messages, time.monotonic() - started)
                return outcome
            if self._pause(delay):
                log.warning("stopping with a batch unacknowledged", action="ingest.unacknowledged", n=len(messages))
                return None

    def _pause(self, seconds: float) -> bool:
        """Wait, and go on receiving; tell whether it was told to stop."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._stop.is_set():
            if not self._receive_meanwhile():
                self._stop.wait(min(left, _GLANCE_SECONDS))
        return self._stop.is_set()

    def _hold(self, error: psycopg.Error, backoff: Backoff) -> float:
        """Say why nothing is committed; return the seconds until the next try."""
        self._metrics.holding.set(1)
        sqlstate = error.sqlstate or ""
        lost = not sqlstate and isinstance(error, psycopg.OperationalError)
        delay = backoff.next()
        if lost or sqlstate.startswith(_PASSING):
            level = log.warning
        else:
            level = log.error
            delay += 1
        level(
            "the database cannot take a batch; nothing is acknowledged until it does",
            action="ingest.hold",
            sqlstate=sqlstate,
            error=str(error).strip(),
            retry_in_seconds=round(delay, 2),
        )
        return delay

    def _note(self, outcome: Outcome, messages: list[Decoded], seconds: float) -> None:
        self._metrics.holding.set(0)
        self._metrics.batch_seconds.observe(seconds)
        self._metrics.count(outcome)
        sent = min((message.sent_at for message in messages if message.sent_at), default=0)
        if sent:
            self._metrics.lag_seconds.set((self._clock() - sent) / 1000)
        for message, fault in outcome.letters:
            log.warning(
                fault.detail, action="ingest.dead_letter", reason=fault.reason, device=message.device, seq=fault.first
            )
