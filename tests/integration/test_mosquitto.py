"""Mosquitto under the configuration that is deployed: who may do what, and events from a device to the database."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
import yaml
from conftest import TestDatabase
from ending import end
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr
from waiting import wait_for

from cli.embedded.files import kept_port, port_answers
from cli.embedded.process import Child, Running
from cli.installation import codefence
from contracts.messages import MAX_BODY_BYTES, Ack, Scan, encode_ack, encode_event
from contracts.topics import Kind, ack_topic, command_topic, event_filters, event_topic
from edge.outbox import Draft, Outbox
from edge.outbox.outbox import now_ms
from edge.settings import AgentSettings
from edge.uplink import Uplink

DEPLOY = Path(__file__).parents[2] / "deploy"
SITE = "dc-east"
OURS, OTHER = "scanner-1", "scanner-2"
PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

pytestmark = pytest.mark.skipif(
    PROGRAM is None or shutil.which("mosquitto_passwd") is None,
    reason="Mosquitto is absent: apt-get install mosquitto",
)


class Mosquitto:
    """The deployed configuration on loopback ports, with secrets as the operator makes them."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "secrets"
        environment = {"PATH": os.environ.get("PATH", os.defpath), "CODEFENCE_SECRETS": str(self.secrets)}
        for command in (["make-secrets", "localhost"], ["broker-user", OURS, OTHER]):
            subprocess.run([str(DEPLOY / command[0]), *command[1:]], env=environment, check=True, capture_output=True)
        self.port, self.tls_port = kept_port(folder / "plain"), kept_port(folder / "tls")
        self.mutual_port = kept_port(folder / "mutual")
        (folder / "data").mkdir()
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(self._adapted(folder), "utf-8")
        self.running = Running(folder, self._child())

    def _adapted(self, folder: Path) -> str:
        text = (DEPLOY / "mosquitto.conf").read_text("utf-8")
        account = "root" if os.geteuid() == 0 else "mosquitto"
        for deployed, here in {
            "user mosquitto": f"user {account}",
            "/run/secrets/": f"{self.secrets}/",
            "/mosquitto/data/": f"{folder / 'data'}/",
            "listener 8883": f"listener {self.tls_port} 127.0.0.1",
            "listener 8884": f"listener {self.mutual_port} 127.0.0.1",
            "listener 1883": f"listener {self.port} 127.0.0.1",
        }.items():
            assert deployed in text
            text = text.replace(deployed, here)
        return text

    def _child(self) -> Child:
        assert PROGRAM is not None
        argv = [PROGRAM, "-c", str(self._configuration)]
        ports = (self.port, self.tls_port, self.mutual_port)
        return Child("mosquitto", argv, {"PATH": os.defpath}, ready=lambda: all(map(port_answers, ports)))

    def start(self) -> None:
        self.running.start()
        self.running.wait_ready()

    def password(self, user: str) -> str:
        own = {"ingest-0": "ingest_0_broker_password", "ingest-orders": "ingest_orders_password"}
        path = self.secrets / own[user] if user in own else self.secrets / "devices" / user
        return path.read_text("ascii").strip()


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    yield broker
    broker.running.stop()


class Peer:
    """A plain MQTT client that remembers what it heard."""

    def __init__(
        self, broker: Mosquitto, user: str, *, client_id: str = "", password: str = "", persistent: bool = False
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.losses = 0
        self.reason: Any = None
        self._confirmed: set[int] = set()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id or user, clean_session=not persistent, reconnect_on_failure=False
        )
        self.client.username_pw_set(user, password or broker.password(user))
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _client, _data, message: self.heard.append((message.topic, message.payload))
        self.client.on_publish = lambda _client, _data, mid, *_: self._confirmed.add(mid)
        self.client.on_subscribe = lambda _client, _data, mid, *_: self._confirmed.add(mid)
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        wait_for(lambda: self.reason is not None)

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _more: object) -> None:
        self.reason = reason

    def _on_disconnect(self, *_: object) -> None:
        self.losses += 1

    def subscribe(self, *filters: str) -> None:
        _, mid = self.client.subscribe([(each, 1) for each in filters])
        wait_for(lambda: mid in self._confirmed)

    def publish(self, topic: str, payload: bytes = b"x") -> None:
        mid = self.client.publish(topic, payload, qos=1).mid
        wait_for(lambda: mid in self._confirmed)

    def topics(self) -> list[str]:
        return [topic for topic, _ in self.heard]

    def close(self) -> None:
        end(self.client)


