"""One worker between a real broker and a real database: what is stored, what is refused, what is answered."""

import time
from collections.abc import Callable, Iterator, Mapping

import psycopg
import pytest
from conftest import TestBroker, TestDatabase
from ingest_parts import SITE, Edge, RunningWorker, now_ms, query, register, scan
from waiting import PATIENCE, wait_for

from contracts.messages import Environment, Position, Refusal, Status, Stock, encode_event, pack
from contracts.topics import Kind
from edge.uplink.window import RESEND_SECONDS

DEVICE = "station-1"
DAY_MS = 24 * 3600 * 1000
Start = Callable[[Mapping[str, str]], TestBroker]


@pytest.fixture
def broker(start_broker: Start) -> TestBroker:
    return start_broker({DEVICE: SITE, "ghost": SITE, "moved": "dc-west", "old": SITE})


@pytest.fixture
def connect(broker: TestBroker) -> Iterator[Callable[..., Edge]]:
    edges: list[Edge] = []

    def connect(device: str, site: str = SITE) -> Edge:
        edges.append(Edge(broker.port, broker.passwords[device], device, site))
        return edges[-1]

    yield connect
    for edge in edges:
        edge.close()


@pytest.fixture
def edge(connect: Callable[..., Edge]) -> Edge:
    return connect(DEVICE)


@pytest.fixture
def worker(database: TestDatabase, broker: TestBroker) -> Iterator[RunningWorker]:
    register(database.owner_dsn, {DEVICE: SITE, "moved": SITE, "old": SITE})
    with RunningWorker(database, broker) as worker:
        yield worker


def letters(database: TestDatabase) -> list[tuple[object, ...]]:
    return query(database.owner_dsn, "SELECT device, first_seq, last_seq, reason FROM landing.dead_letter ORDER BY id")


def ranges(database: TestDatabase) -> list[tuple[object, ...]]:
    return query(database.owner_dsn, "SELECT ranges::text FROM landing.received")


@pytest.mark.usefixtures("worker")
def test_every_kind_of_event_is_stored_as_it_was_sent(database: TestDatabase, edge: Edge) -> None:
    ts = now_ms()
    position = Position(lon=104.06, lat=30.66, accuracy_m=25.0, crs="gcj02")
    image = "ab" * 32
    edge.send(1, [scan("]d2 码", ts=ts, aim="]d2", to="D-1", position=position, image=image), scan("plain", ts=ts)])
    shelf = Stock(ts=ts, channel=64, gtin="06901234567892", grams=-(2**31), units=1_000_000, confidence=0.5)
    edge.send(3, [encode_event(shelf)], Kind.STOCK)
    edge.send(4, [encode_event(Environment(ts=ts, temperature_c=21.5))], Kind.ENV)
    edge.send(5, [encode_event(Status(ts=ts, state="online", firmware="2.1", outbox_depth=7))], Kind.STATUS)
    wait_for(lambda: edge.committed() == {1, 2, 3, 4, 5})
    owner = database.owner_dsn
    scans = """
        SELECT seq, (extract(epoch FROM ts) * 1000)::bigint, code, aim, recipient, lon, crs, platform,
            encode(image, 'hex')
        FROM landing.scan ORDER BY seq
    """
    assert query(owner, scans) == [
        (1, ts, "]d2 码", "]d2", "D-1", 104.06, "gcj02", "web", image),
        (2, ts, "plain", "", "", None, None, None, None),
    ]
    assert query(owner, "SELECT channel, grams, units, confidence FROM landing.stock") == [
        (64, -(2**31), 1_000_000, 0.5)
    ]
    assert query(owner, "SELECT temperature_c, humidity FROM landing.environment") == [(21.5, None)]
    assert query(owner, "SELECT kind, seq FROM landing.queued ORDER BY seq") == [("scan", 1), ("scan", 2), ("stock", 3)]
    device = "SELECT state, firmware, outbox_depth, last_seen > now() - interval '1 minute' FROM landing.device"
    assert query(owner, f"{device} WHERE id = %s", DEVICE) == [("online", "2.1", 7, True)]


