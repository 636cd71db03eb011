"""Mutual TLS end to end on a real Mosquitto: certificates as the operator makes them, an edge, ingest, revocation."""

import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg
import pytest
from conftest import TestDatabase
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from ending import end
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr, ValidationError
from test_mosquitto import DEPLOY, OTHER, OURS, PROGRAM, SITE, Mosquitto, keep
from waiting import wait_for

from cli.embedded.process import Child, Running
from cli.installation import codefence
from contracts.topics import Kind, event_topic
from edge.outbox import Outbox
from edge.settings import AgentSettings
from edge.uplink import Uplink
from ingest.settings import IngestSettings

pytestmark = pytest.mark.skipif(
    PROGRAM is None or shutil.which("mosquitto_passwd") is None,
    reason="Mosquitto is absent: apt-get install mosquitto",
)


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path_factory.mktemp("mutual"))
    for name in (OURS, OTHER, "ingest-0"):
        certify(broker.secrets, name)
    broker.start()
    yield broker
    broker.running.stop()


def script(secrets: Path, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "CODEFENCE_SECRETS": str(secrets), **more}
    command = [DEPLOY / "device-certificate", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, check=False)


def certify(secrets: Path, *arguments: str | Path, **more: str) -> None:
    done = script(secrets, *arguments, **more)
    assert done.returncode == 0, done.stderr


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


def expired(secrets: Path, folder: Path) -> None:
    """Make a certificate of the right authority that ended yesterday."""
    authority = x509.load_pem_x509_certificate((secrets / "broker_ca.pem").read_bytes())
    signer = serialization.load_pem_private_key((secrets / "broker_ca_key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    yesterday = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, OURS)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(yesterday - timedelta(days=1))
        .not_valid_after(yesterday)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "expired.key").write_bytes(key.private_bytes(*form))
    (folder / "expired.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))


class Client:
    """One TLS connection with any certificate and any claim of a name."""

    def __init__(self, broker: Mosquitto, certificate: Path | None, key: Path | None, claim: str = "") -> None:
        self.reason: object = None
        self.losses = 0
        self.heard: list[str] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, claim or "any", reconnect_on_failure=False)
        if claim:
            self.client.username_pw_set(claim, "anything")
        context = ssl.create_default_context(cafile=broker.secrets / "broker_ca.pem")
        if certificate:
            context.load_cert_chain(certificate, key)
        self.client.tls_set_context(context)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _client, _data, message: self.heard.append(message.topic)
        try:
            self.client.connect("localhost", broker.mutual_port)
        except (ssl.SSLError, ConnectionError):
            self.losses += 1
        self.client.loop_start()
        wait_for(lambda: self.reason is not None or self.losses)

    def _on_connect(self, _client: object, _data: object, _flags: object, reason: object, _more: object) -> None:
        self.reason = reason

    def _on_disconnect(self, *_: object) -> None:
        self.losses += 1

    @property
    def is_in(self) -> bool:
        return self.reason is not None and not self.losses

    def close(self) -> None:
        end(self.client)


@pytest.fixture
def connect(mosquitto: Mosquitto) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(name: str | None, claim: str = "", folder: Path | None = None) -> Client:
        home = folder or mosquitto.secrets / "devices"
        pair = (home / f"{name}.crt", home / f"{name}.key") if name else (None, None)
        clients.append(Client(mosquitto, *pair, claim))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def ingest(mosquitto: Mosquitto, database: TestDatabase, tmp_path: Path) -> Iterator[Running]:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')", (OURS, SITE))
    settings = {
        "DATABASE_URL": database.ingest_dsn,
        "BROKER_HOST": "localhost",
        "BROKER_PORT": str(mosquitto.mutual_port),
        "BROKER_USER": "ingest-0",
        "TLS_CA": str(mosquitto.secrets / "broker_ca.pem"),
        "TLS_CERT": str(mosquitto.secrets / "devices" / "ingest-0.crt"),
        "TLS_KEY": str(mosquitto.secrets / "devices" / "ingest-0.key"),
    }
    environment = {"PATH": os.defpath, **{f"INGEST_{name}": value for name, value in settings.items()}}
    running = Running(tmp_path, Child("ingest", codefence("ingest", "run"), environment))
    running.start()
    wait_for(lambda: b'"ingest.connected"' in running.log_path.read_bytes())
    yield running
    running.stop()


def test_an_edge_and_ingest_that_have_certificates_and_no_passwords_lose_nothing(
    mosquitto: Mosquitto, database: TestDatabase, ingest: Running, tmp_path: Path
) -> None:
    settings = AgentSettings(
        data=tmp_path,
        device=OURS,
        site=SITE,
        broker_host="localhost",
        broker_port=mosquitto.mutual_port,
        tls_ca=mosquitto.secrets / "broker_ca.pem",
        tls_cert=mosquitto.secrets / "devices" / f"{OURS}.crt",
        tls_key=mosquitto.secrets / "devices" / f"{OURS}.key",
    )
    with Outbox(tmp_path / "outbox.db") as outbox:
        uplink = Uplink(settings, outbox, "1.0", lambda: None)
        uplink.start()
        try:
            keep(outbox, range(200))
            wait_for(lambda: outbox.depth == 0)
            mosquitto.running.stop()
            keep(outbox, range(200, 300))
            mosquitto.start()
            wait_for(lambda: outbox.depth == 0)
        finally:
            uplink.stop(0)
    with psycopg.connect(database.owner_dsn) as connection:
        stored = connection.execute("SELECT code FROM landing.scan ORDER BY code").fetchall()
    assert stored == sorted((f"code-{number}",) for number in range(300))
    assert ingest.pid is not None


def test_without_a_certificate_of_this_authority_nobody_gets_in(
    mosquitto: Mosquitto, connect: Callable[..., Client], tmp_path: Path
) -> None:
    assert connect(OURS).is_in
    assert not connect(None, claim=OURS).is_in
    subject = ("-subj", f"/CN={OURS}", "-days", "1")
    own, key = tmp_path / f"{OURS}.crt", tmp_path / f"{OURS}.key"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", own, *subject)
    assert not connect(OURS, folder=tmp_path).is_in, "signed by itself"
    shutil.copy(mosquitto.secrets / "broker_tls_certificate", tmp_path / "broker.crt")
    shutil.copy(mosquitto.secrets / "broker_tls_key", tmp_path / "broker.key")
    assert not connect("broker", folder=tmp_path).is_in, "the broker's own certificate is for servers"
    expired(mosquitto.secrets, tmp_path)
    assert not connect("expired", folder=tmp_path).is_in, "its time is over"


def test_the_certificate_says_who_it_is_whatever_the_client_claims(connect: Callable[..., Client]) -> None:
    ingest, victim, attacker = connect("ingest-0"), connect(OTHER), connect(OURS, claim=OTHER)
    subscribed: list[int] = []
    ingest.client.on_subscribe = lambda _client, _data, mid, *_: subscribed.append(mid)
    _, mid = ingest.client.subscribe("v1/+/+/+/+", 1)
    wait_for(lambda: mid in subscribed)
    attacker.client.publish(event_topic(SITE, OTHER, Kind.SCAN), b"forged", qos=1)
    attacker.client.publish(event_topic(SITE, OURS, Kind.SCAN), b"own", qos=1)
    victim.client.publish(event_topic(SITE, OTHER, Kind.SCAN), b"own", qos=1)
    wait_for(lambda: len(ingest.heard) >= 2)
    assert sorted(ingest.heard) == sorted(event_topic(SITE, name, Kind.SCAN) for name in (OURS, OTHER))
    assert victim.is_in, "nobody took over its session"


def test_the_name_in_a_certificate_is_the_operators_and_a_devices_key_stays_with_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    key, request = tmp_path / "own.key", tmp_path / "own.csr"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", "/CN=ingest-0/O=evil", "-addext", "basicConstraints=CA:TRUE",
            "-out", request)  # fmt: skip
    certify(mosquitto.secrets, "scanner-9", request)
    made = mosquitto.secrets / "devices" / "scanner-9.crt"
    assert openssl("x509", "-in", made, "-noout", "-subject").split() == [b"subject=CN", b"=", b"scanner-9"]
    assert b"CA:FALSE" in openssl("x509", "-in", made, "-noout", "-text")
    assert not made.with_suffix(".key").exists()
    for name in ("devA/ev", "dev A", "", "ingest", "ingest-ev", "x" * 65):
        assert script(mosquitto.secrets, name).returncode == 2
    assert script(mosquitto.secrets, "--revoke", "nobody").returncode == 1


