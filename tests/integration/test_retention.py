"""What is old goes, what is younger or derived stays, and one worker of several does it."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from conftest import TestDatabase
from ingest_parts import SITE, now_ms, query, register
from pydantic import SecretStr

from contracts.messages import Environment, Event, Scan, Stock, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest.audit import audit
from ingest.decode import decode
from ingest.metrics import Metrics
from ingest.retention import expire
from ingest.rollups import roll_up
from ingest.settings import IngestSettings
from ingest.upkeep import Upkeep
from ingest.writer import Writer, connect

DEVICE = "station-1"
BOOT = "ab" * 16
DAY_MS = 86_400_000
KEEP = {"scan": 730, "stock": 730, "status": 730, "environment": 90}


@pytest.fixture(autouse=True)
def _registered(database: TestDatabase) -> None:
    register(database.owner_dsn, {DEVICE: SITE})


def store(database: TestDatabase, seq: int, event: Event, kind: Kind, *, days_ago: float) -> None:
    """Store one event as if it had been captured and received so long ago."""
    received = now_ms() - round(days_ago * DAY_MS)
    writer = Writer(database.ingest_dsn, "test")
    payload = pack(BOOT, seq, received, [encode_event(event)])
    writer.write([decode(event_topic(SITE, DEVICE, kind), payload, received)])
    writer.close()


def scan(days_ago: float) -> Scan:
    return Scan(ts=now_ms() - round(days_ago * DAY_MS), code="x", symbology="qr")


def counts(database: TestDatabase) -> dict[str, int]:
    (row,) = query(
        database.owner_dsn,
        "SELECT (SELECT count(*) FROM landing.scan), (SELECT count(*) FROM landing.stock),"
        " (SELECT count(*) FROM landing.environment), (SELECT count(*) FROM landing.status)",
    )
    return dict(zip(("scan", "stock", "environment", "status"), row, strict=True))


def test_each_kind_goes_at_its_age_and_rollups_and_books_stay(database: TestDatabase) -> None:
    for seq, days in enumerate((800, 732, 728, 1), start=1):
        store(database, seq, scan(days), Kind.SCAN, days_ago=days)
    climate = Environment(ts=now_ms() - 100 * DAY_MS, temperature_c=4.0)
    store(database, 5, climate, Kind.ENV, days_ago=100)
    stock = Stock(ts=now_ms() - 100 * DAY_MS, channel=1, gtin="06901234567892", grams=1, units=1, confidence=1)
    store(database, 6, stock, Kind.STOCK, days_ago=100)
    with connect(database.ingest_dsn, "test") as connection:
        roll_up(connection)
        assert expire(connection, KEEP, datetime.now(UTC)) == {"scan": 2, "environment": 1}
        assert expire(connection, KEEP, datetime.now(UTC)) == {}
        roll_up(connection)
    assert counts(database) == {"scan": 2, "stock": 1, "environment": 0, "status": 0}
    assert query(database.owner_dsn, "SELECT sum(scans)::int FROM landing.scan_rollup WHERE minutes = 1440") == [(4,)]
    assert query(database.owner_dsn, "SELECT avg_temperature_c FROM landing.environment_rollup WHERE minutes = 60") == [
        (4.0,)
    ]
    with connect(database.ingest_dsn, "test") as connection:
        found = audit(connection)
    assert (found.is_clean, found.total.committed, found.total.expired) == (True, 6, 3)


def test_a_replayed_event_from_before_the_retention_does_not_overwrite_its_rollup(database: TestDatabase) -> None:
    at = scan(800)
    store(database, 1, at, Kind.SCAN, days_ago=800)
    with connect(database.ingest_dsn, "test") as connection:
        roll_up(connection)
        expire(connection, KEEP, datetime.now(UTC))
        store(database, 2, at, Kind.SCAN, days_ago=800)
        roll_up(connection)
    assert query(database.owner_dsn, "SELECT scans FROM landing.scan_rollup WHERE minutes = 5") == [(1,)]


def test_ingest_may_remove_nothing_that_is_young_and_nothing_by_other_means(database: TestDatabase) -> None:
    store(database, 1, scan(1), Kind.SCAN, days_ago=1)
    refused = [
        ("SELECT landing.expire('scan', now() - interval '30 days', 10)", psycopg.errors.InvalidParameterValue),
        ("SELECT landing.expire('received', now() - interval '90 days', 10)", psycopg.errors.InvalidParameterValue),
        ("DELETE FROM landing.scan", psycopg.errors.InsufficientPrivilege),
        ("DELETE FROM landing.expired", psycopg.errors.InsufficientPrivilege),
        ("INSERT INTO landing.expired VALUES ('station-1', gen_random_uuid())", psycopg.errors.InsufficientPrivilege),
        ("INSERT INTO landing.retention VALUES ('scan', now())", psycopg.errors.InsufficientPrivilege),
    ]
    for statement, error in refused:
        with psycopg.connect(database.ingest_dsn) as connection, pytest.raises(error):
            connection.execute(statement)  # type: ignore[call-overload]
    with psycopg.connect(database.trace_dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT landing.expire('scan', now() - interval '90 days', 10)")
    assert counts(database)["scan"] == 1


def upkeep(database: TestDatabase, metrics: Metrics) -> Upkeep:
    settings = IngestSettings(
        database_url=SecretStr(database.ingest_dsn), broker_password=SecretStr(""), maintenance_seconds=0.1
    )
    return Upkeep(settings, now_ms, lambda _orders: None, metrics)


def test_one_worker_does_the_upkeep_and_another_takes_over_when_it_ends(database: TestDatabase) -> None:
    first, second = upkeep(database, Metrics()), upkeep(database, Metrics())
    store(database, 1, scan(1), Kind.SCAN, days_ago=1)
    done = first.round()
    assert done is not None
    assert done.buckets == 1
    assert second.round() is None
    first.close()
    assert second.round() is not None
    second.close()


def test_upkeep_survives_a_lost_connection_and_stops_when_told(database: TestDatabase) -> None:
    metrics = Metrics()
    stop = threading.Event()
    thread = threading.Thread(target=upkeep(database, metrics).run, args=(stop,))
    thread.start()

    def value(name: str) -> float:
        return metrics.registry.get_sample_value(f"codefence_ingest_{name}_total") or 0.0

    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while not query(database.owner_dsn, kill, "%upkeep"):
        assert datetime.now(UTC) < deadline
    store(database, 1, scan(1), Kind.SCAN, days_ago=1)
    while value("rollup_buckets") < 1:
        assert datetime.now(UTC) < deadline
        stop.wait(0.05)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert value("upkeep_failures") >= 1
