import os
import queue
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from ending import end
from paho.mqtt.enums import CallbackAPIVersion
from waiting import PATIENCE, wait_for

from cli.embedded.broker import Broker, BrokerUser
from contracts.errors import StartError

SCANNER = BrokerUser(
    "scanner", "s" * 32, publish=("v1/s1/p3/scanner/#",), subscribe=("v1/s1/ack/scanner", "v1/s1/cmd/scanner")
)
ROGUE = BrokerUser("rogue", "r" * 32, publish=("v1/s1/p4/rogue/#",), subscribe=("v1/s1/ack/rogue", "v1/s1/cmd/rogue"))
INGEST = BrokerUser("ingest", "i" * 32, publish=("v1/+/ack/+", "v1/+/cmd/+"), subscribe=("v1/+/+/+/+",))
USERS = (SCANNER, ROGUE, INGEST)


class Station:
    """A plain MQTT 3.1.1 client that keeps what it receives."""

    def __init__(self, port: int, user: BrokerUser, *, client_id: str = "", clean: bool = False) -> None:
        self.inbox: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.connections: queue.Queue[tuple[bool, bool]] = queue.Queue()
        self.losses: queue.Queue[str] = queue.Queue()
        self.grants: queue.Queue[list[bool]] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id or user.name, clean_session=clean)
        self._client.username_pw_set(user.name, user.password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = lambda _client, _data, message: self.inbox.put((message.topic, message.payload))
        self._client.on_connect = lambda _client, _data, flags, code, _properties: self.connections.put(
            (not code.is_failure, flags.session_present)
        )
        self._client.on_disconnect = lambda _client, _data, _flags, code, _properties: self.losses.put(str(code))
        self._client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self.grants.put(
            [not code.is_failure for code in codes]
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.accepted, self.resumed = self.connections.get(timeout=PATIENCE)

    def subscribe(self, topic_filter: str) -> bool:
        self._client.subscribe(topic_filter, qos=1)
        (granted,) = self.grants.get(timeout=PATIENCE)
        return granted

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE)

    def expect(self, count: int) -> list[tuple[str, bytes]]:
        return [self.inbox.get(timeout=PATIENCE) for _ in range(count)]

    def close(self) -> None:
        end(self._client)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "var", USERS)
    broker.start()
    yield broker
    broker.stop()


Connect = Callable[..., Station]


@pytest.fixture
def connect(broker: Broker) -> Iterator[Connect]:
    stations: list[Station] = []

    def make(user: BrokerUser, **options: bool | str) -> Station:
        station = Station(broker.port, user, **options)  # type: ignore[arg-type]
        stations.append(station)
        return station

    yield make
    for station in stations:
        station.close()


def kill(broker: Broker) -> None:
    assert broker.process is not None
    assert broker.process.pid is not None
    os.kill(broker.process.pid, signal.SIGKILL)
    process = broker.process
    wait_for(lambda: process.exit_code is not None)


def test_scans_reach_ingest_and_acks_reach_their_device(connect: Connect) -> None:
    ingest, scanner = connect(INGEST), connect(SCANNER)
    assert ingest.subscribe("v1/+/+/+/+")
    assert scanner.subscribe("v1/s1/ack/scanner")
    scanner.publish("v1/s1/p3/scanner/scan", b"carton")
    assert ingest.expect(1) == [("v1/s1/p3/scanner/scan", b"carton")]
    ingest.publish("v1/s1/ack/scanner", b"committed")
    assert scanner.expect(1) == [("v1/s1/ack/scanner", b"committed")]


@pytest.mark.parametrize(
    "topic",
    [
        "v1/s1/ack/scanner",
        "v1/s1/cmd/scanner",
        "v1/s1/ack/rogue",
        "v1/s1/p3/scanner/scan",
        "v1/s2/p4/rogue/scan",
        "v1/s1/p5/rogue/scan",
        "v1.s1.ack.scanner",
        "$MQTT/msgs/v1/s1/ack/scanner",
        "$MQTT/rmsgs/v1/s1/cmd/scanner",
        "$JS/API/STREAM/PURGE/$MQTT_msgs",
    ],
)
def test_a_device_publishes_only_under_its_own_topic(connect: Connect, topic: str) -> None:
    ingest, scanner, rogue = connect(INGEST), connect(SCANNER), connect(ROGUE)
    assert ingest.subscribe("v1/+/+/+/+")
    assert scanner.subscribe("v1/s1/ack/scanner")
    assert scanner.subscribe("v1/s1/cmd/scanner")
    rogue.publish(topic, b"forged", retain=True)
    rogue.publish("v1/s1/p4/rogue/scan", b"own")
    ingest.publish("v1/s1/ack/scanner", b"genuine")
    assert ingest.expect(1) == [("v1/s1/p4/rogue/scan", b"own")]
    assert scanner.expect(1) == [("v1/s1/ack/scanner", b"genuine")]
    assert ingest.inbox.empty()
    assert scanner.inbox.empty()


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "v1/#",
        "v1/+/ack/+",
        "v1/s1/ack/scanner",
        "v1/s1/+/rogue",
        "v1/>",
        "v1/s1/*/rogue",
        "$MQTT/msgs/#",
        "$SYS/#",
    ],
)
def test_a_device_reads_nothing_of_others(connect: Connect, topic_filter: str) -> None:
    assert not connect(ROGUE).subscribe(topic_filter)