Connect = Callable[..., Peer]


@pytest.fixture
def connect(mosquitto: Mosquitto) -> Iterator[Connect]:
    peers: list[Peer] = []

    def make(user: str, *, client_id: str = "", password: str = "", persistent: bool = False) -> Peer:
        peers.append(Peer(mosquitto, user, client_id=client_id, password=password, persistent=persistent))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


def test_the_operators_script_makes_what_the_compose_file_mounts_and_never_again(mosquitto: Mosquitto) -> None:
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text("utf-8"))
    always = {name if isinstance(name, str) else name["source"] for service in compose["services"].values()
              if "profiles" not in service for name in service.get("secrets", [])}  # fmt: skip
    made = {path.name: path.read_text("ascii") for path in mosquitto.secrets.iterdir() if path.is_file()}
    assert always <= made.keys()
    assert [name for name in always if not made[name].strip()] == []
    passwords = [made[name] for name in always if name.endswith("password")]
    assert len(set(passwords)) == len(passwords) == 6
    assert made["database_owner_password"].strip() in made["trace_owner_url"]
    assert {oct(path.stat().st_mode)[-2:] for path in mosquitto.secrets.iterdir() if path.suffix != ".pem"} == {"00"}
    environment = {"PATH": os.environ.get("PATH", os.defpath), "CODEFENCE_SECRETS": str(mosquitto.secrets)}
    again = subprocess.run(
        [str(DEPLOY / "make-secrets"), "localhost"], env=environment, capture_output=True, check=False
    )
    assert again.returncode == 1
    assert b"nothing was changed" in again.stderr


def test_a_device_is_heard_on_its_own_topics_alone(connect: Connect) -> None:
    ingest, device = connect("ingest-0"), connect(OURS)
    ingest.subscribe(*event_filters())
    own = [event_topic(SITE, OURS, kind) for kind in Kind]
    forged = [event_topic(SITE, OTHER, Kind.SCAN), f"v1/{SITE}/p0/{OURS}/other", f"v1/{SITE}/p0/{OURS}"]
    for topic in [*forged, *own]:
        device.publish(topic)
    wait_for(lambda: len(ingest.heard) >= len(own))
    assert sorted(ingest.topics()) == sorted(own)


def test_only_ingest_acknowledges_and_commands(connect: Connect) -> None:
    victim, attacker, ingest = connect(OTHER), connect(OURS), connect("ingest-0")
    topics = [ack_topic(SITE, OTHER), command_topic(SITE, OTHER)]
    victim.subscribe(*topics)
    for topic in topics:
        attacker.publish(topic, encode_ack(Ack(boot="0" * 32, committed=((1, 99),))))
        attacker.publish(topic.replace(OTHER, OURS), b"forged for itself")
    for topic in topics:
        ingest.publish(topic, b"genuine")
    wait_for(lambda: len(victim.heard) >= 2)
    assert victim.heard == [(topic, b"genuine") for topic in topics]


def test_a_device_hears_nothing_but_its_own_acknowledgements_and_commands(connect: Connect) -> None:
    eavesdropper, other, ingest = connect(OURS), connect(OTHER), connect("ingest-0")
    eavesdropper.subscribe("#", "$SYS/#", ack_topic(SITE, OTHER))
    other.publish(event_topic(SITE, OTHER, Kind.SCAN))
    ingest.publish(ack_topic(SITE, OTHER))
    ingest.publish(ack_topic(SITE, OURS), b"mine")
    wait_for(lambda: eavesdropper.heard)
    assert eavesdropper.heard == [(ack_topic(SITE, OURS), b"mine")]


def test_who_gives_orders_from_the_command_line_commands_and_does_nothing_else(connect: Connect) -> None:
    victim, orders, ingest, device = connect(OTHER), connect("ingest-orders"), connect("ingest-0"), connect(OURS)
    victim.subscribe(ack_topic(SITE, OTHER), command_topic(SITE, OTHER))
    orders.subscribe("#")
    ingest.subscribe(*event_filters())
    orders.publish(ack_topic(SITE, OTHER), encode_ack(Ack(boot="0" * 32, committed=((1, 99),))))
    orders.publish(event_topic(SITE, OTHER, Kind.SCAN))
    orders.publish(command_topic(SITE, OTHER), b"pause")
    device.publish(event_topic(SITE, OURS, Kind.SCAN))
    wait_for(lambda: victim.heard and ingest.heard)
    assert victim.heard == [(command_topic(SITE, OTHER), b"pause")]
    assert ingest.topics() == [event_topic(SITE, OURS, Kind.SCAN)]
    assert orders.heard == []


