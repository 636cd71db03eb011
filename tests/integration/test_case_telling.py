"""Messages that say why are worded by who delivers them: in order, once, and whatever is killed in between."""

import multiprocessing
import time
from collections.abc import Iterator
from ipaddress import ip_network

import psycopg
import pytest
from conftest import TestDatabase
from console_world import BRAND, LOGIN, World, add_case, make_world
from waiting import PATIENCE

from trace_service.cases.machine import Action, Actor, Role
from trace_service.cases.service import Order, act
from trace_service.cases.telling import tell_waiting
from trace_service.keys import KeyWrapper
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


def _wait(connection: Connection, name: str, *, waits: bool) -> None:
    """Wait until a process of that name waits for a lock, or is gone."""
    deadline = time.monotonic() + PATIENCE
    query = "SELECT wait_event_type AS event FROM pg_stat_activity WHERE application_name = %s"
    while time.monotonic() < deadline:
        found = [row.event for row in connection.execute(query, (name,))]
        if (found == ["Lock"]) if waits else not found:
            return
        time.sleep(0.02)
    raise TimeoutError(name)
