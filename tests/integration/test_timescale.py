"""The schema and ingest on a real TimescaleDB: the same migrations, grants and writer as on plain PostgreSQL."""

import secrets
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from cli.embedded import timescale as timescale_root
from cli.embedded.postgres import Database, create_database
from contracts.messages import Ack, Environment, Event, Refusal, Scan, Status, Stock, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest.audit import audit
from ingest.landing.decode import Decoded, decode
from ingest.landing.store import Outcome
from ingest.landing.writer import Writer, connect
from ingest.upkeep.retention import expire
from ingest.upkeep.rollups import roll_up
from trace_service.schema.migrate import Roles, migrate
from trace_service.schema.timescale import build_of, use, use_community

_DAY_MS = 24 * 3600 * 1000
_LANDING = {"scan", "stock", "environment", "status"}
_ROLES = Roles(ingest="ingest-of-tests", trace="trace-of-tests")

pytestmark = [
    # The root folder is made once and fetches 150 packages.
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(timescale_root.unavailable()), reason=timescale_root.unavailable()),
]


class Migrated(NamedTuple):
    """A migrated database as its owner, as ingest and as the trace service see it."""

    owner: str
    ingest: str
    trace: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Database]:
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True)  # noqa: T201  a minute of silence would look like a hang

    with timescale_root.timescale(tmp_path_factory.mktemp("timescale"), progress) as database:
        yield database


@pytest.fixture
def migrated(server: Database) -> Iterator[Migrated]:
    name = f"test_{secrets.token_hex(6)}"
    create_database(server.dsn(), name)
    migrate(server.dsn(name), _ROLES)
    with psycopg.connect(server.dsn(name)) as connection:
        connection.execute("INSERT INTO landing.device (id, site, kind) VALUES ('scanner-1', 'dc-east', 'station')")
    yield Migrated(
        owner=server.dsn(name),
        ingest=Database(server.host, server.port, "codefence_ingest", _ROLES.ingest).dsn(name),
        trace=Database(server.host, server.port, "codefence_trace", _ROLES.trace).dsn(name),
    )
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _query(dsn: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement, parameters).fetchall()


def _now() -> int:
    return time.time_ns() // 1_000_000


def _scan(nonce: str, ts: int) -> Scan:
    return Scan(ts=ts, code=nonce, symbology="datamatrix")


def _message(boot: str, seq: int, *events: Event, kind: Kind = Kind.SCAN) -> Decoded:
    payload = pack(boot, seq, _now(), [encode_event(event) for event in events])
    return decode(event_topic("dc-east", "scanner-1", kind), payload, _now())


def _write(dsn: str, *messages: Decoded) -> Outcome:
    writer = Writer(dsn, "codefence test")
    try:
        return writer.write(messages)
    finally:
        writer.close()


def _only_ack(outcome: Outcome, boot: str) -> Ack:
    (reply,) = outcome.replies.values()
    return reply.ack(boot)


def test_migrations_make_hypertables_of_the_landing_tables(migrated: Migrated) -> None:
    found = _query(
        migrated.owner,
        "SELECT hypertable_name, time_interval FROM timescaledb_information.dimensions"
        " WHERE hypertable_schema = 'landing'",
    )
    assert {name for name, _ in found} == _LANDING
    assert {interval.days for _, interval in found} == {1}


def test_migrating_again_changes_nothing_and_keeps_what_was_received(migrated: Migrated) -> None:
    _write(migrated.ingest, _message(secrets.token_hex(16), 1, _scan("kept", _now())))
    assert migrate(migrated.owner, _ROLES) == []
    assert _query(migrated.trace, "SELECT code FROM landing.scan") == [("kept",)]


