"""The MQTT client at wire level: the other side is a socket that speaks just enough of the protocol."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ingest_parts import hear
from waiting import PATIENCE, wait_for

from ingest.mqtt import LeanConsumer
from ingest.mqtt.consumer import Account, BrokerError, Consumer
from ingest.mqtt.paho_consumer import PahoConsumer

CONNACK, SUBACK, PUBLISH, PUBACK, DISCONNECT = 0x20, 0x90, 0x32, 0x40, 0xE0
Script = Callable[["Peer"], None]


class Peer:
    """One accepted connection; `frames` is everything that the client sent after SUBSCRIBE."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(PATIENCE)
        self._buffer = b""

    def read(self) -> bytes:
        while True:
            if len(self._buffer) >= 2:
                length, used = self._length()
                if len(self._buffer) >= used + length:
                    frame, self._buffer = self._buffer[: used + length], self._buffer[used + length :]
                    return frame
            data = self._connection.recv(1 << 20)
            if not data:
                return b""
            self._buffer += data

    def _length(self) -> tuple[int, int]:
        value, used = 0, 1
        while True:
            byte = self._buffer[used]
            value |= (byte & 127) << (7 * (used - 1))
            used += 1
            if byte < 128:
                return value, used

    def send(self, frame: bytes) -> None:
        self._connection.sendall(frame)

    def accept(self, return_code: int = 0, granted: int = 1) -> bytes:
        """Answer CONNECT and SUBSCRIBE; return the CONNECT."""
        connect = self.read()
        self.send(bytes([CONNACK, 2, 0, return_code]))
        if return_code == 0:
            subscribe = self.read()
            self.send(bytes([SUBACK, 3, *subscribe[2:4], granted]))
        return connect

    def publish(self, mid: int, topic: bytes, payload: bytes = b"x") -> None:
        rest = len(topic).to_bytes(2) + topic + mid.to_bytes(2) + payload
        self.send(bytes([PUBLISH, len(rest)]) + rest)

    def close(self) -> None:
        self._connection.close()


KINDS = [PahoConsumer, LeanConsumer]


@pytest.fixture(params=KINDS)
def serve(request: pytest.FixtureRequest) -> Iterator[Callable[..., Consumer]]:
    """Serve one script a connection, in order, and return a client of that server."""
    threads: list[threading.Thread] = []
    failures: list[BaseException] = []

    def serve(*scripts: Script) -> Consumer:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            try:
                with listener:
                    for script in scripts:
                        peer = Peer(listener.accept()[0])
                        script(peer)
                        peer.close()
            except BaseException as error:
                failures.append(error)
                raise

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return request.param(Account("127.0.0.1", listener.getsockname()[1], "ingest", "secret", "ingest-0"))

    yield serve
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not failures


def test_the_session_is_persistent_under_a_fixed_name(serve: Callable[..., Consumer]) -> None:
    seen: list[bytes] = []
    consumer = serve(lambda peer: (seen.append(peer.accept()), peer.read()))
    consumer.connect()
    wait_for(lambda: seen)  # the peer answers before it notes what it was asked
    consumer.close()
    (connect,) = seen
    flags = connect[9]
    assert flags & 0b10 == 0  # no clean session
    assert connect[12:].startswith(b"\x00\x08ingest-0\x00\x06ingest\x00\x06secret")


def test_nothing_is_acknowledged_until_it_is_settled(serve: Callable[..., Consumer]) -> None:
    frames: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.publish(7, b"v1/a/p0/b/scan")
        peer.publish(8, b"v1/a/p0/\xff/scan")
        frames.append(peer.read())
        frames.append(peer.read())

    consumer = serve(script)
    consumer.connect()
    arrivals = hear(consumer, 2)
    assert [(arrival.topic, arrival.payload) for arrival in arrivals] == [
        ("v1/a/p0/b/scan", b"x"),
        ("v1/a/p0/\\xff/scan", b"x"),
    ]
    time.sleep(0.1)
    assert frames == []
    consumer.settle(arrivals[1:])
    consumer.close()
    wait_for(lambda: len(frames) == 2)
    assert frames[0] == bytes([PUBACK, 2, 0, 8])
    assert frames[1][0] == DISCONNECT


def test_an_old_connections_message_is_never_acknowledged_on_a_new_one(serve: Callable[..., Consumer]) -> None:
    frames: list[bytes] = []
    heard = threading.Event()

    def first(peer: Peer) -> None:
        peer.accept()
        peer.publish(7, b"v1/a/p0/b/scan", b"old")
        assert heard.wait(PATIENCE)

    def second(peer: Peer) -> None:
        peer.accept()
        peer.publish(9, b"v1/a/p0/b/scan", b"new")
        frames.append(peer.read())
        frames.append(peer.read())

    consumer = serve(first, second)
    consumer.connect()
    old = hear(consumer, 1)
    heard.set()
    with pytest.raises(BrokerError):
        hear(consumer, 1)
    with pytest.raises(BrokerError):
        consumer.publish("v1/a/ack/b", b"lost")
    consumer.connect()
    new = hear(consumer, 1)
    consumer.settle([*old, *new])
    consumer.close()
    assert [arrival.payload for arrival in old + new] == [b"old", b"new"]
    wait_for(lambda: len(frames) == 2)
    assert frames[0] == bytes([PUBACK, 2, 0, 9])
    assert frames[1][0] == DISCONNECT


def test_a_broker_that_is_slow_to_read_does_not_hold_up_what_it_sends(serve: Callable[..., Consumer]) -> None:
    heard: list[bytes] = []
    bulk = b"x" * 16_000_000
    goes_on = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        assert goes_on.wait(PATIENCE)
        peer.publish(7, b"v1/a/p0/b/scan")
        heard.append(peer.read())
        heard.append(peer.read())

    consumer = serve(script)
    consumer.connect()
    consumer.publish("v1/a/ack/b", bulk)
    assert consumer.receive(10, 0.1) == []
    goes_on.set()
    arrivals = hear(consumer, 1)
    wait_for(lambda: heard or consumer.receive(10, 0.1))  # what it publishes leaves while it receives
    assert heard[0].endswith(bulk)
    consumer.settle(arrivals)
    wait_for(lambda: len(heard) == 2)
    assert heard[1] == bytes([PUBACK, 2, 0, 7])
    consumer.close()


@pytest.mark.parametrize(("return_code", "granted", "words"), [(5, 1, "connection"), (0, 0x80, "subscription")])
def test_a_refusal_by_the_broker_is_an_error_that_says_what_to_do(
    serve: Callable[..., Consumer], return_code: int, granted: int, words: str
) -> None:
    consumer = serve(lambda peer: peer.accept(return_code, granted))
    with pytest.raises(BrokerError, match=f"refused.*{words}") as caught:
        consumer.connect()
    assert caught.value.advice
    consumer.close()


@pytest.mark.parametrize("kind", KINDS)
def test_no_broker_at_all_is_an_error_not_a_crash(kind: Callable[[Account], Consumer]) -> None:
    with socket.socket() as taken:  # and not listened at
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(BrokerError, match="no broker answers"):
            kind(Account("127.0.0.1", taken.getsockname()[1], "ingest", "secret", "ingest-0")).connect()