@pytest.mark.usefixtures("worker")
def test_new_work_is_announced_once_it_is_committed(database: TestDatabase, edge: Edge) -> None:
    with psycopg.connect(database.trace_dsn, autocommit=True) as listener:
        listener.execute("LISTEN work")
        edge.send(1, [scan("nonce")])
        assert [note.channel for note in listener.notifies(timeout=PATIENCE, stop_after=1)] == ["work"]
        assert listener.execute("SELECT seq FROM landing.queued").fetchall() == [(1,)]


def test_sent_three_times_stored_once_and_acknowledged_every_time(
    database: TestDatabase, worker: RunningWorker, edge: Edge
) -> None:
    event = scan("nonce")
    for times in range(1, 4):
        edge.send(1, [event])
        wait_for(lambda times=times: len(edge.acks) == times)
    edge.send(2, [scan("next")])
    edge.send(2, [scan("next but other")])
    wait_for(lambda: letters(database))
    assert query(database.owner_dsn, "SELECT seq, code FROM landing.scan ORDER BY seq") == [(1, "nonce"), (2, "next")]
    assert query(database.owner_dsn, "SELECT seq FROM landing.queued ORDER BY seq") == [(1,), (2,)]
    assert worker.value("events_duplicate_total") == 2


@pytest.mark.usefixtures("worker")
def test_same_number_with_other_content_is_refused_and_kept(database: TestDatabase, edge: Edge) -> None:
    first, second = scan("first"), scan("second")
    edge.send(1, [first])
    wait_for(lambda: edge.committed() == {1})
    for times in range(1, 3):
        edge.send(1, [second])
        wait_for(lambda times=times: edge.refused() == [Refusal(1, 1, "CONTENT_MISMATCH")] * times)
    edge.send(1, [first])
    wait_for(lambda: len(edge.acks) == 4)
    assert edge.acks[-1].committed == ((1, 1),)
    assert query(database.owner_dsn, "SELECT code FROM landing.scan") == [("first",)]
    assert letters(database) == [(DEVICE, 1, 1, "CONTENT_MISMATCH")]


@pytest.mark.usefixtures("worker")
def test_bad_events_are_refused_again_when_sent_again_and_leave_no_gap(database: TestDatabase, edge: Edge) -> None:
    good = scan("good-1", ts=now_ms() - DAY_MS)
    long_ago = scan("old", ts=now_ms() - 31 * DAY_MS)
    ahead = scan("early", ts=now_ms() + DAY_MS)
    wrong_crc = bytearray(pack(edge.boot, 10, now_ms(), [scan("x"), scan("y")]))
    wrong_crc[-3] ^= 1
    for _ in range(2):
        edge.send(1, [good, long_ago, b'{"ts":"yesterday"}', ahead])
        edge.send(5, [b"1", b"null", b'{"ts":1}', b"[]", b'"\\u0000"'])
        edge.publish(bytes(wrong_crc))
    refusals = {
        Refusal(2, 2, "TIME_OUT_OF_RANGE"),
        Refusal(3, 3, "MESSAGE_INVALID"),
        Refusal(4, 4, "TIME_OUT_OF_RANGE"),
        Refusal(5, 9, "MESSAGE_INVALID"),
        Refusal(10, 11, "CHECKSUM"),
    }
    edge.send(12, [scan("good-12")])
    wait_for(lambda: 12 in edge.committed())
    # Acknowledgements may be merged where messages share a batch, so the numbers are compared one by one.
    wanted = {(seq, refusal.reason) for refusal in refusals for seq in range(refusal.first, refusal.last + 1)}
    assert edge.refused_numbers() == wanted
    assert ranges(database) == [("{[1,13)}",)]
    assert len(letters(database)) == 9
    assert query(database.owner_dsn, "SELECT code FROM landing.scan ORDER BY seq") == [("good-1",), ("good-12",)]


def test_the_clock_is_injected_so_that_late_and_early_are_judged_by_it(
    database: TestDatabase, worker: RunningWorker, edge: Edge
) -> None:
    worker.ahead_ms = 365 * DAY_MS
    edge.send(1, [scan("now", ts=now_ms()), scan("next year", ts=now_ms() + 365 * DAY_MS)])
    wait_for(lambda: edge.committed() == {2})
    assert letters(database) == [(DEVICE, 1, 1, "TIME_OUT_OF_RANGE")]


