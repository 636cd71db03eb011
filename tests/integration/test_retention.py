"""What is old goes, what is younger or derived stays, and one worker of several does it."""

import threading
from datetime import UTC, datetime

import psycopg
import pytest
from conftest import TestDatabase
from ingest_parts import SITE, now_ms, query, register
from psycopg import sql
from pydantic import SecretStr
from waiting import PATIENCE, wait_for

from contracts.messages import Environment, Event, Scan, Stock, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest.audit import Audit, audit
from ingest.landing.decode import decode
from ingest.landing.writer import Writer, connect
from ingest.metrics import Metrics
from ingest.settings import IngestSettings
from ingest.upkeep.retention import expire, expire_records
from ingest.upkeep.rollups import roll_up
from ingest.upkeep.tasks import Upkeep

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


def spoil(database: TestDatabase, *, seq: int, days_ago: float, device: str = DEVICE, header: bool = True) -> None:
    """Write a message that cannot be read, or one without a header, so long ago."""
    received = now_ms() - round(days_ago * DAY_MS)
    writer = Writer(database.ingest_dsn, "test")
    payload = pack(BOOT, seq, received, [b'{"ts":1}']) if header else b"no header"
    writer.write([decode(event_topic(SITE, device, Kind.SCAN), payload, received)])
    writer.close()


def settle(database: TestDatabase, column: str, days_ago: int, where: str) -> None:
    update = sql.SQL("UPDATE landing.dead_letter SET {} = now() - make_interval(days => %s) WHERE {}")
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute(update.format(sql.Identifier(column), sql.SQL(where)), [days_ago])


def whole_audit(database: TestDatabase) -> Audit:
    with connect(database.ingest_dsn, "test") as connection:
        return audit(connection)


def test_settled_letters_go_and_what_they_prove_stays(database: TestDatabase) -> None:
    store(database, 1, scan(100), Kind.SCAN, days_ago=100)
    for seq in (2, 3, 4, 5):
        spoil(database, seq=seq, days_ago=100)
    spoil(database, seq=9, days_ago=100, device="unknown-1")
    spoil(database, seq=0, days_ago=100, header=False)
    settle(database, "replayed_at", 90, "first_seq = 2")
    settle(database, "closed_at", 90, "first_seq IN (3, 9) OR first_seq IS NULL")
    settle(database, "closed_at", 5, "first_seq = 4")
    before = whole_audit(database)
    with connect(database.ingest_dsn, "test") as connection:
        assert expire_records(connection, 60, datetime.now(UTC)) == {"dead_letter": 4}
        assert expire_records(connection, 60, datetime.now(UTC)) == {}
    left = query(database.owner_dsn, "SELECT first_seq FROM landing.dead_letter ORDER BY 1")
    assert left == [(4,), (5,)], "what was settled lately, and what nobody has decided on"
    after = whole_audit(database)
    assert after == before
    assert (after.total.dead_lettered, after.total.replayed, after.strays) == (4, 1, 2)
    assert after.is_clean


def test_a_number_whose_letter_went_is_refused_for_the_same_reason_and_makes_no_second_letter(
    database: TestDatabase,
) -> None:
    spoil(database, seq=1, days_ago=40)
    settle(database, "closed_at", 35, "true")
    with connect(database.ingest_dsn, "test") as connection:
        assert expire_records(connection, 31, datetime.now(UTC)) == {"dead_letter": 1}
    received = now_ms()
    writer = Writer(database.ingest_dsn, "test")
    payload = pack(BOOT, 1, received, [encode_event(scan(0))])
    outcome = writer.write([decode(event_topic(SITE, DEVICE, Kind.SCAN), payload, received)])
    writer.close()
    (reply,) = outcome.replies.values()
    assert [(one.first, one.reason) for one in reply.ack(BOOT).refused] == [(1, "MESSAGE_INVALID")]
    assert query(database.owner_dsn, "SELECT count(*) FROM landing.dead_letter") == [(0,)]


def test_closed_gaps_go_and_open_ones_stay(database: TestDatabase) -> None:
    gap = "INSERT INTO landing.gap (device, boot, numbers, missing, found_at, moved_at, asked, closed_at) VALUES"
    with psycopg.connect(database.owner_dsn) as connection:
        for closed in ("now() - interval '80 days'", "now() - interval '20 days'", "NULL"):
            values = f"('{DEVICE}', gen_random_uuid(), '[1,2]', '{{}}', now() - interval '90 days', now(), 1, {closed})"
            connection.execute(f"{gap} {values}".encode())
    with connect(database.ingest_dsn, "test") as connection:
        assert expire_records(connection, 60, datetime.now(UTC)) == {"gap": 1}
    assert query(database.owner_dsn, "SELECT count(*), count(closed_at) FROM landing.gap") == [(2, 1)]


def test_ingest_removes_no_young_letter_and_none_that_is_open(database: TestDatabase) -> None:
    spoil(database, seq=1, days_ago=100)
    with psycopg.connect(database.ingest_dsn) as connection, pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute("SELECT landing.expire_letters(now() - interval '30 days', 10)")
    for statement in ("DELETE FROM landing.dead_letter", "DELETE FROM landing.letter_proof"):
        with psycopg.connect(database.ingest_dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
    with connect(database.ingest_dsn, "test") as connection:
        assert expire_records(connection, 31, datetime.now(UTC)) == {}
    assert query(database.owner_dsn, "SELECT count(*) FROM landing.dead_letter") == [(1,)]


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
    wait_for(second.round)  # the server lets go of what a session held a little after it has gone
    second.close()


def test_upkeep_survives_a_lost_connection_and_stops_when_told(database: TestDatabase) -> None:
    metrics = Metrics()
    stop = threading.Event()
    thread = threading.Thread(target=upkeep(database, metrics).run, args=(stop,))
    thread.start()

    def value(name: str) -> float:
        return metrics.registry.get_sample_value(f"codefence_ingest_{name}_total") or 0.0

    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s"
    wait_for(lambda: query(database.owner_dsn, kill, "%upkeep"))
    store(database, 1, scan(1), Kind.SCAN, days_ago=1)
    wait_for(lambda: value("rollup_buckets") >= 1)
    stop.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert value("upkeep_failures") >= 1
