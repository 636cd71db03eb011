"""One MQTT connection, driven by the thread that uses it.

paho's own network thread dies of an exception in a callback while `is_connected()` stays true, and its reconnects
double without jitter. Here callbacks only take notes, the caller steps the connection, and a lost one is never used
again: a new connection is a new `Wire`, so that no payload with an old `sent_at` waits inside the library.
"""

import select
import socket
import ssl
from collections.abc import Sequence
from typing import Final, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from contracts.errors import ConfigurationError
from edge.settings import AgentSettings
from edge.uplink.window import CAPACITY

_KEEPALIVE_SECONDS: Final = 30
_CONNECT_SECONDS: Final = 5.0


class LinkError(ConnectionError):
    """The connection is gone, or was never granted; the message says why."""


class Received(NamedTuple):
    """A message from the broker."""

    topic: str
    payload: bytes


class Will(NamedTuple):
    """What the broker publishes when the connection is lost."""

    topic: str
    payload: bytes


class Wire:
    """An MQTT 3.1.1 connection with a persistent session under the device's name. Not for several threads."""

    def __init__(self, settings: AgentSettings, will: Will, tls: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.device,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        if settings.broker_password is not None:
            user = settings.broker_user or settings.device
            self._client.username_pw_set(user, settings.broker_password.get_secret_value())
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.max_inflight_messages_set(CAPACITY + 10)
        self._client.connect_timeout = _CONNECT_SECONDS
        self._client.will_set(will.topic, will.payload, qos=1)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self.is_open = False
        self._lost = ""
        self._received: list[Received] = []
        self._confirmed: list[int] = []

    def connect(self) -> None:
        """Reach the broker; `is_open` turns true in a later `step`. Raises `OSError`."""
        self._client.connect(self._settings.broker_host, self._settings.broker_port, _KEEPALIVE_SECONDS)

    def step(self, seconds: float, waker: socket.socket) -> None:
        """Send and receive what is there, waiting up to `seconds` or for `waker`; `LinkError` once the link is gone."""
        link = self._client.socket()
        if link is None:
            raise LinkError(self._lost or "the connection is closed")
        pending = isinstance(link, ssl.SSLSocket) and link.pending() > 0
        wanted = [link] if self._client.want_write() else []
        readable, writable, _ = select.select([link, waker], wanted, [], 0 if pending else seconds)
        outcome = MQTTErrorCode.MQTT_ERR_SUCCESS
        if pending or link in readable:
            outcome = self._client.loop_read()
        if writable and not outcome:
            outcome = self._client.loop_write()
        outcome = outcome or self._client.loop_misc()
        if outcome or self._lost:
            raise LinkError(self._lost or mqtt.error_string(outcome))

    def subscribe(self, topics: Sequence[str]) -> None:
        """Ask for topics at QoS 1; a refusal raises `LinkError` in a later `step`."""
        self._client.subscribe([(topic, 1) for topic in topics])

    def publish(self, topic: str, payload: bytes) -> int:
        """Send at QoS 1 and return the message's number."""
        return self._client.publish(topic, payload, qos=1).mid

    def received(self) -> list[Received]:
        """Return the messages that came since the last call."""
        messages, self._received = self._received, []
        return messages

    def confirmed(self) -> list[int]:
        """Return the numbers of the messages that the broker has confirmed since the last call."""
        numbers, self._confirmed = self._confirmed, []
        return numbers

    def close(self) -> None:
        """Take leave, so that the last will is not published."""
        self._client.on_disconnect = None
        self._client.disconnect()

    def drop(self) -> None:
        """Close without taking leave."""
        link = self._client.socket()
        self._client.on_disconnect = None
        if link is not None:
            link.close()

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._lost = f"the broker refuses the connection: {reason}"
        else:
            self.is_open = True

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        self._lost = self._lost or f"the connection was lost: {reason}"

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._received.append(Received(message.topic, bytes(message.payload)))

    def _on_publish(
        self, _client: mqtt.Client, _data: object, number: int, _reason: ReasonCode, _more: Properties | None
    ) -> None:
        self._confirmed.append(number)

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, _number: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._lost = "the broker refuses the acknowledgement or command topic of this device"


def tls_context(settings: AgentSettings) -> ssl.SSLContext | None:
    """Return what encrypts the link, None without a certificate authority; `ConfigurationError` for unusable files."""
    if settings.tls_ca is None:
        if settings.tls_cert or settings.tls_key:
            raise ConfigurationError("a client certificate is set but no authority", advice="Set EDGE_TLS_CA too.")
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        if settings.tls_cert is not None:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as error:
        advice = "Check EDGE_TLS_CA, EDGE_TLS_CERT and EDGE_TLS_KEY: PEM files that this user may read."
        raise ConfigurationError(f"the TLS files cannot be used: {error}", advice=advice) from error
    return context
