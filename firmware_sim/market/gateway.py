"""The market's own device: publishes scans over MQTT until the application has acknowledged each of them."""

import itertools
import queue
import time
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.errors import MessageError
from contracts.messages import Pause, Resend, Status, decode_ack, decode_command, encode_event, pack
from contracts.topics import Kind, ack_topic, command_topic, event_topic
from firmware_sim.market.journal import Entry, Journal

_log = structlog.get_logger(__name__)
IN_FLIGHT: Final = 100
RESEND_SECONDS: Final = 10.0
_BATCH: Final = 50
_FIRMWARE: Final = "market-simulator"


class Account(NamedTuple):
    """How the gateway reaches the broker, and who it is there."""

    host: str
    port: int
    user: str
    password: str
    site: str


class Gateway:
    """Publishes what is in the journal and not acknowledged, at most `IN_FLIGHT` events at a time.

    All methods are called from one thread; the network has its own and only fills a queue.
    """

    def __init__(self, account: Account, journal: Journal) -> None:
        self._account = account
        self._journal = journal
        self._open = {entry.seq: entry for entry in journal.open_entries()}
        self._sent: dict[int, float] = {}
        self._paused_until_ms = 0
        self._inbox: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._acks = ack_topic(account.site, account.user)
        self._commands = command_topic(account.site, account.user)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=account.user)
        self._client.username_pw_set(account.user, account.password)
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.reconnect_delay_set(1, 8)
        self._client.will_set(self._topic(Kind.STATUS), self._offline(), qos=1)
        self._client.on_connect = self._connected
        self._client.on_message = self._received

    @property
    def open_count(self) -> int:
        """How many events wait for their acknowledgement."""
        return len(self._open)

    def start(self) -> None:
        """Begin to connect, and go on trying; the device says that it is online."""
        self.take(self._journal.append(None, [(None, Kind.STATUS, self._online())]))
        self._client.connect_async(self._account.host, self._account.port, keepalive=30)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye and disconnect; what is not acknowledged stays in the journal."""
        if self._client.is_connected():
            self._client.publish(self._topic(Kind.STATUS), self._offline(), qos=1).wait_for_publish(2)
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, entries: Iterable[Entry]) -> None:
        """Publish these at the next opportunity."""
        for entry in entries:
            self._open[entry.seq] = entry
            self._sent.pop(entry.seq, None)

    def pump(self) -> None:
        """Work off what arrived, then publish what is due."""
        while not self._inbox.empty():
            self._handle(*self._inbox.get())
        if not self._client.is_connected() or time.time() * 1000 < self._paused_until_ms:
            return
        for batch in _batches(self._due()):
            payload = pack(self._journal.boot, batch[0].seq, _now_ms(), [entry.body for entry in batch])
            self._client.publish(self._topic(batch[0].kind), payload, qos=1)
            self._sent.update({entry.seq: time.monotonic() for entry in batch})

    def _due(self) -> list[Entry]:
        late = time.monotonic() - RESEND_SECONDS
        again = [self._open[seq] for seq, sent in self._sent.items() if sent <= late]
        fresh = (entry for seq, entry in self._open.items() if seq not in self._sent)
        room = max(IN_FLIGHT - len(self._sent), 0)
        return sorted([*again, *itertools.islice(fresh, room)])

    def _handle(self, topic: str, payload: bytes) -> None:
        try:
            if topic == self._acks:
                self._settle(payload)
            else:
                self._obey(payload)
        except MessageError as error:
            _log.warning(error.message, action="gateway.nonsense", topic=topic)

    def _settle(self, payload: bytes) -> None:
        ack = decode_ack(payload)
        if ack.boot != self._journal.boot:
            return
        self._journal.settle(ack)
        ranges = [*ack.committed, *((refusal.first, refusal.last) for refusal in ack.refused)]
        for seq in [seq for seq in self._open if any(first <= seq <= last for first, last in ranges)]:
            del self._open[seq]
            self._sent.pop(seq, None)

    def _obey(self, payload: bytes) -> None:
        match decode_command(payload) if payload else Pause(until=0):
            case Pause(until=until):
                self._paused_until_ms = until
            case Resend(boot=boot, first=first, last=last) if boot == self._journal.boot:
                self.take(self._journal.reopen(first, last))

    def _connected(
        self,
        client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.warning("the broker refuses", action="gateway.refused_by_broker", reason=str(reason))
            return
        client.subscribe([(self._acks, 1), (self._commands, 1)])
        _log.info("connected", action="gateway.connected", open=len(self._open))

    def _received(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._inbox.put((message.topic, bytes(message.payload)))

    def _topic(self, kind: Kind) -> str:
        return event_topic(self._account.site, self._account.user, kind)

    def _online(self) -> bytes:
        return encode_event(Status(state="online", ts=_now_ms(), firmware=_FIRMWARE))

    def _offline(self) -> bytes:
        news = encode_event(Status(state="offline"))
        return pack(self._journal.boot, 0, _now_ms(), [news], in_sequence=False)


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Split entries into messages: of one kind, with numbers that follow one another."""
    batch: list[Entry] = []
    for entry in entries:
        follows = batch and (entry.kind, entry.seq) == (batch[-1].kind, batch[-1].seq + 1)
        if batch and (not follows or len(batch) == _BATCH):
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