@pytest.mark.usefixtures("worker")
def test_strangers_are_kept_but_never_answered(
    database: TestDatabase, edge: Edge, connect: Callable[..., Edge]
) -> None:
    ghost = connect("ghost")
    event = scan("forged")
    for _ in range(2):
        ghost.send(1, [event])
        ghost.publish(b"\x00 no header \xff")
    edge.send(1, [scan("after it")])
    wait_for(lambda: edge.committed() == {1} and len(letters(database)) == 2)
    time.sleep(0.1)
    assert ghost.acks == []
    assert sorted(letters(database), key=str) == [
        ("ghost", 1, 1, "TOPIC_INVALID"),
        ("ghost", None, None, "HEADER_INVALID"),
    ]
    assert query(database.owner_dsn, "SELECT code FROM landing.scan") == [("after it",)]


@pytest.mark.usefixtures("worker")
def test_retired_devices_and_those_at_another_site_are_refused(
    database: TestDatabase, connect: Callable[..., Edge]
) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("UPDATE landing.device SET retired_at = now() WHERE id = 'old'")
    for device, site in (("old", SITE), ("moved", "dc-west")):
        edge = connect(device, site)
        edge.send(1, [scan("a"), scan("b")])
        wait_for(lambda edge=edge: edge.refused() == [Refusal(1, 2, "TOPIC_INVALID")])
    assert query(database.owner_dsn, "SELECT count(*) FROM landing.scan") == [(0,)]
    assert letters(database) == [("old", 1, 2, "TOPIC_INVALID"), ("moved", 1, 2, "TOPIC_INVALID")]


@pytest.mark.usefixtures("worker")
def test_a_row_the_database_refuses_does_not_hold_up_its_neighbours(database: TestDatabase, edge: Edge) -> None:
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("ALTER TABLE landing.scan ADD CONSTRAINT picky CHECK (code NOT LIKE 'poison%%')", ())
    edge.send(1, [scan("a"), scan("poison-2"), scan("c")])
    edge.send(4, [scan("d"), scan("e"), scan("f"), scan("poison-7")])
    wait_for(lambda: edge.committed() == {1, 3, 4, 5, 6})
    assert edge.refused_numbers() == {(2, "MESSAGE_INVALID"), (7, "MESSAGE_INVALID")}
    assert query(database.owner_dsn, "SELECT string_agg(code, '' ORDER BY seq) FROM landing.scan") == [("acdef",)]
    assert query(database.owner_dsn, "SELECT first_seq, sqlstate FROM landing.dead_letter ORDER BY 1") == [
        (2, "23514"),
        (7, "23514"),
    ]
    assert ranges(database) == [("{[1,8)}",)]
    assert query(database.owner_dsn, "SELECT seq FROM landing.queued ORDER BY seq") == [(1,), (3,), (4,), (5,), (6,)]


def test_what_is_nobodys_fault_is_held_unacknowledged_until_it_is_mended(
    database: TestDatabase, worker: RunningWorker, edge: Edge
) -> None:
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        owner.execute("REVOKE INSERT ON landing.scan FROM codefence_ingest")
        edge.send(1, [scan("patient")])
        wait_for(lambda: worker.value("holding") == 1)
        assert edge.acks == []
        assert letters(database) == []
        owner.execute("GRANT INSERT ON landing.scan TO codefence_ingest")
    wait_for(lambda: edge.committed() == {1})
    wait_for(lambda: worker.value("holding") == 0)


@pytest.mark.usefixtures("worker")
def test_what_a_device_had_to_drop_closes_the_gap_and_may_still_arrive(database: TestDatabase, edge: Edge) -> None:
    edge.send(1, [scan("one")])
    edge.send(10, [encode_event(Status(ts=now_ms(), state="online", dropped=((2, 5), (7, 9))))], Kind.STATUS)
    wait_for(lambda: edge.committed() == {1, 10})
    assert ranges(database) == [("{[1,6),[7,11)}",)]
    edge.send(4, [scan("late"), scan("later"), scan("last")])
    wait_for(lambda: edge.committed() == {1, 4, 5, 6, 10})
    assert ranges(database) == [("{[1,11)}",)]
    assert query(database.owner_dsn, "SELECT seq FROM landing.scan ORDER BY seq") == [(1,), (4,), (5,), (6,)]


