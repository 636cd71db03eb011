"""The detection engine on live data: the same alerts as in a backtest, from a log that can be fed again."""

import random
from collections.abc import Iterator
from typing import Any, LiteralString

import pytest
from case_parts import hire, only
from conftest import TestDatabase
from msgspec import structs
from structlog.testing import capture_logs
from trace_market import Market, Message
from waiting import PATIENCE, wait_for

from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.telling.writing import write_world
from trace_service.backtest.feed import Feed
from trace_service.backtest.world import read_world
from trace_service.cases.machine import Action
from trace_service.cases.service import Order, act
from trace_service.detection.changes import Retracted
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import put
from trace_service.detection.live.snapshots import Snapshots
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation
from trace_service.processing.follow import Live, feed
from trace_service.store.connection import Connection, connect

REQUEST = Request(seed=4, days=90, dealers=30, items=12_000, scan_rate=0.3)
KEY = bytes(range(32))
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, list[Observation]]:
    folder = tmp_path_factory.mktemp("world")
    write_world(make_world(REQUEST), folder, lambda _: None, compressed=False)
    read = read_world(folder, lambda _: None)
    network = Network(read.channel)
    return network, list(Feed(read, network))


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.trace_dsn, "tests of the engine") as connection:
        connection.execute("INSERT INTO trace.brand VALUES ('w', '界', 'World')")
        yield connection


def register(connection: Connection, network: Network) -> None:
    for place, dealer in enumerate(network.dealers.values()):
        connection.execute(
            "INSERT INTO trace.dealer (id, brand, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES (%s, 'w', %s, %s, %s, %s, %s, %s)",
            (dealer.id, dealer.id, dealer.id, dealer.kind, dealer.level, 2 * place, 2 * place + 1),
        )


def backtested(network: Network, observations: list[Observation]) -> set[Row]:
    engine, last = Engine(network), {}
    for observation in observations:
        for change in engine.observe(observation):
            last[change.alert.number] = change
    return {
        (number, each.alert.kind, each.alert.adcode or "", len(each.alert.cases), each.alert.probability,
         each.alert.reason["parameters"]["nats"], "closed" if isinstance(each, Retracted) else "open")
        for number, each in last.items()
    }  # fmt: skip


def stored(connection: Connection) -> set[Row]:
    rows = connection.execute(
        "SELECT number, kind, city, cases, probability, (reason #>> '{parameters,nats}')::float8, state"
        " FROM trace.alert"
    )
    return {tuple(row) for row in rows}


def live(network: Network, database: TestDatabase, every: int = 50_000) -> Live:
    snapshots = Snapshots(database.trace_dsn, KEY, every)
    return Live(lambda _connection, _brand: network, lambda _connection, _told: None, snapshots)


def test_live_and_backtest_raise_the_same_alerts_however_it_is_split_and_whoever_goes_on(
    database: TestDatabase, connection: Connection, world: tuple[Network, list[Observation]]
) -> None:
    network, observations = world
    expected = backtested(network, observations)
    assert {row[1] for row in expected} >= {"bulk", "drip", "forged", "clone", "backflow", "rebind"} - {"drip"}
    register(connection, network)
    chance, place = random.Random(5), 0
    session = connect(database.trace_dsn, "consumer")
    engine = live(network, database)
    while place < len(observations):
        size = chance.choice((1, 40, 700, 2_500))
        put(connection, "w", observations[place : place + size])
        place += size
        while engine.follow(session):
            pass
        if chance.random() < 0.2:  # the worker dies; another one feeds the log again and goes on
            end(session, connection)
            session, engine = connect(database.trace_dsn, "consumer"), live(network, database)
    session.close()
    assert stored(connection) == expected
    row = connection.execute("SELECT count(*), max(seq) FROM trace.observation").fetchone()
    # The channel is an entry of the log as well.
    assert row == (1 + len(observations), 1 + len(observations))
    row = connection.execute(
        "SELECT count(*) AS alerts, count(case_id) AS placed"
        " FROM trace.alert LEFT JOIN trace.case_alert ON alert.id = alert"
    ).fetchone()
    assert row is not None
    # What was taken back before anyone looked never became a case.
    assert row.placed >= sum(each[-1] == "open" for each in expected)


def test_one_worker_at_a_time_runs_a_brands_engine(
    database: TestDatabase, connection: Connection, world: tuple[Network, list[Observation]]
) -> None:
    network, observations = world
    register(connection, network)
    with connect(database.trace_dsn, "first") as first, connect(database.trace_dsn, "second") as second:
        one, other = live(network, database), live(network, database)
        put(connection, "w", observations[:100])
        assert one.follow(first) == 100
        put(connection, "w", observations[100:150])
        first.execute("LISTEN work")
        assert [other.follow(second) for _ in range(3)] == [0, 0, 0]
        heard = [*first.notifies(timeout=PATIENCE, stop_after=1), *first.notifies(timeout=0.5)]
        assert len(heard) == 1, "who has the brand hears of it once"
        assert one.follow(first) == 50
        put(connection, "w", observations[150:160])
        end(first, connection)
        assert other.follow(second) == 10
    row = connection.execute("SELECT count(*), max(seq) FROM trace.observation").fetchone()
    assert row == (161, 161)


def end(session: Connection, witness: Connection) -> None:
    """Close a session and wait until the server let go of what it held: it ends a little after it was told to."""
    process = session.info.backend_pid
    session.close()
    query = "SELECT FROM pg_stat_activity WHERE pid = %s"
    wait_for(lambda: not witness.execute(query, (process,)).fetchall())


def fed(logs: list[Any]) -> list[int]:
    """Return how many entries of its log each engine that started was fed."""
    return [each["fed"] for each in logs if each["action"] == "live.started"]


