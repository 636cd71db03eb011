"""What a worker needs of an MQTT client, whichever library provides it."""

import ssl
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from contracts.errors import CodefenceError
from contracts.topics import PARTITIONS


class BrokerError(CodefenceError):
    """The broker cannot be reached, refuses this client, or dropped the connection."""

    code = "BROKER_UNAVAILABLE"


class Arrival(Struct, frozen=True, gc=False):
    """One message as it came. `link` numbers the connection: a PUBACK is never sent on another one."""

    topic: str
    payload: bytes
    mid: int
    link: int


class Account(NamedTuple):
    """Where the broker is, and who connects; the client id is fixed, since the session hangs on it."""

    host: str
    port: int
    user: str
    password: str
    client_id: str
    partitions: tuple[int, ...] = tuple(range(PARTITIONS))
    tls: ssl.SSLContext | None = None


class Consumer(Protocol):
    """A QoS 1 subscriber with a persistent session that acknowledges only what it is told to.

    One thread drives it: nothing is read, and so the broker is held back, while that thread writes to the database.
    Every method but `close` raises `BrokerError` when the connection is gone; `connect` makes a new one.
    """

    def connect(self) -> None:
        """Connect once and subscribe; return when the broker granted every subscription."""

    def receive(self, limit: int, timeout: float) -> list[Arrival]:
        """Return what is at hand, at most `limit` messages; wait up to `timeout` seconds for the first."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1 without waiting for the broker's PUBACK."""

    def settle(self, arrivals: Sequence[Arrival]) -> None:
        """Send the PUBACK of every message that came on the present connection."""

    def close(self) -> None:
        """Send what is still queued, for a second at most, and disconnect; the session stays."""