@pytest.mark.parametrize("name", ["ingest", "ingest-orders2", "Ingest-0", "ingestion", "ingest-"])
def test_no_device_gets_a_name_of_ingests(mosquitto: Mosquitto, name: str) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "CODEFENCE_SECRETS": str(mosquitto.secrets)}
    refused = subprocess.run([DEPLOY / "broker-user", name], env=environment, capture_output=True, check=False)
    assert refused.returncode == 2
    assert b"kept for ingest" in refused.stderr
    assert not (mosquitto.secrets / "devices" / name).exists()


@pytest.mark.parametrize("victim", [OTHER, "ingest-0"])
def test_nobody_ends_anothers_session_by_its_client_id(connect: Connect, victim: str) -> None:
    sitting, attacker = connect(victim), connect(OURS, client_id=victim)
    assert not attacker.reason.is_failure
    topic = ack_topic(SITE, victim) if victim != "ingest-0" else event_topic(SITE, OTHER, Kind.SCAN)
    sitting.subscribe(topic)
    speaker = connect("ingest-0" if victim != "ingest-0" else OTHER)
    speaker.publish(topic)
    wait_for(lambda: sitting.heard)
    assert sitting.losses == 0


@pytest.mark.parametrize(("user", "password"), [(OURS, "wrong"), ("stranger", "anything"), ("", "anything")])
def test_a_wrong_password_an_unknown_name_and_no_name_are_refused(connect: Connect, user: str, password: str) -> None:
    assert connect(user, password=password, client_id="x").reason.is_failure


def test_the_largest_message_of_the_contract_passes_and_more_ends_the_connection(connect: Connect) -> None:
    ingest, device = connect("ingest-0"), connect(OURS)
    ingest.subscribe(*event_filters())
    device.publish(event_topic(SITE, OURS, Kind.SCAN), b"x" * (MAX_BODY_BYTES + 128))
    wait_for(lambda: ingest.heard)
    device.client.publish(event_topic(SITE, OURS, Kind.SCAN), b"x" * (2 * MAX_BODY_BYTES), qos=1)
    wait_for(lambda: device.losses)
    assert len(ingest.heard) == 1


def test_new_users_get_in_and_removed_ones_do_not_after_a_hangup_signal(mosquitto: Mosquitto, connect: Connect) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "CODEFENCE_SECRETS": str(mosquitto.secrets)}
    inode = (mosquitto.secrets / "broker_passwords").stat().st_ino
    subprocess.run([str(DEPLOY / "broker-user"), "late"], env=environment, check=True, capture_output=True)
    assert (mosquitto.secrets / "broker_passwords").stat().st_ino == inode, "a container holds on to this very file"
    assert connect("late").reason.is_failure
    assert mosquitto.running.pid is not None
    os.kill(mosquitto.running.pid, 1)
    wait_for(lambda: not connect("late").reason.is_failure)
    old = mosquitto.password("late")
    subprocess.run([str(DEPLOY / "broker-user"), "late"], env=environment, check=True, capture_output=True)
    os.kill(mosquitto.running.pid, 1)
    wait_for(lambda: connect("late", password=old).reason.is_failure)
    assert not connect("late").reason.is_failure


def test_a_device_that_is_denied_is_silenced_on_its_live_connection(mosquitto: Mosquitto, connect: Connect) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "CODEFENCE_SECRETS": str(mosquitto.secrets)}

    def tell(*arguments: str) -> None:
        subprocess.run([DEPLOY / "broker-acl", *arguments], env=environment, check=True, capture_output=True)
        assert mosquitto.running.pid is not None
        os.kill(mosquitto.running.pid, 1)

    ingest, stolen, other = connect("ingest-0"), connect(OURS), connect(OTHER)
    ingest.subscribe(*event_filters())
    stolen.publish(event_topic(SITE, OURS, Kind.SCAN), b"before")
    wait_for(lambda: ingest.heard)
    tell("--deny", OURS)
    rounds = count()

    def is_silent() -> bool:
        number = b"%d" % next(rounds)
        stolen.publish(event_topic(SITE, OURS, Kind.SCAN), number)
        other.publish(event_topic(SITE, OTHER, Kind.SCAN), number)
        wait_for(lambda: (event_topic(SITE, OTHER, Kind.SCAN), number) in ingest.heard)
        return (event_topic(SITE, OURS, Kind.SCAN), number) not in ingest.heard

    wait_for(is_silent)
    assert stolen.losses == 0
    tell("--allow", OURS)
    wait_for(lambda: stolen.publish(event_topic(SITE, OURS, Kind.ENV)) or ingest.topics()[-1].endswith("/env"))


