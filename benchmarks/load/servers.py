"""The embedded PostgreSQL and a real broker, in a folder that goes away afterwards."""

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import psycopg

from benchmarks.load.messages import DEVICES, SITE
from cli.embedded.binaries import service_account
from cli.embedded.broker import Broker, BrokerUser
from cli.embedded.files import kept_port, port_answers
from cli.embedded.postgres import Database, EmbeddedPostgres
from cli.embedded.process import Child, Running
from cli.embedded.users import ingest_user
from trace_service.schema.migrate import Roles, migrate

_LOAD: Final = "load"
_PASSWORD: Final = secrets.token_urlsafe(12)
# The deployed settings that throughput depends on.
_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 300
max_queued_messages 200000
max_queued_bytes 1073741824
max_inflight_messages 2000
set_tcp_nodelay true
{user}
"""


class Servers(NamedTuple):
    """Where everything listens; `password` lets in `ingest` and `load`, who may publish and hear anything."""

    broker_name: str
    port: int
    password: str
    owner_dsn: str
    ingest_dsn: str


def brokers() -> list[str]:
    """Return the brokers that this machine has; the wheel of NATS is always there."""
    return ["nats"] if _mosquitto() is None else ["mosquitto", "nats"]


@contextmanager
def servers(broker: str = "") -> Iterator[Servers]:
    """Run PostgreSQL with a migrated database and registered devices, and a broker: the first one if none is named."""
    folder = Path(tempfile.mkdtemp(prefix="codefence-bench-"))
    postgres = EmbeddedPostgres(folder, service_account())
    try:
        with _broker(folder, broker or brokers()[0]) as (name, port):
            owner, ingest = _prepared(postgres.start())
            yield Servers(name, port, _PASSWORD, owner, ingest)
    finally:
        postgres.stop()
        shutil.rmtree(postgres.home, ignore_errors=True)
        shutil.rmtree(folder)


def commits_per_s(dsn: str) -> float:
    """Return how many one-row transactions a second the disk under the database takes."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench.tick (at timestamptz)")
        count, started = 0, time.monotonic()
        while (elapsed := time.monotonic() - started) < 1.0:
            connection.execute("INSERT INTO bench.tick VALUES (now())")
            count += 1
    return count / elapsed


def _prepared(database: Database) -> tuple[str, str]:
    owner, password = database.dsn(), secrets.token_urlsafe(12)
    migrate(owner, Roles(ingest=password, trace=secrets.token_urlsafe(12)))
    with psycopg.connect(owner) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')", [(one, SITE) for one in DEVICES]
        )
        cursor.execute("CREATE SCHEMA bench")
    parts = urlsplit(owner)
    ingest = parts._replace(netloc=f"codefence_ingest:{password}@{parts.hostname}:{parts.port}")
    return owner, urlunsplit(ingest)


def _mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


@contextmanager
def _broker(folder: Path, name: str) -> Iterator[tuple[str, int]]:
    program = _mosquitto()
    if program is None or name == "nats":
        anyone = BrokerUser(_LOAD, _PASSWORD, publish=("v1/+/+/+/+",), subscribe=("v1/+/ack/+", "v1/+/cmd/+"))
        broker = Broker(folder, [anyone, ingest_user(_PASSWORD)])
        yield "nats", broker.start()
        broker.stop()
        return
    port = kept_port(folder / "port")
    configuration = folder / "mosquitto.conf"
    user = "user root" if os.geteuid() == 0 else ""
    configuration.write_text(_MOSQUITTO.format(port=port, folder=folder, user=user), "ascii")
    child = Child(
        "mosquitto", [program, "-c", str(configuration)], {"PATH": os.defpath}, ready=lambda: port_answers(port)
    )
    running = Running(folder, child)
    running.start()
    running.wait_ready()
    yield "mosquitto", port
    running.stop()
