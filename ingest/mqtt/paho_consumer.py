"""The consumer on paho-mqtt, whose loop is driven by the worker's own thread.

paho's own network thread is not used: an exception in one of its callbacks kills it while the client still claims to
be connected, its back-off has no jitter, and it reads on while the database stands still. A new paho client serves
each connection, so that nothing of the old one, an acknowledgement least of all, can reach the new one.
"""

import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.topics import event_filters
from ingest.mqtt.consumer import Account, Arrival, BrokerError

_KEEPALIVE_SECONDS: Final = 60
_ANSWER_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 1.0
_ACKS_IN_FLIGHT: Final = 100

_T = TypeVar("_T")


class PahoConsumer:
    """MQTT 3.1.1, QoS 1, persistent session, manual acknowledgement; see `ingest.mqtt.consumer.Consumer`."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._link = 0
        self._client: Client | None = None
        self._poll = select.poll()
        self._inbox: deque[Arrival] = deque()
        self._connected: ReasonCode | None = None
        self._granted: list[ReasonCode] | None = None

    def connect(self) -> None:
        """Connect once and subscribe; return when the broker granted every subscription."""
        self._drop()
        self._link += 1
        client = self._make_client()
        try:
            client.connect(self._account.host, self._account.port, _KEEPALIVE_SECONDS)
        except OSError as error:
            where = f"{self._account.host}:{self._account.port}"
            raise BrokerError(f"no broker answers at {where}: {error}", advice="Is it running?") from error
        self._client = client
        self._poll = select.poll()
        self._poll.register(_socket(client))
        self._await(lambda: self._connected, "CONNACK")
        client.subscribe([(topic_filter, 1) for topic_filter in event_filters(self._account.partitions)])
        granted = self._await(lambda: self._granted, "SUBACK")
        if any(code.is_failure for code in granted):
            raise BrokerError(
                "the broker refused a subscription",
                advice="Let this user subscribe to the event topics; on NATS keep max_ack_pending below 65,536.",
            )

    def receive(self, limit: int, timeout: float) -> list[Arrival]:
        """Return what is at hand, at most `limit` messages; wait up to `timeout` seconds for the first."""
        client = self._open()
        if not self._inbox:
            self._turn(client, timeout)
        while len(self._inbox) < limit:
            before = len(self._inbox)
            self._check(client.loop_read())
            # That there is room to write says nothing; whoever waits for it here never comes to writing.
            if len(self._inbox) == before and all(event == select.POLLOUT for _, event in self._poll.poll(0)):
                break
        return [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 without waiting for the broker's PUBACK."""
        self._check(self._open().publish(topic, payload, qos=1).rc)

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Send the PUBACK of every message that came on the present connection."""
        client = self._open()
        for arrival in arrivals:
            if arrival.link == self._link:
                self._check(client.ack(arrival.mid, 1))

    def close(self) -> None:
        """Send what is still queued, for a second at most, and disconnect; the session stays."""
        client = self._client
        if client is None or client.socket() is None:
            return
        client.disconnect()
        deadline = time.monotonic() + _CLOSE_SECONDS
        while client.want_write() and client.socket() is not None and time.monotonic() < deadline:
            self._poll.poll(50)
            client.loop_write()
        self._drop()

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._account.client_id,
            clean_session=False,
            protocol=MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.username_pw_set(self._account.user, self._account.password)
        if self._account.tls is not None:
            client.tls_set_context(self._account.tls)
        client.max_inflight_messages_set(_ACKS_IN_FLIGHT)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: Client, userdata: object, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        del client, userdata, flags, properties
        self._connected = reason

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        del client, userdata, mid, properties
        self._granted = reasons

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        del client, userdata
        self._inbox.append(Arrival(_topic(message), bytes(message.payload), message.mid, self._link))

    def _await(self, answer: Callable[[], _T | None], name: str) -> _T:
        deadline = time.monotonic() + _ANSWER_SECONDS
        while time.monotonic() < deadline:
            value = answer()
            if value is not None:
                return value
            self._turn(self._open(), 0.2)
        raise BrokerError(f"no {name} within {_ANSWER_SECONDS:g} s")

    def _turn(self, client: Client, timeout: float) -> None:
        """Wait for the socket, read at most a few packets, write what is queued, and keep the connection alive."""
        wanted = select.POLLIN | select.POLLOUT if client.want_write() else select.POLLIN
        self._poll.modify(_socket(client), wanted)
        for _, event in self._poll.poll(timeout * 1000):
            if event & select.POLLOUT:
                self._check(client.loop_write())
            if event & ~select.POLLOUT:
                self._check(client.loop_read())
        self._check(client.loop_misc())

    def _open(self) -> Client:
        if self._client is None or self._client.socket() is None:
            raise BrokerError("the connection to the broker was lost")
        return self._client

    def _check(self, code: MQTTErrorCode) -> None:
        if code == MQTTErrorCode.MQTT_ERR_CONN_REFUSED:
            reason = self._connected
            self._drop()
            raise BrokerError(f"the broker refused the connection: {reason}", advice="Check user and password.")
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._drop()
            raise BrokerError(f"the connection to the broker was lost: {code.name}")

    def _drop(self) -> None:
        if self._client is not None and (socket := self._client.socket()) is not None:
            socket.close()
        self._client = None
        self._inbox.clear()
        self._connected = self._granted = None


def _socket(client: Client) -> int:
    socket = client.socket()
    if socket is None:
        raise BrokerError("the connection to the broker was lost")
    return socket.fileno()


def _topic(message: MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError as error:
        return str(error.object, "utf-8", "backslashreplace")