def test_every_kind_of_event_is_stored_once_and_acknowledged_again(migrated: Migrated) -> None:
    boot, now = secrets.token_hex(16), _now()
    batch = [
        _message(boot, 1, *[_scan(f"day-{day}", now - day * _DAY_MS) for day in range(3)]),
        _message(
            boot, 4, Stock(ts=now, channel=1, gtin="06901234567892", grams=900, units=3, confidence=1), kind=Kind.STOCK
        ),
        _message(boot, 5, Environment(ts=now, temperature_c=4.5), kind=Kind.ENV),
        _message(boot, 6, Status(ts=now, state="online", dropped=((8, 9),)), kind=Kind.STATUS),
    ]
    first = _write(migrated.ingest, *batch)
    again = _write(migrated.ingest, *batch)
    assert (first.committed, again.committed, again.duplicates) == (6, 0, 6)
    assert _only_ack(first, boot) == _only_ack(again, boot) == Ack(boot=boot, committed=((1, 6),))
    counts = _query(
        migrated.trace,
        "SELECT (SELECT count(*) FROM landing.scan), (SELECT count(*) FROM landing.stock),"
        " (SELECT count(*) FROM landing.environment), (SELECT count(*) FROM landing.status)",
    )
    assert counts == [(3, 1, 1, 1)]
    chunks = _query(
        migrated.owner, "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'scan'"
    )
    assert chunks == [(3,)]
    received = _query(migrated.owner, "SELECT ranges::text FROM landing.received WHERE boot = %s", UUID(boot))
    assert received == [("{[1,7),[8,10)}",)]
    assert _query(migrated.trace, "SELECT count(*) FROM landing.queued WHERE kind = 'scan'") == [(3,)]


def test_other_content_under_a_known_number_and_wrong_times_become_dead_letters(migrated: Migrated) -> None:
    boot, now = secrets.token_hex(16), _now()
    _write(migrated.ingest, _message(boot, 1, _scan("first", now)))
    outcome = _write(migrated.ingest, _message(boot, 1, _scan("other", now), _scan("late", now - 31 * _DAY_MS)))
    assert _only_ack(outcome, boot) == Ack(
        boot=boot, refused=(Refusal(1, 1, "CONTENT_MISMATCH"), Refusal(2, 2, "TIME_OUT_OF_RANGE"))
    )
    letters = _query(migrated.owner, "SELECT reason, first_seq FROM landing.dead_letter ORDER BY id")
    assert letters == [("CONTENT_MISMATCH", 1), ("TIME_OUT_OF_RANGE", 2)]
    assert _query(migrated.trace, "SELECT code FROM landing.scan") == [("first",)]


def test_one_row_that_the_database_refuses_does_not_hold_back_the_others(migrated: Migrated) -> None:
    with psycopg.connect(migrated.owner) as connection:
        connection.execute("ALTER TABLE landing.scan ADD CHECK (code <> 'poison')")
    boot, now = secrets.token_hex(16), _now()
    outcome = _write(migrated.ingest, _message(boot, 1, *[_scan(code, now) for code in ("a", "poison", "b")]))
    assert _only_ack(outcome, boot).committed == ((1, 1), (3, 3))
    assert _query(migrated.trace, "SELECT code FROM landing.scan ORDER BY seq") == [("a",), ("b",)]
    assert _query(migrated.owner, "SELECT first_seq, sqlstate FROM landing.dead_letter") == [(2, "23514")]


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ingest", "UPDATE landing.scan SET code = 'forged'"),
        ("ingest", "DELETE FROM landing.scan"),
        ("ingest", "SELECT drop_chunks('landing.scan', older_than => now() + interval '1 day')"),
        ("ingest", "SELECT * FROM trace.brand"),
        ("ingest", "INSERT INTO landing.device (id, site, kind) VALUES ('rogue', 'dc-east', 'station')"),
        ("trace", "UPDATE landing.scan SET code = 'forged'"),
        ("trace", "DELETE FROM landing.scan"),
        ("trace", "SELECT drop_chunks('landing.scan', older_than => now() + interval '1 day')"),
        ("trace", "ALTER TABLE landing.scan ADD COLUMN more text"),
    ],
)
def test_neither_role_can_rewrite_what_was_received(migrated: Migrated, role: str, statement: str) -> None:
    _write(migrated.ingest, _message(secrets.token_hex(16), 1, _scan("genuine", _now())))
    with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(getattr(migrated, role)) as connection:
        connection.execute(statement)
    assert _query(migrated.trace, "SELECT code FROM landing.scan") == [("genuine",)]


