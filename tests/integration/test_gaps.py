"""Holes in what was received: asked for, filled by the device, or alerted; and fleets that pause."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from click.testing import CliRunner, Result
from conftest import TestBroker, TestDatabase
from ending import end
from ingest_parts import SITE, Edge, RunningWorker, environment, ingest_process, now_ms, query, register, scan
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr
from waiting import wait_for

from contracts.messages import Pause, Resend, Status, decode_command, encode_event, pack
from contracts.topics import Kind, command_topic, event_topic
from edge.outbox import Draft, Outbox
from edge.settings import AgentSettings
from edge.uplink import Uplink
from ingest.cli.group import ingest
from ingest.landing.decode import decode
from ingest.landing.rows import moment
from ingest.landing.writer import Writer, connect
from ingest.upkeep.gaps import ASKED_BEFORE_ALERT, Watch, watch

DEVICE, OTHER = "station-1", "station-2"
LIMIT = timedelta(seconds=60)
Start = Callable[[Mapping[str, str]], TestBroker]


class Time:
    """A device that is heard of, and a watcher, on one clock that a test turns."""

    def __init__(self, database: TestDatabase) -> None:
        register(database.owner_dsn, {DEVICE: SITE})
        self.database = database
        self.boot = "ab" * 16
        self.now = now_ms()
        self._writer = Writer(database.ingest_dsn, "test")

    def receive(self, *seqs: int) -> None:
        topic = event_topic(SITE, DEVICE, Kind.SCAN)
        messages = [pack(self.boot, seq, self.now, [scan(f"{seq}", ts=self.now)]) for seq in seqs]
        self._writer.write([decode(topic, message, self.now) for message in messages])

    def after(self, seconds: float) -> Watch:
        self.now += round(seconds * 1000)
        with connect(self.database.ingest_dsn, "watch") as connection, connection.transaction():
            return watch(connection, LIMIT, moment(self.now))

    def speak(self) -> None:
        """Say something that fills no hole."""
        topic = event_topic(SITE, DEVICE, Kind.STATUS)
        ((top,),) = query(self.database.owner_dsn, "SELECT upper(ranges) FROM landing.received")
        status = encode_event(Status(ts=self.now, state="online"))
        self._writer.write([decode(topic, pack(self.boot, top, self.now, [status]), self.now)])

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
def time(database: TestDatabase) -> Iterator[Time]:
    time = Time(database)
    yield time
    time.close()


def asked(seen: Watch) -> list[tuple[int, int]]:
    commands = [decode_command(order.payload) for order in seen.orders]
    return [(one.first, one.last) for one in commands if isinstance(one, Resend)]


def test_a_hole_that_stands_still_is_asked_for_ever_more_rarely_and_then_alerted(time: Time) -> None:
    time.receive(1, 2, 6, 9)
    assert asked(time.after(0)) == []
    intervals = []
    waited = 0
    while len(intervals) <= ASKED_BEFORE_ALERT:
        time.speak()
        waited += 30
        seen = time.after(30)
        assert (seen.alerted > 0) == (len(intervals) == ASKED_BEFORE_ALERT and bool(seen.orders))
        if seen.orders:
            assert asked(seen) == [(3, 5), (7, 8)]
            assert seen.orders[0].topic == command_topic(SITE, DEVICE)
            intervals.append(waited)
            waited = 0
    assert intervals == [60, 120, 240, 480, 960]
    assert query(time.database.owner_dsn, "SELECT count(*), count(alerted_at) FROM landing.gap") == [(2, 2)]
    time.receive(3, 4, 5, 7, 8)
    seen = time.after(0)
    assert (seen.open, seen.alerted) == (0, 0)
    assert query(time.database.owner_dsn, "SELECT count(closed_at) FROM landing.gap") == [(2,)]


def test_a_hole_that_is_being_filled_is_left_alone_and_what_is_left_of_it_asked_for(time: Time) -> None:
    time.receive(1, 100)
    for seq in range(2, 12):
        time.receive(seq)
        assert asked(time.after(45)) == []
    time.speak()
    time.after(1)
    time.speak()
    assert asked(time.after(61)) == [(12, 99)]
    time.receive(50)
    time.after(1)
    time.speak()
    assert asked(time.after(121)) == [(12, 49), (51, 99)]


def test_events_that_only_overtook_one_another_leave_no_trace(time: Time) -> None:
    time.receive(1, 3)
    time.after(1)
    time.receive(2)
    time.after(1)
    assert query(time.database.owner_dsn, "SELECT count(*) FROM landing.gap") == [(0,)]


def test_a_device_that_is_away_or_retired_is_not_asked(time: Time) -> None:
    time.receive(1, 3)
    time.after(1)
    assert asked(time.after(3600)) == []
    time.speak()
    assert asked(time.after(1)) == [(2, 2)]
    query(time.database.owner_dsn, "UPDATE landing.device SET retired_at = now() RETURNING id")
    time.speak()
    assert asked(time.after(7200)) == []


@pytest.fixture
def broker(start_broker: Start) -> TestBroker:
    return start_broker({DEVICE: SITE, OTHER: SITE})


def command(database: TestDatabase, broker: TestBroker, *arguments: str) -> Result:
    env = environment(database.ingest_dsn, broker)
    return CliRunner().invoke(ingest, list(arguments), env=env)


def retained(broker: TestBroker, device: str, expected: int = 1) -> list[bytes]:
    """Return what a device that connects now hears first, and half a second later."""
    heard: list[bytes] = []
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"late-{device}")
    client.username_pw_set(device, broker.passwords[device])
    client.on_connect = lambda client, *_: client.subscribe(command_topic(SITE, device), 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: heard.append(bytes(message.payload))
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    wait_for(lambda: subscribed.is_set() and len(heard) >= expected)
    threading.Event().wait(0.5)
    end(client)
    return heard


def test_a_site_pauses_and_resumes_for_devices_that_connect_later_too(
    database: TestDatabase, broker: TestBroker
) -> None:
    register(database.owner_dsn, {DEVICE: SITE, OTHER: SITE})
    paused = command(database, broker, "pause", "--site", SITE, "--minutes", "30")
    assert paused.stdout == "paused: 2 devices, for 0:30:00\n"
    for device in (DEVICE, OTHER):
        (payload,) = retained(broker, device)
        order = decode_command(payload)
        assert isinstance(order, Pause)
        assert 29 * 60_000 < order.until - now_ms() <= 30 * 60_000
    assert command(database, broker, "resume", "--device", DEVICE).exit_code == 0
    assert retained(broker, DEVICE, expected=0) == []
    assert len(retained(broker, OTHER)) == 1


def test_a_command_to_nobody_or_to_an_absent_broker_says_so(database: TestDatabase, broker: TestBroker) -> None:
    nobody = command(database, broker, "pause", "--device", "ghost", "--minutes", "5")
    assert (nobody.exit_code, "DEVICE_MISSING" in nobody.stderr) == (1, True)
    assert command(database, broker, "resume").exit_code == 2
    register(database.owner_dsn, {DEVICE: SITE})
    broker.broker.stop()
    away = command(database, broker, "resume", "--device", DEVICE)
    assert (away.exit_code, "BROKER_UNAVAILABLE" in away.stderr) == (1, True)


def test_what_the_database_forgot_comes_back_from_the_edge_unasked_by_anyone(
    database: TestDatabase, broker: TestBroker, tmp_path: Path
) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    settings = AgentSettings(
        data=tmp_path / "edge",
        device=DEVICE,
        site=SITE,
        broker_port=broker.port,
        broker_password=SecretStr(broker.passwords[DEVICE]),
    )
    settings.data.mkdir()
    outbox = Outbox(settings.data / "outbox.db")
    uplink = Uplink(settings, outbox, "1.0", lambda: None)
    env = environment(database.ingest_dsn, broker)
    env |= {"INGEST_MAINTENANCE_SECONDS": "0.2", "INGEST_GAP_SECONDS": "1"}
    log = tmp_path / "log"
    with ingest_process(env, log):
        wait_for(lambda: "ingest.connected" in log.read_text("utf-8"))
        uplink.start()
        try:
            outbox.add([Draft(Kind.SCAN, scan(f"{number}"), now_ms()) for number in range(20)])
            wait_for(lambda: outbox.depth == 0)
            # As after a restore: the rows and the memory of them are gone, the device believes them safe.
            forget = "UPDATE landing.received SET ranges = ranges - int8multirange(int8range(3, 9)) RETURNING device"
            query(database.owner_dsn, forget)
            query(database.owner_dsn, "DELETE FROM landing.scan WHERE seq BETWEEN 3 AND 8 RETURNING seq")
            whole = "SELECT count(DISTINCT code), count(*) FROM landing.scan"
            wait_for(lambda: query(database.owner_dsn, "SELECT 1 FROM landing.gap"))
            outbox.add([Draft(Kind.SCAN, scan("20"), now_ms())])
            wait_for(lambda: query(database.owner_dsn, whole) == [(21, 21)])
            wait_for(lambda: query(database.owner_dsn, "SELECT asked FROM landing.gap WHERE closed_at IS NOT NULL"))
        finally:
            uplink.stop(0)
            outbox.close()
    actions = [json.loads(line)["action"] for line in log.read_text("utf-8").splitlines()]
    assert {"ingest.gap", "ingest.gap_closed"} <= set(actions)


def test_the_registry_is_listed_with_what_is_known_of_each_device(database: TestDatabase, broker: TestBroker) -> None:
    register(database.owner_dsn, {DEVICE: SITE, OTHER: SITE})
    with RunningWorker(database, broker):
        edge = Edge(broker.port, broker.passwords[DEVICE], DEVICE)
        status = Status(ts=now_ms(), state="online", firmware="2.1", outbox_depth=7)
        edge.send(4, [encode_event(status)], Kind.STATUS)
        wait_for(lambda: edge.committed() == {4})
        edge.close()
    assert command(database, broker, "maintain").exit_code == 0
    rows = [json.loads(line) for line in command(database, broker, "devices", "--json").stdout.splitlines()]
    known = [(row["id"], row["firmware"], row["outbox_depth"], row["gaps"], row["missing"]) for row in rows]
    assert known == [(DEVICE, "2.1", 7, 1, 3), (OTHER, "", 0, 0, 0)]
    assert abs(rows[0]["skew_ms"]) < 5000
    assert "never" in command(database, broker, "devices").stdout
