import threading
from collections.abc import Iterator

import psycopg
import pytest
from conftest import TestDatabase
from custody_yard import BRAND, Yard
from trace_market import KEYS

from benchmarks.load.custody_check import contents_of
from benchmarks.load.custody_histories import UNITS, History, make_history
from benchmarks.load.custody_reference import Reference, outcome_of
from geofence.maps import AtomMap
from trace_service.domain.events import Event
from trace_service.processing.history import state_at
from trace_service.processing.loading import load_sites
from trace_service.worker import Worker

SITES = ("factory", "dc-east", "S-CHENGDU-01", "S-CHENGDU-X", "S-NANJING-X")
DEALERS = ("D-CHENGDU", "D-NANJING")


@pytest.fixture
def yard(database: TestDatabase) -> Iterator[Yard]:
    yard = Yard(database)
    with psycopg.connect(database.owner_dsn) as owner:
        for site, dealer in zip(SITES[2:], ("D-CHENGDU", *DEALERS), strict=True):
            owner.execute(
                "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en) VALUES (%s, 'store', %s, 'x', 'x')"
                " ON CONFLICT (id) DO UPDATE SET dealer = excluded.dealer",
                (site, dealer),
            )
    yield yard
    yard.connection.close()


def test_stored_histories_end_as_the_naive_reference_says_and_past_answers_stay(yard: Yard, atoms: AtomMap) -> None:
    worker = Worker(yard.database.trace_dsn, KEYS, atoms, threading.Event())
    for seed in range(30):
        history = make_history(seed, SITES, DEALERS)
        middle = len(history.batches) // 2
        for number, batch in enumerate(history.batches):
            yard.capture_all(batch)
            if number == middle:
                known_at = yard.now()
        worker.drain(yard.connection)
        _agrees(yard, history.events, f"seed {seed}")
        known = [event for batch in history.batches[: middle + 1] for event in batch]
        _then(yard, history, known, known_at)
        _clear(yard)


def _agrees(yard: Yard, events: list[Event], seed: str) -> None:
    sites = load_sites(yard.connection, SITES, ())
    reference = Reference(sites, contents_of(events)).play(events)
    rows = yard.rows("SELECT device, seq, reason FROM trace.quarantine WHERE resolved_at IS NULL")
    expected = {(source.device, source.seq, why) for source, why in reference.refused.items()}
    assert {tuple(row) for row in rows} == expected, seed
    for unit in UNITS:
        _same(yard, unit, reference, events[-1], None)


def _then(yard: Yard, history: History, known: list[Event], known_at: object) -> None:
    """Return what had been known halfway, to the moment of the last event, as the reference would have said then."""
    events = list({event.source: event for event in known}.values())
    sites = load_sites(yard.connection, SITES, ())
    # What a container ever held is known without time: leave it to histories in which nothing was held.
    if any(event.step in {"recalling", "holding"} for event in history.events):
        return
    reference = Reference(sites, contents_of(events)).play(events)
    for unit in UNITS:
        _same(yard, unit, reference, history.events[-1], known_at)


def _same(yard: Yard, unit: str, reference: Reference, last: Event, known_at: object) -> None:
    found = state_at(yard.connection, BRAND, unit, last.occurred_at, known_at)  # type: ignore[arg-type]
    life, path, moving, site, dealer, number, transfer, recalled, blocked = outcome_of(reference, unit)
    assert (found.parents, found.moving, found.site and found.site["id"], found.dealer) == (path, moving, site, dealer)
    assert found.shipment == (number if dealer else None)
    assert (found.transfer and tuple(found.transfer.values())) == transfer
    assert (found.recalled is not None, found.blocked is not None) == (recalled, blocked)
    ended = {"unknown", "sold", "decommissioned", "destroyed"}
    assert (found.state if found.state in ended else "active") == life


def _clear(yard: Yard) -> None:
    with psycopg.connect(yard.database.owner_dsn) as owner:
        owner.execute(
            "TRUNCATE trace.custody_event, trace.containment, trace.binding, trace.shipment, trace.quarantine,"
            " trace.custody_reliance, trace.custody_content, trace.reevaluation CASCADE"
        )