def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on_from_the_snapshot(
    database: TestDatabase, connection: Connection, world: tuple[Network, list[Observation]]
) -> None:
    network, observations = world
    register(connection, network)
    half = len(observations) // 2
    put(connection, "w", observations[:half])
    with connect(database.trace_dsn, "first") as first:
        engine = live(network, database, every=half // 3)
        while engine.follow(first):
            pass
        wait_for_snapshot(connection, half // 3)
        end(first, connection)
    put(connection, "w", observations[half:])
    with connect(database.trace_dsn, "second") as second, capture_logs() as logs:
        engine = live(network, database)
        while engine.follow(second):
            pass
        engine.keep(second)
        end(second, connection)
    assert fed(logs)[0] < half, logs
    assert stored(connection) == backtested(network, observations)
    with connect(database.trace_dsn, "third") as third, capture_logs() as logs:
        put(connection, "w", observations[:1])
        assert live(network, database).follow(third) == 1
    assert fed(logs) == [0]


def wait_for_snapshot(connection: Connection, least: int) -> None:
    wait_for(lambda: connection.execute("SELECT FROM trace.engine_snapshot WHERE seq >= %s", (least,)).fetchall())


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE trace.engine_snapshot SET state = state || 'x'",
        "UPDATE trace.engine_snapshot SET seq = seq - 1",
        "UPDATE trace.engine_snapshot SET seal = sha256(state)",
        "UPDATE trace.engine_snapshot SET fingerprint = 'of other code'",
    ],
)
def test_a_snapshot_that_is_not_this_service_s_own_is_not_read(
    database: TestDatabase, connection: Connection, world: tuple[Network, list[Observation]], harm: LiteralString
) -> None:
    network, observations = world
    register(connection, network)
    put(connection, "w", observations[:1_500])
    with connect(database.trace_dsn, "first") as first:
        engine = live(network, database)
        while engine.follow(first):
            pass
        engine.keep(first)
        end(first, connection)
    connection.execute(harm)
    put(connection, "w", observations[1_500:1_600])
    with connect(database.trace_dsn, "second") as second, capture_logs() as logs:
        live(network, database).follow(second)
    assert fed(logs) == [1_501]


def test_a_change_of_the_channel_is_gone_by_from_then_on_and_feeds_nothing_again(
    database: TestDatabase, connection: Connection, world: tuple[Network, list[Observation]]
) -> None:
    network, observations = world
    register(connection, network)
    channels = [network.channel]
    with connect(database.trace_dsn, "first") as first, capture_logs() as logs:
        engine = Live(
            lambda _connection, _brand: Network(channels[-1]),
            lambda _connection, _told: None,
            Snapshots(database.trace_dsn, KEY),
        )
        put(connection, "w", observations[:1_000])
        while engine.follow(first):
            pass
        newcomer = structs.replace(network.channel.dealers[-1], id="D-NEW")
        channels.append(structs.replace(network.channel, dealers=(*network.channel.dealers, newcomer)))
        connection.execute(
            "INSERT INTO trace.dealer (id, brand, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES ('D-NEW', 'w', 'n', 'n', 'city', 3, 9998, 9999)"
        )
        put(connection, "w", observations[1_000:2_000])
        while engine.follow(first):
            pass
    assert fed(logs) == [0]
    kinds = connection.execute("SELECT seq, kind FROM trace.observation WHERE kind = 'channel' ORDER BY seq").fetchall()
    assert [tuple(row) for row in kinds] == [(1, "channel"), (1_002, "channel")]
    again = Engine(Network(structs.replace(network.channel, dealers=(), territories=())))
    for row in connection.execute("SELECT kind, body::text AS body FROM trace.observation ORDER BY seq"):
        feed(again, row.kind, row.body)
    assert "D-NEW" in again.network.dealers


def _sell_in_nanjing(market: Market, shipped: list[dict[str, Any]]) -> None:
    for case in shipped:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"), market.consumer(case["items"][0], "nanjing"))
    market.drain()


def test_what_the_worker_decides_becomes_an_alert_with_its_evidence_in_a_case_and_goes_with_it(market: Market) -> None:
    shipped = market.cases_to("D-CHENGDU")[:14]
    _sell_in_nanjing(market, shipped)
    rows = market.rows("SELECT dealer, city, cases, scans, state, probability FROM trace.alert")
    assert [row[:5] for row in rows] == [("D-CHENGDU", "320100", 14, 14, "open")]
    assert market.rows("SELECT count(*), count(DISTINCT case_unit) FROM trace.alert_evidence") == [(14, 14)]
    assert only(market).calibrated
    # Papers that came late: the goods went where they should. One batch of the worker takes the alert back.
    for case in shipped:
        back = Message("station-ship", "dc-east", market.number(), 50, case["label"], "receive")
        again = Message("station-ship", "dc-east", market.number(), 60, case["label"], "ship", "", "SO-N", "D-NANJING")
        market.land(back, again)
    market.drain()
    assert market.rows("SELECT state, outcome FROM trace.alert") == [("closed", "retracted")]
    assert only(market).outcome == "retracted"


def test_what_a_person_decided_is_not_raised_again_by_the_same_cases(market: Market) -> None:
    people = hire(market.database.owner_dsn)
    shipped = market.cases_to("D-CHENGDU")[:14]
    _sell_in_nanjing(market, shipped)
    act(market.connection, people["lin"], only(market).id, Order(Action.CLOSE, {"outcome": "confirmed"}))
    market.land(*(market.consumer(each["items"][1], "nanjing", 300) for each in shipped))
    market.drain()
    assert market.rows("SELECT state, outcome FROM trace.alert") == [("closed", "confirmed")]
    assert market.rows("SELECT count(*) FROM trace.observation WHERE kind = 'reviewed'") == [(1,)]
