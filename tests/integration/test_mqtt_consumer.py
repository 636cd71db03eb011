"""The lean consumer beyond what every consumer does: real sessions, partitions, TLS, keep-alive, cut connections."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import TestBroker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from ingest_parts import SITE, Edge, hear
from test_ingest_consumer import PUBACK, Peer
from waiting import PATIENCE

from contracts.topics import Kind, event_topic, partition
from ingest.mqtt import LeanConsumer, wire
from ingest.mqtt import lean as module
from ingest.mqtt.consumer import Account, Arrival, BrokerError

DEVICES = {"station-1": SITE, "station-2": SITE}


@pytest.fixture
def broker(start_broker: Callable[..., TestBroker]) -> TestBroker:
    assert partition("station-1") != partition("station-2")
    return start_broker(DEVICES)


@pytest.fixture
def publish(broker: TestBroker) -> Iterator[Callable[[str, int], None]]:
    edges = {device: Edge(broker.port, broker.passwords[device], device) for device in DEVICES}
    yield lambda device, number: edges[device].publish(b"%d" % number)
    for edge in edges.values():
        edge.close()


def lean(broker: TestBroker, **changes: object) -> LeanConsumer:
    account = Account("127.0.0.1", broker.port, "ingest", broker.passwords["ingest"], "ingest-0")
    return LeanConsumer(account._replace(**changes))


def numbers(arrivals: list[Arrival]) -> list[int]:
    return [int(arrival.payload) for arrival in arrivals]


def test_what_was_not_settled_comes_again_and_nothing_else(
    broker: TestBroker, publish: Callable[[str, int], None]
) -> None:
    consumer = lean(broker)
    consumer.connect()
    for number in range(300):
        publish("station-1", number)
    first = hear(consumer, 300)
    assert numbers(first) == list(range(300))
    consumer.settle([arrival for arrival in first if int(arrival.payload) % 3])
    consumer.close()
    for number in range(300, 310):
        publish("station-1", number)
    consumer.connect()
    again = hear(consumer, 110)
    assert sorted(numbers(again)) == [*range(0, 300, 3), *range(300, 310)]
    assert {arrival.link for arrival in first + again} == {1, 2}
    consumer.settle(again)
    consumer.close()


def test_a_worker_hears_its_partitions_alone_even_in_a_session_that_had_others(
    broker: TestBroker, publish: Callable[[str, int], None]
) -> None:
    consumer = lean(broker)
    consumer.connect()
    publish("station-1", 1)
    publish("station-2", 2)
    heard = hear(consumer, 2)
    assert sorted(numbers(heard)) == [1, 2]
    consumer.settle(heard)
    consumer.close()
    consumer = lean(broker, partitions=(partition("station-2"),))
    consumer.connect()
    publish("station-1", 3)
    publish("station-2", 4)
    heard = hear(consumer, 1) + hear(consumer, 1, seconds=1)
    assert [(arrival.topic, arrival.payload) for arrival in heard] == [
        (event_topic(SITE, "station-2", Kind.SCAN), b"4")
    ]
    consumer.settle(heard)
    consumer.close()


@contextmanager
def serving(*scripts: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> Iterator[Account]:
    """Serve one script a connection, in order; the account leads there."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for script in scripts:
                connection = listener.accept()[0]
                peer = Peer(tls.wrap_socket(connection, server_side=True) if tls else connection)
                script(peer)
                peer.close()
        except BaseException as error:
            failures.append(error)
            raise

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield Account("localhost", listener.getsockname()[1], "ingest", "secret", "ingest-0")
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not failures


def test_acknowledgements_that_the_broker_did_not_confirm_are_sent_again() -> None:
    frames: list[bytes] = []

    def first(peer: Peer) -> None:
        peer.accept()
        frames.extend(peer.read() for _ in range(2))
        peer.send(bytes([PUBACK, 2]) + frames[0][-4:-2])  # the payload is two bytes

    def second(peer: Peer) -> None:
        peer.accept()
        frames.append(peer.read())
        peer.read()

    with serving(first, second) as account:
        consumer = LeanConsumer(account)
        consumer.connect()
        consumer.publish("v1/a/ack/b", b"#1")
        consumer.publish("v1/a/ack/b", b"#2")
        with pytest.raises(BrokerError):
            hear(consumer, 1)
        consumer.connect()
        consumer.receive(1, 0.1)
        consumer.close()
    assert [frame[-2:] for frame in frames] == [b"#1", b"#2", b"#2"]
    assert frames[2] == bytes([frames[1][0] | wire.DUP]) + frames[1][1:]


def test_a_broker_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PING_AFTER_SECONDS", 0.2)
    pings: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept()
        pings.append(peer.read())
        peer.send(b"\xd0\x00")
        pings.append(peer.read())
        monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.3)  # now that the first ping is answered
        peer.read()

    with serving(script) as account:
        consumer = LeanConsumer(account)
        consumer.connect()
        with pytest.raises(BrokerError, match="ping"):
            hear(consumer, 1)
    assert pings == [wire.PINGREQ, wire.PINGREQ]


def test_a_connection_cut_within_a_message_leaves_nothing_behind() -> None:
    whole = wire.publish(7, "v1/a/p0/b/scan", b"whole")

    def first(peer: Peer) -> None:
        peer.accept()
        peer.send(whole + whole[:9])

    def second(peer: Peer) -> None:
        peer.accept()
        peer.send(whole)
        assert peer.read() == bytes([PUBACK, 2, 0, 7])

    with serving(first, second) as account:
        consumer = LeanConsumer(account)
        consumer.connect()
        with pytest.raises(BrokerError):
            hear(consumer, 2)
        consumer.connect()
        heard = hear(consumer, 1)
        consumer.settle(heard)
        consumer.close()
    assert [(arrival.payload, arrival.link) for arrival in heard] == [(b"whole", 2)]


def test_what_is_no_mqtt_ends_the_connection() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(b"\x00HTTP/1.1 400 Bad Request\r\n")
        peer.read()

    with serving(script) as account:
        consumer = LeanConsumer(account)
        consumer.connect()
        with pytest.raises(wire.ProtocolError):
            hear(consumer, 1)
        with pytest.raises(BrokerError):
            consumer.receive(1, 0)


def test_a_burst_over_tls_arrives_whole_and_a_stranger_is_not_trusted(tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate(tmp_path))
    payload = b"x" * 20_000

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(b"".join(wire.publish(mid, "v1/a/p0/b/scan", payload) for mid in range(1, 101)))
        for mid in range(1, 101):
            assert peer.read() == bytes([PUBACK, 2, 0, mid])

    with serving(script, tls=server) as account:
        consumer = LeanConsumer(account._replace(tls=ssl.create_default_context(cafile=tmp_path / "server.pem")))
        consumer.connect()
        heard = hear(consumer, 100)
        consumer.settle(heard)
        consumer.close()
    assert [arrival.mid for arrival in heard] == list(range(1, 101))
    assert {arrival.payload for arrival in heard} == {payload}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: refused(listener, server))
        thread.start()
        stranger = Account("localhost", listener.getsockname()[1], "ingest", "secret", "ingest-0")
        with pytest.raises(BrokerError, match="CERTIFICATE_VERIFY_FAILED"):
            LeanConsumer(stranger._replace(tls=ssl.create_default_context())).connect()
        thread.join(PATIENCE)


def refused(listener: socket.socket, server: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with pytest.raises(ssl.SSLError), connection:
        server.wrap_socket(connection, server_side=True).close()


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path
