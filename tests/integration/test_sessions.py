"""Several workers on NATS: one session of several subscriptions stalls there, a session for each partition does not."""

import select
from collections.abc import Callable

import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestBroker, TestDatabase
from ingest_parts import SITE, Edge, RunningWorker, hear, register, scan
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from waiting import PATIENCE, wait_for

from cli.main import main
from contracts.topics import Kind, event_topic, is_reserved, partition
from ingest.cli.parts import consumer_of, settings_from_environment
from ingest.mqtt import LeanConsumer
from ingest.mqtt.consumer import Account, Arrival, Consumer
from ingest.mqtt.sessions import PartitionedConsumer

DEVICES = ("station-1", "station-2", "station-3")
EACH = 900
WINDOW = 2000  # what the embedded broker lets a session leave unacknowledged


@pytest.fixture
def broker(start_broker: Callable[..., TestBroker]) -> TestBroker:
    assert len({partition(device) for device in DEVICES}) == len(DEVICES)
    return start_broker(dict.fromkeys(DEVICES, SITE))


def account(broker: TestBroker) -> Account:
    shares = tuple(sorted(partition(device) for device in DEVICES))
    return Account("127.0.0.1", broker.port, "ingest", broker.passwords["ingest"], "ingest-1", shares)


def publish_backlog(broker: TestBroker) -> None:
    """Publish from every device while no worker is there, and wait until the broker has it all."""
    for device in DEVICES:
        client = Client(CallbackAPIVersion.VERSION2, device, protocol=MQTTv311)
        client.username_pw_set(device, broker.passwords[device])
        client.max_inflight_messages_set(200)
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        sent = [
            client.publish(event_topic(SITE, device, Kind.SCAN), f"{device} {number}".encode(), qos=1)
            for number in range(EACH)
        ]
        for one in sent:
            one.wait_for_publish(PATIENCE)
        client.disconnect()
        client.loop_stop()


def until_quiet(consumer: Consumer, seconds: float = 1.5) -> list[Arrival]:
    """Take what comes, acknowledging nothing, until nothing comes for so long."""
    arrivals: list[Arrival] = []
    while fresh := consumer.receive(500, seconds):
        arrivals += fresh
    return arrivals


def backlog_for(consumer: Consumer, broker: TestBroker, expected: int) -> list[Arrival]:
    """Return what a worker hears of a backlog at once, acknowledging only in the end when no more comes."""
    consumer.connect()
    consumer.close()
    publish_backlog(broker)
    consumer.connect()
    arrivals = hear(consumer, expected) + until_quiet(consumer)
    consumer.settle(arrivals)
    return arrivals


def test_one_session_with_a_subscription_for_each_partition_stalls_on_nats(broker: TestBroker) -> None:
    consumer = LeanConsumer(account(broker))
    heard = backlog_for(consumer, broker, WINDOW)
    assert len(heard) == WINDOW < len(DEVICES) * EACH, "the rest was meant for this session and thrown away"
    assert until_quiet(consumer) == [], "and does not come when there is room again, but after ack_wait"
    consumer.close()


def test_a_session_for_each_partition_hears_everything_at_once_and_nothing_twice(broker: TestBroker) -> None:
    consumer = PartitionedConsumer(account(broker))
    heard = backlog_for(consumer, broker, len(DEVICES) * EACH)
    expected = sorted(f"{device} {number}".encode() for device in DEVICES for number in range(EACH))
    assert sorted(arrival.payload for arrival in heard) == expected
    consumer.close()
    consumer.connect()
    assert until_quiet(consumer) == [], "what was settled does not come again"
    consumer.close()


def test_a_worker_with_sessions_stores_and_acknowledges_like_any_other(
    broker: TestBroker, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(database.owner_dsn, dict.fromkeys(DEVICES, SITE))
    for name, value in {
        "DATABASE_URL": database.ingest_dsn,
        "BROKER_PORT": str(broker.port),
        "BROKER_PASSWORD": broker.passwords["ingest"],
        "SESSION_PER_PARTITION": "true",
        "PARTITIONS": ",".join(str(number) for number in account(broker).partitions),
    }.items():
        monkeypatch.setenv(f"INGEST_{name}", value)
    consumer = consumer_of(settings_from_environment())
    assert isinstance(consumer, PartitionedConsumer)
    edges = [Edge(broker.port, broker.passwords[device], device) for device in DEVICES]
    with RunningWorker(database, broker, consumer=consumer):
        for edge in edges:
            edge.deliver([(seq, [scan(f"{edge.device} {seq}")]) for seq in range(1, 40)], seconds=PATIENCE)
        broker.broker.stop()
        broker.broker.start()
        for edge in edges:
            edge.deliver([(seq, [scan(f"{edge.device} {seq}")]) for seq in range(40, 60)], seconds=PATIENCE)
            edge.close()
    with psycopg.connect(database.owner_dsn) as connection:
        stored = connection.execute("SELECT count(*), count(DISTINCT code) FROM landing.scan").fetchone()
    assert stored == (3 * 59, 3 * 59)


def test_the_sessions_take_turns(broker: TestBroker) -> None:
    consumer = PartitionedConsumer(account(broker))
    consumer.connect()
    consumer.close()
    publish_backlog(broker)
    consumer.connect()
    sessions = list(consumer._sessions.values())
    wait_for(lambda: all(each._inbox or each in select.select(sessions, [], [], 0)[0] for each in sessions))
    heard = [arrival for _ in range(len(DEVICES)) for arrival in consumer.receive(50, 1)]
    assert {arrival.payload.split()[0].decode() for arrival in heard} == set(DEVICES)
    consumer.close()


@pytest.mark.parametrize("name", ["ingest", "ingest-0", "INGEST-orders", "ingestion"])
def test_no_device_is_registered_under_a_name_of_ingests(database: TestDatabase, name: str) -> None:
    assert is_reserved(name)
    assert not is_reserved(f"a-{name}")
    statement = "INSERT INTO landing.device (id, site, kind) VALUES (%s, 'dc-east', 'station')"
    for dsn in (database.owner_dsn, database.trace_dsn):
        with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(statement, [name])


def test_sessions_on_the_paho_client_are_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CONSUMER": "paho", "SESSION_PER_PARTITION": "true", "BROKER_PASSWORD": "x"}.items():
        monkeypatch.setenv(f"INGEST_{name}", value)
    monkeypatch.setenv("INGEST_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = CliRunner().invoke(main, ["ingest", "run"])
    assert answer.exit_code == 2
    assert "INGEST_SESSION_PER_PARTITION needs INGEST_CONSUMER=lean" in answer.output


def test_an_orders_user_without_a_password_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("INGEST_BROKER_PASSWORD", "x")
    monkeypatch.setenv("INGEST_ORDERS_USER", "ingest-orders")
    answer = CliRunner().invoke(main, ["ingest", "pause", "--site", SITE, "--minutes", "1"])
    assert answer.exit_code == 2
    assert "INGEST_ORDERS_USER and INGEST_ORDERS_PASSWORD belong together" in answer.output
