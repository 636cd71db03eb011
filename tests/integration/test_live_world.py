"""The proof: a world that goes through the real tables, papers and worker gives the alerts of its backtest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import TestDatabase
from live_world import BRAND, Stage, register
from trace_market import KEYS

from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.telling.writing import write_world
from geofence.maps import AtomMap
from trace_service.backtest.feed import Feed
from trace_service.backtest.world import World, read_world
from trace_service.detection.changes import Alert, Retracted
from trace_service.detection.divisions import load_divisions
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import read
from trace_service.detection.network import Network
from trace_service.processing.backfill import backfill
from trace_service.processing.books import Books
from trace_service.store.connection import Connection, connect

REQUEST = Request(seed=32, days=90, dealers=30, items=5_000, scan_rate=0.5)
# The database names a dealer where the engine names none: the top of the channel answers for that.
NOBODYS = ("forged", "clone", "collusion")
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    write_world(make_world(REQUEST), folder, lambda _: None, compressed=False)
    return read_world(folder, lambda _: None)


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.trace_dsn, "tests of the live world") as connection:
        yield connection


def backtested(world: World) -> set[Row]:
    network = Network(world.channel)
    engine, last = Engine(network), dict[str, Any]()
    for observation in Feed(world, network):
        for change in engine.observe(observation):
            last[change.alert.number] = change
    return {_row(each.alert, "closed" if isinstance(each, Retracted) else "open") for each in last.values()}


def _row(alert: Alert, state: str) -> Row:
    detector, dealer = alert.reason["code"], None if alert.kind in NOBODYS else alert.dealer
    return detector, alert.kind, dealer, alert.adcode or "", len(alert.cases), round(alert.probability, 6), state


def stored(connection: Connection) -> set[Row]:
    rows = connection.execute(
        "SELECT reason ->> 'code', kind, CASE WHEN kind <> ALL(%s) THEN dealer END, city, cases,"
        " round(probability::numeric, 6)::float8, state FROM trace.alert WHERE brand = %s",
        (list(NOBODYS), BRAND),
    )
    return {tuple(row) for row in rows}


@pytest.mark.timeout(900)
def test_a_world_raises_live_what_its_backtest_raises(
    world: World, database: TestDatabase, connection: Connection, atoms: AtomMap, tmp_path: Path
) -> None:
    expected = backtested(world)
    assert {row[1] for row in expected} >= {"bulk", "forged", "clone", "backflow", "skip", "rebind"}
    changes = register(connection, database.owner_dsn, world.folder, tmp_path / "tables", atoms)
    with pytest.MonkeyPatch.context() as patch:
        # A world has no Hong Kong, Macau and Taiwan.
        patch.setattr("trace_service.detection.live.network._places", lambda _: load_divisions())
        stage = Stage(world, database, connection, atoms, changes)
        stage.play()
    assert stored(connection) == expected
    # A brand that had all this before it had an engine: told its past, a new engine says the same of what still stands.
    _forget(database, stage)
    told = backfill(database.trace_dsn, KEYS, Books(atoms), BRAND, lambda _: None)
    assert told > stage.landed
    assert backfill(database.trace_dsn, KEYS, Books(atoms), BRAND, lambda _: None) == 0
    standing = {row[1:4] for row in expected if row[-1] == "open"}
    assert {row[1:4] for row in _told(connection, world) if row[-1] == "open"} == standing


def _forget(database: TestDatabase, stage: Stage) -> None:
    """Leave no trace of any engine; captured events were on record from the world's own moments."""
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("TRUNCATE trace.observation, trace.observation_inbox, trace.observed")
        for capture, moment in stage.captured.items():
            owner.execute("UPDATE trace.custody_event SET recorded_at = %s WHERE boot = %s", (moment, capture))


def _told(connection: Connection, world: World) -> set[Row]:
    engine, last = Engine(Network(world.channel)), dict[str, Any]()
    for row in connection.execute("SELECT kind, body::text AS body FROM trace.observation_inbox ORDER BY id"):
        for change in engine.observe(read(row.kind, row.body)):
            last[change.alert.number] = change
    return {_row(each.alert, "closed" if isinstance(each, Retracted) else "open") for each in last.values()}
