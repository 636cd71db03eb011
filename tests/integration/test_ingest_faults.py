"""Whatever is killed, every captured nonce ends up committed exactly once, and once in the queue of work."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from conftest import TestBroker, TestDatabase
from ingest_parts import SITE, Edge, environment, ingest_process, query, register, scan
from waiting import PATIENCE, wait_for

from cli.embedded.binaries import service_account
from cli.embedded.postgres import EmbeddedPostgres
from trace_service.schema.migrate import Roles, migrate

DEVICE = "station-1"
EVENTS = 3000
Start = Callable[[Mapping[str, str]], TestBroker]


@pytest.fixture
def broker(start_broker: Start) -> TestBroker:
    return start_broker({DEVICE: SITE})


@pytest.fixture
def edge(broker: TestBroker) -> Iterator[Edge]:
    edge = Edge(broker.port, broker.passwords[DEVICE], DEVICE)
    yield edge
    edge.close()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "var", service_account())
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.home)


@contextmanager
def small_disk(folder: Path, user: int) -> Iterator[Path]:
    folder.mkdir()
    options = f"size=8m,mode=700,uid={user}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def numbered_messages() -> list[tuple[int, list[bytes]]]:
    """Nonces in messages of one to ten events, as a draining outbox sends them."""
    seeded = random.Random(7)
    messages, seq = [], 1
    while seq <= EVENTS:
        count = min(seeded.randint(1, 10), EVENTS - seq + 1)
        messages.append((seq, [scan(f"nonce-{number}") for number in range(seq, seq + count)]))
        seq += count
    return messages


@contextmanager
def delivering(edge: Edge) -> Iterator[Callable[[float], None]]:
    """Deliver all events meanwhile, and join at the end; the value waits until a share of them is acknowledged."""
    failures: list[BaseException] = []

    def deliver() -> None:
        try:
            edge.deliver(numbered_messages(), seconds=600)
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=deliver)
    thread.start()
    yield lambda share: wait_for(lambda: len(edge.committed()) >= share * EVENTS or failures, 600)
    thread.join()
    assert not failures


def assert_exactly_once(dsn: str) -> None:
    expected = Counter(f"nonce-{number}" for number in range(1, EVENTS + 1))
    assert Counter(code for (code,) in query(dsn, "SELECT code FROM landing.scan")) == expected
    queued = query(dsn, "SELECT seq FROM landing.queued WHERE kind = 'scan' ORDER BY seq")
    assert queued == [(seq,) for seq in range(1, EVENTS + 1)]
    assert query(dsn, "SELECT ranges::text FROM landing.received") == [(f"{{[1,{EVENTS + 1})}}",)]
    assert query(dsn, "SELECT count(*) FROM landing.dead_letter") == [(0,)]


def test_ingest_killed_at_random_moments(
    database: TestDatabase, broker: TestBroker, edge: Edge, tmp_path: Path
) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    env = environment(database.ingest_dsn, broker)
    seeded = random.Random(11)
    with delivering(edge) as reached:
        for share in (0.05, 0.35, 0.7):
            with ingest_process(env, tmp_path / "log") as process:
                reached(share)
                time.sleep(seeded.uniform(0, 0.05))
                process.send_signal(signal.SIGKILL)
        with ingest_process(env, tmp_path / "log"):
            reached(1)
    assert_exactly_once(database.owner_dsn)


def test_database_killed_and_restarted(
    own_postgres: EmbeddedPostgres, broker: TestBroker, edge: Edge, tmp_path: Path
) -> None:
    owner = own_postgres.database.dsn()
    migrate(owner, Roles(ingest="ingest-of-tests", trace="trace-of-tests"))
    register(owner, {DEVICE: SITE})
    server = own_postgres.database
    dsn = f"postgresql://codefence_ingest:ingest-of-tests@{server.host}:{server.port}/{server.name}"
    with delivering(edge) as reached, ingest_process(environment(dsn, broker), tmp_path / "log"):
        for share in (0.1, 0.5):
            reached(share)
            assert own_postgres.process is not None
            assert own_postgres.process.pid is not None
            os.kill(own_postgres.process.pid, signal.SIGKILL)
            time.sleep(0.5)
            own_postgres.start()
        reached(1)
    assert_exactly_once(owner)
    assert b'"ingest.hold"' in (tmp_path / "log").read_bytes()


def test_database_on_a_full_disk_takes_everything_once_there_is_room(
    own_postgres: EmbeddedPostgres, broker: TestBroker, edge: Edge, tmp_path: Path
) -> None:
    account = service_account()
    if account is None:
        pytest.skip("a small disk can only be mounted by root")
    owner = own_postgres.database.dsn()
    migrate(owner, Roles(ingest="ingest-of-tests", trace="trace-of-tests"))
    register(owner, {DEVICE: SITE})
    server = own_postgres.database
    dsn = f"postgresql://codefence_ingest:ingest-of-tests@{server.host}:{server.port}/{server.name}"
    with small_disk(own_postgres.home / "small", account.uid) as disk:
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            connection.execute("ALTER TABLE landing.scan SET TABLESPACE small")
            # What a failed transaction has left would be room for others.
            connection.execute("ALTER TABLE landing.scan SET (autovacuum_enabled = off)")
        with delivering(edge) as reached, ingest_process(environment(dsn, broker), tmp_path / "log"):
            reached(0.02)
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(512))
            wait_for(lambda: b"53100" in (tmp_path / "log").read_bytes())
            wait_for(lambda: [(len(edge.committed()),)] == query(owner, "SELECT count(*) FROM landing.scan"))
            committed = len(edge.committed())
            time.sleep(1)
            assert len(edge.committed()) == committed < EVENTS
            ballast.unlink()
            reached(1)
        assert_exactly_once(owner)
        own_postgres.stop()


def test_broker_killed_and_restarted(database: TestDatabase, broker: TestBroker, edge: Edge, tmp_path: Path) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    with delivering(edge) as reached, ingest_process(environment(database.ingest_dsn, broker), tmp_path / "log"):
        for share in (0.1, 0.5):
            reached(share)
            assert broker.broker.process is not None
            assert broker.broker.process.pid is not None
            os.kill(broker.broker.process.pid, signal.SIGKILL)
            time.sleep(0.3)
            broker.broker.start()
        reached(1)
    assert_exactly_once(database.owner_dsn)
    assert b'"ingest.broker"' in (tmp_path / "log").read_bytes()


def test_started_before_database_and_broker_it_waits_and_drains_on_sigterm(
    own_postgres: EmbeddedPostgres, broker: TestBroker, edge: Edge, tmp_path: Path
) -> None:
    owner = own_postgres.database.dsn()
    migrate(owner, Roles(ingest="ingest-of-tests", trace="trace-of-tests"))
    register(owner, {DEVICE: SITE})
    own_postgres.stop()
    broker.broker.stop()
    server = own_postgres.database
    dsn = f"postgresql://codefence_ingest:ingest-of-tests@{server.host}:{server.port}/{server.name}"
    log = tmp_path / "log"
    with ingest_process(environment(dsn, broker), log) as process:
        wait_for(lambda: b'"ingest.broker"' in log.read_bytes())
        broker.broker.start()
        wait_for(lambda: b'"ingest.connected"' in log.read_bytes())
        edge.wait_connected()
        edge.send(1, [scan("nonce-1")])
        wait_for(lambda: b'"ingest.hold"' in log.read_bytes())
        assert edge.committed() == set()
        own_postgres.start()
        wait_for(lambda: edge.committed() == {1})
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert b'"ingest.stopped"' in log.read_bytes()
    assert query(owner, "SELECT code FROM landing.scan") == [("nonce-1",)]
