"""What goes on at the broker's side while the database works on a batch."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest
from conftest import TestBroker, TestDatabase
from ingest_parts import SITE, Edge, RunningWorker, query, register, scan
from psycopg.errors import QueryCanceled
from waiting import wait_for

from ingest.landing.writer import connect

DEVICE = "station-1"


@pytest.fixture
def broker(start_broker: Callable[[Mapping[str, str]], TestBroker], database: TestDatabase) -> TestBroker:
    register(database.owner_dsn, {DEVICE: SITE})
    return start_broker({DEVICE: SITE})


@pytest.fixture
def edge(broker: TestBroker) -> Iterator[Edge]:
    edge = Edge(broker.port, broker.passwords[DEVICE], DEVICE)
    yield edge
    edge.close()


@contextmanager
def held_up(database: TestDatabase, edge: Edge) -> Iterator[None]:
    """Let the worker take a batch that waits for a lock as long as the block lasts."""
    edge.send(1, [scan("first")])
    wait_for(lambda: edge.committed() == {1})
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("SELECT FROM landing.received FOR UPDATE")
        edge.send(2, [scan("second")])
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        wait_for(lambda: query(database.owner_dsn, waiting) == [(1,)])
        yield


def test_the_next_batch_is_read_while_the_database_works(
    database: TestDatabase, broker: TestBroker, edge: Edge
) -> None:
    with RunningWorker(database, broker) as worker:
        with held_up(database, edge):
            for seq in range(3, 103):
                edge.send(seq, [scan(f"nonce-{seq}")])
            wait_for(lambda: worker.value("messages_received_total") == 102)
            assert edge.committed() == {1}
        wait_for(lambda: edge.committed() == set(range(1, 103)))
        assert worker.value("batch_seconds_count") == 3
    assert query(database.owner_dsn, "SELECT count(DISTINCT code), count(*) FROM landing.scan") == [(102, 102)]


def test_a_broker_that_goes_away_during_a_commit_loses_no_acknowledgement(
    database: TestDatabase, broker: TestBroker, edge: Edge
) -> None:
    with RunningWorker(database, broker) as worker:
        with held_up(database, edge):
            broker.broker.stop()
        wait_for(lambda: query(database.owner_dsn, "SELECT count(*) FROM landing.scan") == [(2,)])
        wait_for(lambda: worker.value("broker_connected") == 0)
        assert edge.committed() == {1}
        broker.broker.start()
        edge.wait_connected()
        wait_for(lambda: worker.value("broker_connected") == 1)
        edge.send(2, [scan("second")])
        edge.send(3, [scan("third")])
        wait_for(lambda: 3 in edge.committed())
    assert query(database.owner_dsn, "SELECT seq FROM landing.scan ORDER BY seq") == [(1,), (2,), (3,)]


def test_a_connection_with_other_work_answers_and_fails_like_any_other(database: TestDatabase) -> None:
    turns = 0
    owner = psycopg.connect(database.owner_dsn, autocommit=True)

    def meanwhile() -> bool:
        nonlocal turns
        turns += 1
        if turns == 20:
            owner.execute("SELECT pg_advisory_unlock(7)")
        return turns % 2 == 0

    with owner, connect(database.ingest_dsn, "test") as connection:
        owner.execute("SELECT pg_advisory_lock(7)")
        connection.meanwhile = meanwhile
        found = connection.execute("SELECT pg_advisory_lock(7), repeat('x', 3000000)").fetchall()
        assert found[0][1] == "x" * 3_000_000
        assert turns >= 20
        connection.execute("SET statement_timeout = '50ms'")
        with pytest.raises(QueryCanceled):
            connection.execute("SELECT pg_sleep(60)")
        query(database.owner_dsn, "SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(60)")
