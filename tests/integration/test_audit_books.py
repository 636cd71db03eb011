"""The audit's books against histories that went through the real writer, and against tampered tables."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_parts import SITE, now_ms, query, register

from cli.main import main
from contracts.messages import Environment, Scan, Status, Stock, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest import dead_letters
from ingest.audit import Audit, audit
from ingest.landing.decode import decode
from ingest.landing.writer import Writer, connect

DAY_MS = 86_400_000
LONG_AGO = now_ms() - 60 * DAY_MS
GTIN = "06901234567892"

good = st.tuples(st.just("good"), st.integers(1, 30), st.integers(1, 4), st.sampled_from(list(Kind)))
bad = st.tuples(
    st.sampled_from(["invalid", "checksum", "early"]), st.integers(1, 30), st.integers(1, 4), st.just(Kind.SCAN)
)
dropped = st.tuples(st.just("dropped"), st.integers(1, 30), st.integers(1, 9), st.just(Kind.STATUS))
replayed = st.tuples(st.just("replay"), st.integers(1, 30), st.just(1), st.just(Kind.SCAN))
histories = st.lists(st.lists(good | good | bad | dropped | replayed, min_size=1, max_size=3), min_size=1, max_size=8)
Step = tuple[str, int, int, Kind]


def event(kind: Kind, nonce: str, ts: int) -> bytes:
    match kind:
        case Kind.SCAN:
            return encode_event(Scan(ts=ts, code=nonce, symbology="qr"))
        case Kind.STOCK:
            return encode_event(Stock(ts=ts, channel=1, gtin=GTIN, grams=1, units=len(nonce), confidence=1))
        case Kind.ENV:
            return encode_event(Environment(ts=ts, temperature_c=float(len(nonce))))
        case Kind.STATUS:
            return encode_event(Status(ts=ts, state="online", firmware=nonce))


@dataclass
class Device:
    """One boot of one device, and a plain account of what should have become of each number."""

    database: TestDatabase
    name: str = field(default_factory=lambda: f"d-{secrets.token_hex(6)}")
    boot: str = field(default_factory=lambda: secrets.token_hex(16))
    committed: set[int] = field(default_factory=set)
    lettered: set[int] = field(default_factory=set)
    given_up: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        register(self.database.owner_dsn, {self.name: SITE})

    def write(self, writer: Writer, steps: list[Step]) -> None:
        messages = []
        for what, first, number, kind in steps:
            numbers = range(first, first + number)
            events = [event(kind, f"{what} {seq} {secrets.token_hex(seq % 3)}", LONG_AGO) for seq in numbers]
            fresh = set(numbers) - self.committed - self.lettered
            if what == "good":
                self.committed |= fresh
            elif what == "dropped":
                until = first + number
                events = [encode_event(Status(ts=LONG_AGO, state="online", dropped=((first, until),)))]
                if first in fresh:
                    self.committed.add(first)
                    self.given_up |= {*range(first, until + 1)}
            else:
                self.lettered |= fresh
            payload = pack(self.boot, first, LONG_AGO, events)
            if what == "invalid":
                payload = pack(self.boot, first, LONG_AGO, [b'{"ts":1}'] * number)
            elif what == "early":
                payload = pack(self.boot, first, LONG_AGO, [event(kind, "early", LONG_AGO - 31 * DAY_MS)] * number)
            elif what == "checksum":
                payload = payload[:-2] + b" ]"
            messages.append(decode(event_topic(SITE, self.name, kind), payload, LONG_AGO))
        writer.write(messages)

    def replay(self, connection: psycopg.Connection, seq: int) -> None:
        """Mend the oldest letter with this number; one that would contradict what is stored is refused again."""
        row = connection.execute(
            "SELECT id, first_seq, last_seq FROM landing.dead_letter WHERE device = %s AND replayed_at IS NULL"
            " AND %s BETWEEN first_seq AND last_seq ORDER BY id LIMIT 1",
            (self.name, seq),
        ).fetchone()
        if row is None:
            return
        number, first, last = row
        numbers = set(range(first, last + 1))
        events = [event(Kind.SCAN, f"mended {one}", LONG_AGO) for one in sorted(numbers)]
        topic = event_topic(SITE, self.name, Kind.SCAN)
        try:
            dead_letters.replay(connection, number, mended=b"[" + b",".join(events) + b"]", topic=topic)
        except dead_letters.ReplayError:
            assert numbers & self.committed
        else:
            assert not numbers & self.committed
            self.lettered -= numbers
            self.committed |= numbers

    def audit(self, **period: datetime) -> Audit:
        with connect(self.database.ingest_dsn, "audit") as connection:
            return audit(connection, device=self.name, **period)


def live(device: Device, history: list[list[Step]]) -> None:
    writer = Writer(device.database.ingest_dsn, "test")
    with connect(device.database.ingest_dsn, "replay") as connection:
        for steps in history:
            if writes := [step for step in steps if step[0] != "replay"]:
                device.write(writer, writes)
            for step in steps:
                if step[0] == "replay":
                    device.replay(connection, step[1])
    writer.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, expire=st.booleans())
def test_whatever_happens_each_captured_number_is_in_exactly_one_account(
    database: TestDatabase, history: list[list[Step]], *, expire: bool
) -> None:
    device = Device(database)
    live(device, history)
    if expire:
        with connect(database.ingest_dsn, "expire") as connection:
            for kind in ("scan", "stock", "environment", "status"):
                connection.execute("SELECT landing.expire(%s, now() - interval '32 days', 10000)", (kind,))
    known = device.committed | device.lettered | device.given_up
    found = device.audit()
    if not known:
        assert found.books == []
        return
    (book,) = found.books
    everything = set(range(1, max(known) + 1))
    assert book.captured == len(everything)
    assert book.committed == len(device.committed)
    assert book.dead_lettered == len(device.lettered)
    assert book.tombstoned == len(device.given_up - device.committed - device.lettered)
    assert book.missing == len(everything - known)
    assert book.expired == (len(device.committed) if expire else 0)
    assert book.balances
    assert found.is_clean == (everything == known)


@pytest.fixture
def write(database: TestDatabase) -> Iterator[Callable[..., Device]]:
    writer = Writer(database.ingest_dsn, "test")

    def write(*steps: Step) -> Device:
        device = Device(database)
        device.write(writer, list(steps))
        return device

    yield write
    writer.close()


SCAN = Kind.SCAN
TWICE = """
    INSERT INTO landing.status
    SELECT device, boot, 1, ts, sent_at, received_at, 0, site, 'online', '', 0, '{}'
    FROM landing.scan WHERE device = %s AND seq = 1
