"""A publisher at QoS 1 that costs little and counts PUBACKs; it also hears acknowledgements."""

import itertools
import select
import socket
import time
from collections.abc import Iterable
from typing import Final, Self

from benchmarks.load.messages import Message
from ingest.mqtt import wire
from ingest.mqtt.consumer import Arrival
from ingest.mqtt.parser import Parser

_KEEPALIVE_SECONDS: Final = 600
_WINDOW: Final = 4000
_CHUNK: Final = 200
_FLAGS: Final = 9
_CLEAN_SESSION: Final = 0x02
_CONNACK_BYTES: Final = 4


class Publisher:
    """One connection under the given name."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = Parser(0)
        self._mids = itertools.cycle(range(1, wire.LAST_MID + 1))
        self._unconfirmed = 0
        self._socket.sendall(wire.connect(f"load-{user}", user, password, _KEEPALIVE_SECONDS))
        self._await(wire.CONNACK)

    def subscribe(self, topic_filter: str) -> None:
        """Hear what comes on topics of this pattern."""
        self._socket.sendall(wire.subscribe(next(self._mids), [topic_filter]))
        self._await(wire.SUBACK)

    def publish_all(self, messages: Iterable[Message]) -> None:
        """Publish as fast as the broker takes it; return when it has confirmed everything."""
        source = iter(messages)
        while chunk := [wire.publish(next(self._mids), *message) for message in itertools.islice(source, _CHUNK)]:
            self._socket.sendall(b"".join(chunk))
            self._unconfirmed += len(chunk)
            while self._unconfirmed > _WINDOW:
                self._read()
        while self._unconfirmed:
            self._read()

    def publish(self, message: Message) -> None:
        """Publish one message without waiting."""
        self._socket.sendall(wire.publish(next(self._mids), *message))
        self._unconfirmed += 1

    def hear(self, seconds: float) -> list[Arrival]:
        """Return what comes within some time, sooner if something does; it is confirmed at once."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0] and (arrivals := self._read()):
                return arrivals
        return []

    def _await(self, kind: int) -> None:
        controls = []
        while kind not in controls:
            controls += [control.kind for control in self._parser.feed(self._socket.recv(65536))[1]]

    def _read(self) -> list[Arrival]:
        arrivals, controls = self._parser.feed(self._socket.recv(65536))
        self._unconfirmed -= sum(control.kind == wire.PUBACK for control in controls)
        mids = [arrival.mid for arrival in arrivals if arrival.mid]
        self._parser.unsettled.difference_update(mids)
        if mids:
            self._socket.sendall(wire.pubacks(mids))
        return arrivals

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def forget(port: int, client_id: str, user: str, password: str) -> None:
    """End the session of a client that is gone, so that the broker keeps nothing for it."""
    packet = bytearray(wire.connect(client_id, user, password, _KEEPALIVE_SECONDS))
    packet[_FLAGS] |= _CLEAN_SESSION
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(packet)
        connection.recv(_CONNACK_BYTES, socket.MSG_WAITALL)
        connection.sendall(wire.DISCONNECT)
