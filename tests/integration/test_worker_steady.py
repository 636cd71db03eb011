"""What keeps a worker's pauses short, held against a real database and a real heap."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from conftest import TestDatabase

from trace_service.steady import Pace, Steady
from trace_service.store.connection import Connection, connect

QUERY = "SELECT event.id FROM steady.event WHERE event.unit = ANY(%(units)s)"


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.owner_dsn, "tests") as connection:
        connection.execute("CREATE SCHEMA steady")
        # Nobody else analyses it: what is held here is what happens until somebody does.
        connection.execute(
            "CREATE TABLE steady.event (id bigint GENERATED ALWAYS AS IDENTITY, unit text NOT NULL)"
            " WITH (autovacuum_enabled = false)"
        )
        connection.execute("CREATE INDEX ON steady.event (unit)")
        yield connection


def fill(connection: Connection, first: int, last: int) -> None:
    connection.execute(
        "INSERT INTO steady.event (unit) SELECT 'unit ' || each FROM generate_series(%s::int, %s::int) AS each",
        (first, last),
    )


def reads_everything(connection: Connection) -> bool:
    """Whether one look-up, as it is planned now, reads the whole table."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = connection.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'event'").fetchone()
    connection.execute(QUERY, {"units": ["unit 1"]})
    connection.execute("SELECT pg_stat_force_next_flush()")
    after = connection.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'event'").fetchone()
    assert before is not None
    assert after is not None
    return bool(after.seq_scan > before.seq_scan)


def test_a_plan_that_was_made_for_a_small_table_does_not_outlive_its_growth(connection: Connection) -> None:
    now = 0.0
    steady = Steady(lambda: now)
    fill(connection, 1, 20)
    connection.execute("ANALYZE steady.event")
    for _ in range(15):
        connection.execute(QUERY, {"units": ["unit 1"]})
    fill(connection, 21, 20_000)
    steady.between(connection, 0)
    assert reads_everything(connection), "this is what there is to mend"
    now = 6.0
    steady.between(connection, 0)
    assert not reads_everything(connection)


class Ring:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.me = self


def test_garbage_of_a_batch_is_found_between_batches_and_what_lives_is_looked_at_once(connection: Connection) -> None:
    steady = Steady()
    ring = Ring()
    gone = weakref.ref(ring)
    living = [[each] for each in range(10_000)]
    del ring
    steady.between(connection, 1_000)
    try:
        assert gone() is None
        assert gc.get_freeze_count() > len(living)
    finally:
        gc.unfreeze()


def test_a_pace_takes_fewer_where_each_takes_long_and_never_too_few_to_get_on() -> None:
    pace = Pace(0.05, 100)
    assert pace.size == 100
    for _ in range(10):
        pace.took(pace.size, 0.001 * pace.size)
    assert 45 <= pace.size <= 55
    for _ in range(10):
        pace.took(pace.size, 1.0 * pace.size)
    assert pace.size == 20
    for _ in range(20):
        pace.took(pace.size, 0.0001 * pace.size)
    assert pace.size == 100