"""


def test_a_row_that_vanished_or_was_slipped_in_or_stored_twice_unbalances_the_books(
    database: TestDatabase, write: Callable[..., Device]
) -> None:
    device = write(("good", 1, 4, SCAN))
    assert device.audit().is_clean
    for statement, unexplained, doubled in [
        ("DELETE FROM landing.scan WHERE device = %s AND seq = 2", 1, 0),
        ("UPDATE landing.scan SET seq = 9 WHERE device = %s AND seq = 4", 3, 0),
        (TWICE, 3, 1),
    ]:
        with psycopg.connect(database.owner_dsn) as connection:
            connection.execute(statement, (device.name,))  # type: ignore[call-overload]
        (book,) = device.audit().books
        assert (book.unexplained, book.doubled, book.balances) == (unexplained, doubled, False)


def test_a_period_has_its_own_numbers_and_the_holes_beside_them(database: TestDatabase) -> None:
    device = Device(database)
    writer = Writer(database.ingest_dsn, "test")
    for day, seqs in [(0, (1, 2, 4)), (1, (7, 8)), (2, (9, 12))]:
        for seq in seqs:
            ts = LONG_AGO - 10 * DAY_MS + day * DAY_MS
            payload = pack(device.boot, seq, LONG_AGO, [event(SCAN, "x", ts)])
            writer.write([decode(event_topic(SITE, device.name, SCAN), payload, LONG_AGO)])
    writer.close()
    start = datetime.fromtimestamp(LONG_AGO / 1000, UTC) - timedelta(days=10, hours=1)
    books = [
        device.audit(since=start + timedelta(days=day), until=start + timedelta(days=day + 1)).books[0]
        for day in range(3)
    ]
    assert [(book.first, book.last, book.committed, book.missing) for book in books] == [
        (1, 6, 3, 3),
        (5, 8, 2, 2),
        (9, 12, 2, 2),
    ]
    assert device.audit(since=start + timedelta(days=5)).books == []
    assert device.audit().total.missing == 5


def command(database: TestDatabase, *arguments: str) -> Result:
    env = {"INGEST_DATABASE_URL": database.ingest_dsn, "INGEST_BROKER_PASSWORD": "unused"}
    return CliRunner().invoke(main, ["audit", *arguments], env=env)


def test_the_command_shows_every_device_and_fails_when_something_is_missing(
    database: TestDatabase, write: Callable[..., Device]
) -> None:
    whole = write(("good", 1, 3, SCAN), ("invalid", 4, 2, SCAN), ("dropped", 6, 3, Kind.STATUS))
    shown = command(database)
    assert shown.exit_code == 0, shown.output
    assert whole.name in shown.stdout
    assert "nothing is missing, and every book balances" in shown.stdout
    holed = write(("good", 1, 2, SCAN), ("early", 5, 1, SCAN))
    shown = command(database)
    assert shown.exit_code == 1
    assert "missing: 3-4" in shown.stdout
    assert command(database, "--device", whole.name).exit_code == 0
    assert command(database, "--site", "elsewhere").exit_code == 0
    answer = json.loads(command(database, "--device", holed.name, "--json").stdout)
    assert answer["clean"] is False
    figures = {
        name: answer["total"][name] for name in ("captured", "committed", "dead_lettered", "quarantined", "missing")
    }
    assert figures == {"captured": 5, "committed": 2, "dead_lettered": 1, "quarantined": 1, "missing": 2}
    assert answer["books"][0]["holes"] == [[3, 4]]
    assert UUID(answer["books"][0]["boot"]) == UUID(holed.boot)


def test_letters_in_nobodys_books_are_counted_beside_them(database: TestDatabase, write: Callable[..., Device]) -> None:
    write(("good", 1, 1, SCAN))
    writer = Writer(database.ingest_dsn, "test")
    nonsense = decode(event_topic(SITE, "ghost", SCAN), b"nonsense", now_ms())
    writer.write([nonsense, nonsense, decode("v1/x", pack("ab" * 16, 1, now_ms(), [b"{}"]), now_ms())])
    writer.close()
    found = json.loads(command(database, "--json").stdout)
    assert (found["clean"], found["strays"]) == (True, 3)
    assert query(database.owner_dsn, "SELECT count(*) FROM landing.dead_letter") == [(2,)]
