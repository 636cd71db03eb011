"""Messages that say why are worded by who delivers them: in order, once, and whatever is killed in between."""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import BRAND, DEALER, LOGIN, World, add_case, make_world
from waiting import PATIENCE

from cli.main import main
from trace_service.cases.machine import Action, Actor
from trace_service.cases.service import Order, act
from trace_service.cases.telling import given_up, tell_waiting
from trace_service.domain.roles import Role
from trace_service.keys import KeyWrapper
from trace_service.notify.deliverer import Deliverer
from trace_service.store.connection import Connection, connect
from trace_service.webhooks.outbox import subscribe

NETWORKS = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def world(database: TestDatabase) -> World:
    world = make_world(database.owner_dsn, database.trace_dsn, cases=6)
    with connect(world.owner_dsn, "tests") as owner:
        keys = KeyWrapper(world.settings.key_encryption_key)
        subscribe(owner, keys, NETWORKS, (BRAND, "https://127.0.0.1:9/told"), ["case.*"])
    return world


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.trace_dsn, "tests") as connection:
        yield connection


def queued(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT topic FROM trace.webhook_delivery ORDER BY id").fetchall()
    return [row.topic for row in rows]


def test_a_new_case_is_told_with_its_reasons_once(world: World, connection: Connection) -> None:
    number = add_case(world)
    assert queued(connection) == [], "the transaction of an alert explains nothing"
    assert tell_waiting(connection) == 1
    assert tell_waiting(connection) == 0
    (row,) = connection.execute("SELECT payload FROM trace.webhook_delivery").fetchall()
    assert row.payload["case"]["id"] == number
    (alert,) = connection.execute("SELECT alert FROM trace.case_alert WHERE case_id = %s", (number,)).fetchall()
    assert [each["alert"] for each in row.payload["explained"]] == [alert.alert]


def test_what_is_told_of_a_case_later_does_not_overtake_its_opening(world: World, connection: Connection) -> None:
    number = add_case(world)
    act(connection, Actor(BRAND, LOGIN, Role.MANAGER), number, Order(Action.CLOSE, {"outcome": "e_commerce"}))
    assert tell_waiting(connection) == 2
    assert queued(connection) == ["case.opened", "case.closed"]


def spoil(world: World, number: int) -> None:
    """Make a queued message one that the database takes and nobody can read."""
    with connect(world.owner_dsn, "tests") as owner:
        spoilt = json.dumps({"case": {"id": number, "dealer_name_zh": "\ud800"}})
        owner.execute("UPDATE trace.case_message SET payload = %s WHERE case_id = %s", (spoilt, number))


def three_cases(world: World) -> list[int]:
    """Open cases of three dealers, each with a message that waits."""
    numbers = [add_case(world)]
    with connect(world.owner_dsn, "tests") as owner:
        dealers = "SELECT id FROM trace.dealer WHERE brand = %s AND id <> %s ORDER BY id LIMIT 2"
        for dealer in owner.execute(dealers, (BRAND, DEALER)).fetchall():
            owner.execute(
                "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
                " SELECT brand, kind, %s, city, now(), now(), cases, scans, reason FROM trace.alert WHERE id = %s",
                (dealer.id, world.alert),
            )
            numbers.append(add_case(world))
    return numbers


def again(connection: Connection) -> None:
    """Let the time come at which what failed is tried again."""
    connection.execute("UPDATE trace.case_message SET due_at = '-infinity' WHERE state = 'waiting'")


def told_cases(connection: Connection) -> list[int]:
    rows = connection.execute("SELECT payload FROM trace.webhook_delivery ORDER BY id").fetchall()
    return [row.payload["case"]["id"] for row in rows]


def test_a_message_that_cannot_be_told_holds_up_its_own_case_alone_until_it_is_given_up(
    world: World, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, bad, last = three_cases(world)
    with connect(world.owner_dsn, "tests") as owner:
        query = "SELECT payload::text AS payload FROM trace.case_message WHERE case_id = %s"
        (kept,) = owner.execute(query, (bad,)).fetchall()
    spoil(world, bad)
    order = Order(Action.CLOSE, {"outcome": "e_commerce"})
    act(connection, Actor(BRAND, LOGIN, Role.MANAGER), bad, order)
    assert tell_waiting(connection) == 2
    assert told_cases(connection) == [first, last]
    assert tell_waiting(connection) == 0, "what failed waits"
    attempts = 1
    while not given_up(connection, BRAND):
        assert told_cases(connection) == [first, last], "nothing overtakes a message of its case that is tried again"
        again(connection)
        attempts += 1
        assert attempts < 20
        tell_waiting(connection)
    assert told_cases(connection) == [first, last, bad], "what came later of that case"
    (dead,) = given_up(connection, BRAND)
    assert (dead.case, dead.topic, dead.attempts) == (bad, "case.opened", attempts)
    assert dead.error.startswith("DecodeError(")
    assert given_up(connection, "rival") == []
    with connect(world.owner_dsn, "tests") as owner:
        owner.execute("UPDATE trace.case_message SET payload = %s WHERE case_id = %s", (kept.payload, bad))
    _replay(world, monkeypatch)
    assert tell_waiting(connection) == 1
    assert queued(connection)[-2:] == ["case.closed", "case.opened"]
    assert given_up(connection, None) == []


def _replay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACE_DATABASE_URL", world.settings.database_url.get_secret_value())
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", world.settings.key_encryption_key.get_secret_value())
    told = CliRunner().invoke(main, ["trace", "webhook", "untold", "--brand", BRAND, "--json", "--again"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["topic"] == "case.opened"


def test_a_process_that_stops_words_what_it_began_and_nothing_more(world: World, connection: Connection) -> None:
    add_case(world)
    with connect(world.owner_dsn, "tests") as owner:
        owner.execute(
            "INSERT INTO trace.case_message (brand, case_id, topic, payload, explained)"
            " SELECT brand, case_id, topic, payload, explained FROM trace.case_message, generate_series(1, 5)"
        )

    async def stop_while_it_tells() -> None:
        stop = asyncio.Event()
        keys = KeyWrapper(world.settings.key_encryption_key)
        dsn = world.settings.database_url.get_secret_value()
        with psycopg.connect(world.owner_dsn) as owner:
            owner.execute("LOCK TABLE trace.mail IN EXCLUSIVE MODE")
            task = asyncio.create_task(Deliverer(dsn, keys, NETWORKS).run(stop))
            await asyncio.to_thread(_wait, connection, "codefence webhooks", waits=True)
            stop.set()
        await task

    asyncio.run(stop_while_it_tells())
    assert queued(connection) == ["case.opened"]


def test_nobody_who_hears_it_costs_nothing(world: World, connection: Connection) -> None:
    with connect(world.owner_dsn, "tests") as owner:
        owner.execute("UPDATE trace.webhook SET removed_at = now()")
    add_case(world)
    assert tell_waiting(connection) == 0


def tell(dsn: str) -> None:
    with connect(dsn, "killed teller") as connection:
        tell_waiting(connection)


def test_a_process_killed_while_it_tells_loses_nothing_and_doubles_nothing(
    world: World, database: TestDatabase, connection: Connection
) -> None:
    add_case(world)
    with psycopg.connect(world.owner_dsn) as owner:
        # It has worded the message and waits to queue it.
        owner.execute("LOCK TABLE trace.webhook_delivery IN ACCESS EXCLUSIVE MODE")
        process = multiprocessing.get_context("spawn").Process(target=tell, args=(database.trace_dsn,))
        process.start()
        _wait(connection, "killed teller", waits=True)
        assert tell_waiting(connection) == 0, "one tells at a time"
        process.kill()
        process.join()
    _wait(connection, "killed teller", waits=False)
    assert queued(connection) == []
    assert tell_waiting(connection) == 1
    assert queued(connection) == ["case.opened"]


def test_a_lost_database_is_no_fault_of_the_message(
    world: World, database: TestDatabase, connection: Connection
) -> None:
    add_case(world)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(world.owner_dsn) as owner:
            owner.execute("LOCK TABLE trace.mail IN EXCLUSIVE MODE")
            telling = pool.submit(tell, database.trace_dsn)
            _wait(connection, "killed teller", waits=True)
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'killed teller'"
            owner.execute(query)
        with pytest.raises(psycopg.OperationalError):
            telling.result(PATIENCE)
    _wait(connection, "killed teller", waits=False)  # its end is told before what it held is let go
    (row,) = connection.execute("SELECT state, attempts FROM trace.case_message").fetchall()
    assert tuple(row) == ("waiting", 0)
    assert tell_waiting(connection) == 1


def _wait(connection: Connection, name: str, *, waits: bool) -> None:
    """Wait until one of the connections of that name waits for a lock, or all are gone."""
    deadline = time.monotonic() + PATIENCE
    query = "SELECT wait_event_type AS event FROM pg_stat_activity WHERE application_name = %s"
    while time.monotonic() < deadline:
        found = [row.event for row in connection.execute(query, (name,))]
        if ("Lock" in found) if waits else not found:
            return
        time.sleep(0.02)
    raise TimeoutError(name)