def test_a_dump_restored_as_documented_has_everything_and_takes_more(migrated: Migrated, server: Database) -> None:
    boot, now = secrets.token_hex(16), _now()
    _write(migrated.ingest, _message(boot, 1, *[_scan(f"day-{day}", now - day * _DAY_MS) for day in range(3)]))
    dump = subprocess.run(
        timescale_root.program("pg_dump", "--format=custom", migrated.owner), capture_output=True, check=True
    ).stdout
    name = f"restored_{secrets.token_hex(6)}"
    create_database(server.dsn(), name)
    fresh = server.dsn(name)
    with psycopg.connect(fresh, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        connection.execute("SELECT timescaledb_pre_restore()")
    subprocess.run(timescale_root.program("pg_restore", "--dbname", fresh), input=dump, capture_output=True, check=True)
    with psycopg.connect(fresh, autocommit=True) as connection:
        connection.execute("SELECT timescaledb_post_restore()")
    assert migrate(fresh, _ROLES) == []
    ingest = Database(server.host, server.port, "codefence_ingest", _ROLES.ingest).dsn(name)
    again = _write(ingest, _message(boot, 1, _scan("day-0", now)), _message(boot, 4, _scan("new", now)))
    assert (again.committed, again.duplicates) == (1, 1)
    stored = _query(fresh, "SELECT code FROM landing.scan ORDER BY seq")
    assert stored == [("day-0",), ("day-1",), ("day-2",), ("new",)]
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_chunks_grant_no_more_than_their_table(migrated: Migrated) -> None:
    _write(migrated.ingest, _message(secrets.token_hex(16), 1, _scan("genuine", _now())))
    ((schema, chunk),) = _query(
        migrated.owner,
        "SELECT chunk_schema, chunk_name FROM timescaledb_information.chunks WHERE hypertable_name = 'scan'",
    )
    statement = sql.SQL("UPDATE {} SET code = 'forged'").format(sql.Identifier(schema, chunk))
    for dsn in (migrated.ingest, migrated.trace):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), psycopg.connect(dsn) as connection:
            connection.execute(statement)


def test_rollups_and_retention_by_chunks_leave_sums_and_books_whole(migrated: Migrated) -> None:
    boot = secrets.token_hex(16)
    for seq, days in enumerate((100, 99, 50, 0), start=1):
        received = _now() - days * _DAY_MS
        for kind, event, number in (
            (Kind.SCAN, _scan("x", received), 2 * seq - 1),
            (Kind.ENV, Environment(ts=received, temperature_c=4.5), 2 * seq),
        ):
            payload = pack(boot, number, received, [encode_event(event)])
            _write(migrated.ingest, decode(event_topic("dc-east", "scanner-1", kind), payload, received))
    with connect(migrated.ingest, "upkeep") as connection:
        assert roll_up(connection) == 8
        assert expire(connection, {"scan": 60, "environment": 31}, datetime.now(UTC)) == {"scan": 2, "environment": 3}
        assert roll_up(connection) == 0
    left = "SELECT (SELECT count(*) FROM landing.scan), (SELECT count(*) FROM landing.environment)"
    assert _query(migrated.trace, left) == [(2, 1)]
    chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'scan'"
    assert _query(migrated.owner, chunks) == [(2,)]
    assert _query(migrated.trace, "SELECT sum(scans)::int FROM landing.scan_rollup WHERE minutes = 60") == [(4,)]
    with connect(migrated.ingest, "audit") as connection:
        found = audit(connection)
    assert (found.is_clean, found.total.captured, found.total.expired) == (True, 8, 5)


def test_the_apache_build_is_recognised_and_nothing_of_the_other_is_tried(migrated: Migrated) -> None:
    with psycopg.connect(migrated.owner, autocommit=True) as connection:
        build = build_of(connection)
        assert build is not None
        assert (build.license, build.is_community) == ("apache", False)
        assert use(connection) == build
    chunks = "SELECT bool_or(compression_enabled) FROM timescaledb_information.hypertables"
    assert _query(migrated.owner, chunks) == [(False,)]


def test_what_a_build_does_not_offer_is_said_and_everything_goes_on_without_it(migrated: Migrated) -> None:
    with psycopg.connect(migrated.owner, autocommit=True) as connection:
        failed = use_community(connection)
    tables = {f"compress landing.{name}" for name in _LANDING}
    assert failed == dict.fromkeys([*tables, "continuous landing.outbox_hourly_kept"], "0A000")
    boot, now = secrets.token_hex(16), _now()
    status = [Status(ts=now, state="online", outbox_depth=depth) for depth in (3, 70, 5)]
    _write(migrated.ingest, _message(boot, 1, *status, kind=Kind.STATUS))
    hours = "SELECT device, sum(messages)::int, max(most)::int FROM landing.outbox_hourly(now() - interval '1 hour')"
    for dsn in (migrated.ingest, migrated.trace):
        assert _query(dsn, f"{hours} GROUP BY device") == [("scanner-1", 3, 70)]