def test_a_revoked_certificate_opens_nothing_any_more_and_others_do(
    mosquitto: Mosquitto, connect: Callable[..., Client]
) -> None:
    certify(mosquitto.secrets, "stolen")
    inode = (mosquitto.secrets / "broker_revoked").stat().st_ino
    assert connect("stolen").is_in
    certify(mosquitto.secrets, "--revoke", "stolen")
    assert (mosquitto.secrets / "broker_revoked").stat().st_ino == inode, "a container holds on to this very file"
    assert mosquitto.running.pid is not None
    os.kill(mosquitto.running.pid, signal.SIGHUP)
    wait_for(lambda: not connect("stolen").is_in)
    assert connect(OTHER).is_in
    assert b"user stolen\ntopic deny #" in (mosquitto.secrets / "broker_acl").read_bytes()
    certify(mosquitto.secrets, "stolen")
    assert b"stolen" not in (mosquitto.secrets / "broker_acl").read_bytes()
    assert connect("stolen").is_in, "a new certificate after the device was found"


def test_ingest_needs_a_password_or_a_certificate() -> None:
    with pytest.raises(ValidationError, match="INGEST_BROKER_PASSWORD: Field required, or INGEST_TLS_CERT"):
        IngestSettings(database_url=SecretStr(""))
    assert IngestSettings(database_url=SecretStr(""), tls_cert=Path("worker.crt")).broker_password is None