def test_ingest_cannot_forge_a_scan(connect: Connect) -> None:
    watcher, ingest = connect(INGEST, client_id="watcher"), connect(INGEST)
    assert watcher.subscribe("v1/+/+/+/+")
    ingest.publish("v1/s1/p3/scanner/scan", b"forged")
    connect(SCANNER).publish("v1/s1/p3/scanner/scan", b"genuine")
    assert watcher.expect(1) == [("v1/s1/p3/scanner/scan", b"genuine")]


def test_a_device_under_the_name_of_ingests_session_reads_nothing(connect: Connect) -> None:
    ingest = connect(INGEST)
    assert ingest.subscribe("v1/+/+/+/+")
    ingest.close()
    connect(SCANNER).publish("v1/s1/p3/scanner/scan", b"secret")
    thief = connect(ROGUE, client_id="ingest")
    with pytest.raises(queue.Empty):
        thief.inbox.get(timeout=1)


def test_a_wrong_password_is_refused(broker: Broker) -> None:
    station = Station(broker.port, BrokerUser("scanner", "wrong"))
    station.close()
    assert not station.accepted


def test_messages_for_an_absent_subscriber_outlive_a_kill(broker: Broker, connect: Connect) -> None:
    ingest = connect(INGEST)
    assert ingest.subscribe("v1/+/+/+/+")
    ingest.close()
    scanner = connect(SCANNER)
    sent = [str(number).encode() for number in range(200)]
    for payload in sent:
        scanner.publish("v1/s1/p3/scanner/scan", payload)
    port = broker.port
    kill(broker)
    assert broker.start() == port
    again = connect(INGEST)
    assert again.resumed
    assert [payload for _, payload in again.expect(len(sent))] == sent


def test_a_retained_command_reaches_a_device_that_comes_later(broker: Broker, connect: Connect) -> None:
    connect(INGEST).publish("v1/s1/cmd/scanner", b"pause", retain=True)
    kill(broker)
    broker.start()
    scanner = connect(SCANNER)
    assert scanner.subscribe("v1/s1/cmd/scanner")
    assert scanner.expect(1) == [("v1/s1/cmd/scanner", b"pause")]


def test_reloading_lets_one_in_and_another_out_and_disturbs_no_third(broker: Broker, connect: Connect) -> None:
    scanner, rogue = connect(SCANNER), connect(ROGUE)
    newcomer = BrokerUser("newcomer", "n" * 32, publish=("v1/s1/p5/newcomer/#",))
    broker.reload([SCANNER, INGEST, newcomer])
    assert rogue.losses.get(timeout=PATIENCE)
    assert connect(newcomer).accepted
    assert scanner.losses.empty()


def test_a_message_over_256_kib_is_refused_and_one_of_that_size_is_not(connect: Connect) -> None:
    ingest, scanner = connect(INGEST), connect(SCANNER)
    assert ingest.subscribe("v1/+/+/+/+")
    payload = bytes(256 * 1024 - 100)
    scanner.publish("v1/s1/p3/scanner/scan", payload)
    assert ingest.expect(1) == [("v1/s1/p3/scanner/scan", payload)]
    scanner._client.publish("v1/s1/p3/scanner/scan", bytes(256 * 1024 + 1), qos=1)
    assert scanner.losses.get(timeout=PATIENCE)


def test_no_password_is_readable_and_a_second_broker_is_refused(broker: Broker, tmp_path: Path) -> None:
    configuration = tmp_path / "var" / "broker" / "nats.conf"
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    text = configuration.read_text(encoding="utf-8")
    assert not any(user.password in text for user in USERS)
    with pytest.raises(StartError, match="broker already runs on"):
        Broker(tmp_path / "var", USERS).start()
    assert broker.process is not None
    assert broker.process.pid is not None