@pytest.mark.usefixtures("worker")
def test_a_last_will_takes_a_device_offline_and_is_no_event(database: TestDatabase, edge: Edge) -> None:
    edge.send(1, [scan("one")])
    wait_for(lambda: edge.committed() == {1})
    state = "SELECT state FROM landing.device WHERE id = %s"
    assert query(database.owner_dsn, state, DEVICE) == [("online",)]
    edge.publish(pack(edge.boot, 0, 1, [b'{"state":"offline"}'], in_sequence=False), kind=Kind.STATUS)
    wait_for(lambda: query(database.owner_dsn, state, DEVICE) == [("offline",)])
    assert ranges(database) == [("{[1,2)}",)]
    assert len(edge.acks) == 1


@pytest.mark.usefixtures("worker")
def test_nothing_that_a_registered_device_sends_stops_the_worker(database: TestDatabase, edge: Edge) -> None:
    sent = now_ms()
    hostile = [
        b"",
        b"\x00" * 1000,
        b"CF1 " + b"9" * 100_000,
        pack(edge.boot, 0, sent, [scan("zero")]),
        pack(edge.boot, 2**62 + 1, sent, [scan("large")]),
        pack(edge.boot, 2**63 - 1, sent, [scan("larger")]),
        pack(edge.boot, 1, 10**15 - 1, [scan("year 33658")]),
        pack(edge.boot, 2, sent, [b"[" * 50_000 + b"]" * 50_000]),
        pack(edge.boot, 3, sent, [b'{"ts":%d,"code":"\\ud800","symbology":"x"}' % sent]),
        pack(edge.boot, 4, sent, [b'{"ts":%d,"code":"a\\u0000","symbology":"x"}' % sent]),
        pack(edge.boot, 5, sent, [b'{"ts":NaN,"code":"a","symbology":"x"}']),
        pack(edge.boot, 6, sent, [scan("x" * 512) for _ in range(100)]).replace(b" 6 100 ", b" 6 99 "),
        pack(edge.boot, 200, sent, [b'{"state":"online","ts":%d,"dropped":[[9,3]]}' % sent]),
    ]
    for payload in hostile:
        edge.publish(payload)
    edge.publish(hostile[-1], kind=Kind.STATUS)
    edge.send(2**62, [scan("the last number there is")])
    wait_for(lambda: edge.committed() == {2**62})
    assert query(database.owner_dsn, "SELECT code FROM landing.scan") == [("the last number there is",)]
    numbers = {1, 2, 3, 4, 5, *range(6, 105), 200}
    assert edge.refused_numbers() == {(seq, "MESSAGE_INVALID") for seq in numbers}


@pytest.mark.usefixtures("worker")
def test_an_acknowledgement_comes_soon_after_a_lone_scan(edge: Edge) -> None:
    waits = []
    for seq in range(1, 7):
        started = time.monotonic()
        edge.send(seq, [scan(f"alone {seq}")])
        wait_for(lambda: len(edge.committed()) == seq)  # noqa: B023  asked within the round
        waits.append(time.monotonic() - started)
    assert min(waits) < RESEND_SECONDS, "the device would send it again"


def test_a_burst_through_many_partitions_is_stored_without_a_second_delivery(
    database: TestDatabase, start_broker: Start
) -> None:
    devices = {f"device-{number}": SITE for number in range(12)}
    broker = start_broker(devices)
    register(database.owner_dsn, devices)
    with RunningWorker(database, broker) as worker:
        edges = [Edge(broker.port, broker.passwords[device], device) for device in devices]
        for seq in range(1, 301):
            for edge in edges:
                edge.send(seq, [scan(f"{edge.device} {seq}")])
        wait_for(lambda: all(len(edge.committed()) == 300 for edge in edges))
        assert worker.value("messages_received_total") == 12 * 300
    for edge in edges:
        edge.close()
    assert query(database.owner_dsn, "SELECT count(DISTINCT code), count(*) FROM landing.scan") == [(3600, 3600)]