def test_what_is_queued_for_ingest_survives_a_restart_of_the_broker(mosquitto: Mosquitto, connect: Connect) -> None:
    away = connect("ingest-0", persistent=True)
    away.subscribe(*event_filters())
    away.close()
    device, topic = connect(OTHER), event_topic(SITE, OTHER, Kind.ENV)
    for number in range(1500):  # more than Mosquitto's own default keeps
        device.client.publish(topic, b"%d" % number, qos=1)
    device.publish(topic, b"1500")
    mosquitto.running.stop()
    mosquitto.start()
    back = connect("ingest-0", persistent=True)
    wait_for(lambda: len(back.heard) >= 1501)
    assert sorted(int(payload) for _, payload in back.heard) == list(range(1501))
    connect("ingest-0")  # a clean session ends the kept one


@pytest.fixture
def ingest(mosquitto: Mosquitto, database: TestDatabase, tmp_path: Path) -> Iterator[Running]:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')", (OURS, SITE))
    environment = {
        "PATH": os.defpath,
        "INGEST_DATABASE_URL": database.ingest_dsn,
        "INGEST_BROKER_PORT": str(mosquitto.port),
        "INGEST_BROKER_USER": "ingest-0",
        "INGEST_BROKER_PASSWORD": mosquitto.password("ingest-0"),
        "INGEST_METRICS_PORT": str(kept_port(tmp_path / "metrics")),
    }
    url = f"http://127.0.0.1:{environment['INGEST_METRICS_PORT']}/metrics"
    check = [sys.executable, str(DEPLOY / "healthy.py"), url, "codefence_ingest_broker_connected 1.0"]

    def healthy() -> bool:
        return subprocess.run(check, capture_output=True, check=False).returncode == 0

    running = Running(tmp_path, Child("ingest", codefence("ingest", "run"), environment, ready=healthy))
    running.start()
    # The broker drops what nobody has subscribed to yet, and devices send that again after half a minute.
    running.wait_ready()
    yield running
    running.stop()


def test_events_reach_the_database_over_tls_once_each_whatever_restarts(
    mosquitto: Mosquitto, database: TestDatabase, ingest: Running, tmp_path: Path
) -> None:
    settings = AgentSettings(
        data=tmp_path,
        device=OURS,
        site=SITE,
        broker_host="localhost",
        broker_port=mosquitto.tls_port,
        broker_password=SecretStr(mosquitto.password(OURS)),
        tls_ca=mosquitto.secrets / "broker_ca.pem",
    )
    with Outbox(tmp_path / "outbox.db") as outbox:
        uplink = Uplink(settings, outbox, "1.0", lambda: None)
        uplink.start()
        try:
            keep(outbox, range(300))
            wait_for(lambda: outbox.depth == 0)
            mosquitto.running.stop()
            keep(outbox, range(300, 400))
            mosquitto.start()
            ingest.stop()
            keep(outbox, range(400, 500))
            ingest.start()
            wait_for(lambda: outbox.depth == 0)
        finally:
            uplink.stop(0)
    with psycopg.connect(database.owner_dsn) as connection:
        stored = connection.execute("SELECT code FROM landing.scan ORDER BY code").fetchall()
        letters = connection.execute("SELECT count(*) FROM landing.dead_letter").fetchone()
    assert stored == sorted((f"code-{number}",) for number in range(500))
    assert letters == (0,)


def keep(outbox: Outbox, numbers: range) -> None:
    events = [Scan(ts=now_ms(), code=f"code-{number}", symbology="datamatrix") for number in numbers]
    outbox.add([Draft(Kind.SCAN, encode_event(event), event.ts) for event in events])
