"""Real processes are killed, cut off, filled up and lied to; then the database must hold every captured nonce once."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from waiting import PATIENCE

from cli.embedded import timescale
from cli.embedded.binaries import service_account
from cli.soaking.audit import Audit, audit_fleet, audit_station, outbox_scans
from cli.soaking.faults import single_fault
from cli.soaking.mosquitto import is_installed
from cli.soaking.outages import Outage, database_down, storm
from cli.soaking.rounds import PARTS, RATES, Round, campaign, plan
from cli.soaking.system import SITE, BrokerKind, DatabaseKind, Parts, System, wait_for

KINDS = [
    BrokerKind.NATS,
    pytest.param(
        BrokerKind.MOSQUITTO,
        marks=pytest.mark.skipif(not is_installed(), reason="Mosquitto is absent: apt-get install mosquitto"),
    ),
]
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
ON_NATS = Parts(BrokerKind.NATS)
FLEET = [f"device-{number}" for number in range(5)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def clean(audit: Audit, least: int) -> None:
    assert audit.is_clean, audit
    assert audit.captured >= least


@dataclass
class Campaigns:
    """What takes longest runs at the same time, since most of it is waiting."""

    rounds: dict[BrokerKind, Future[list[Round]]]
    outage: Future[Outage]
    timescale: Future[list[Round]] | None


@pytest.fixture(scope="module")
def campaigns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaigns]:
    folder = tmp_path_factory.mktemp("campaigns")
    kinds = [kind for kind in BrokerKind if kind is BrokerKind.NATS or is_installed()]
    with ThreadPoolExecutor(len(kinds) + 2) as pool:
        rounds = {kind: pool.submit(campaign, folder / kind, Parts(kind), 10, 1, lambda _: None) for kind in kinds}
        outage = pool.submit(database_down, folder / "outage", ON_NATS, 30)
        on_timescale = None
        if not timescale.unavailable():
            parts = Parts(BrokerKind.NATS, DatabaseKind.TIMESCALE)
            on_timescale = pool.submit(campaign, folder / "timescale", parts, 6, 2, lambda _: None)
        yield Campaigns(rounds, outage, on_timescale)
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_ten_rounds_of_kills_lose_double_and_strand_nothing(campaigns: Campaigns, kind: BrokerKind) -> None:
    rounds = campaigns.rounds[kind].result()
    assert [one for one in rounds if not one.audit.is_clean] == []
    assert rounds[-1].broken_promises == 0, "a station has beeped for what it does not have"
    assert rounds[-1].audit.captured > 100
    assert sum(one.audit.captured for one in rounds) > 10_000


@pytest.mark.skipif(bool(timescale.unavailable()), reason=timescale.unavailable())
def test_rounds_of_kills_on_timescaledb_lose_double_and_strand_nothing(campaigns: Campaigns) -> None:
    assert campaigns.timescale is not None
    rounds = campaigns.timescale.result()
    assert [one for one in rounds if not one.audit.is_clean or one.broken_promises] == []
    assert {part for one in rounds for part in one.killed} >= {"ingest", "database", "broker"}
    assert sum(one.audit.captured for one in rounds) > 6_000


def test_the_rounds_kill_every_part_at_every_rate() -> None:
    planned = [plan(1, number) for number in range(10)]
    assert {(rate, kill.part) for rate, kills in planned for kill in kills} == {
        (rate, part) for rate in RATES for part in PARTS
    }


def test_what_is_captured_without_a_database_is_stored_when_it_is_back(campaigns: Campaigns) -> None:
    clean(campaigns.outage.result().audit, 1000)


def test_a_thousand_devices_come_back_at_the_same_moment(home: Path) -> None:
    clean(storm(home, ON_NATS, 1000).audit, 200)


def test_edges_fill_while_the_broker_is_away_and_drain_when_it_is_back(home: Path) -> None:
    with System(home, ON_NATS, [*FLEET, "station-1"]) as system:
        station = system.add_station("station-1", 20)
        wait_for(lambda: b"uplink.online" in station.process.log_path.read_bytes(), "the station to connect")
        running = system.fleet("dark", FLEET, "--rate", 20, "--seconds", 6, "--longest-reconnect", 2)
        system.kill("broker")
        station.scanner.on.set()
        wait_for(lambda: running.captured() > 400, "the fleet to capture")
        wait_for(lambda: station.waiting > 50, "the station to fill")
        assert system.rows("SELECT count(*) FROM landing.scan WHERE device = 'station-1'") == [(0,)]
        system.revive("broker")
        station.scanner.on.clear()
        summary = running.finish(90)
        assert station.wait_drained(180)
        clean(audit_fleet(system.owner_dsn, running.journal, summary.open), 500)
        clean(audit_station(system.owner_dsn, "station-1", station.outbox), 50)


def test_connections_cut_in_the_middle_of_a_packet(home: Path) -> None:
    cut = single_fault(home, ON_NATS, "connections cut")
    clean(cut.audit, 900)
    assert cut.cuts >= 20
    assert cut.summary.connections > len(FLEET)


@pytest.mark.parametrize("kind", KINDS)
def test_messages_that_come_twice_and_in_any_order_are_stored_once(home: Path, kind: BrokerKind) -> None:
    twice = single_fault(home, Parts(kind), "twice and shuffled")
    clean(twice.audit, 1400)
    # Messages and not events: the busier the machine, the more events share one.
    assert twice.summary.duplicated > len(FLEET)


def test_a_clock_a_day_ahead_is_quarantined_and_one_a_day_behind_is_believed_and_flagged(home: Path) -> None:
    day = 24 * 3600
    with System(home, ON_NATS, FLEET) as system:
        ahead = system.fleet("ahead", FLEET[:1], "--rate", 20, "--seconds", 2, "--clock-offset", day)
        behind = system.fleet("behind", FLEET[1:2], "--rate", 20, "--seconds", 2, "--clock-offset", -day)
        told = [running.finish(90) for running in (ahead, behind)]
        first = audit_fleet(system.owner_dsn, ahead.journal, told[0].open)
        clean(first, 35)
        assert first.committed == 0
        assert told[0].refused == first.captured, "the device was told of each refusal"
        second = audit_fleet(system.owner_dsn, behind.journal, told[1].open)
        clean(second, 35)
        assert second.committed == second.captured
        assert system.rows("SELECT DISTINCT reason FROM landing.dead_letter") == [("TIME_OUT_OF_RANGE",)]
        skews = dict(system.rows("SELECT id, round(skew_ms / 1000.0)::int FROM landing.device WHERE skew_ms <> 0"))
        assert skews[FLEET[0]] == pytest.approx(day, abs=PATIENCE)
        assert skews[FLEET[1]] == pytest.approx(-day, abs=PATIENCE)


def test_poison_in_every_batch_is_refused_for_its_own_reason_and_its_neighbours_are_stored(home: Path) -> None:
    with System(home, ON_NATS, FLEET) as system:
        running = system.fleet("poison", FLEET, "--rate", 60, "--seconds", 3, "--poison", 0.3, "--resend", 5)
        system.kill("ingest")
        time.sleep(0.5)  # so that a backlog travels in arrays, in which the poison has neighbours
        system.revive("ingest")
        summary = running.finish(90)
        audit = audit_fleet(system.owner_dsn, running.journal, summary.open)
        clean(audit, 800)
        assert summary.refused == audit.captured - audit.committed > 150
        reasons = {reason for (reason,) in system.rows("SELECT DISTINCT reason FROM landing.dead_letter")}
        assert reasons == {"MESSAGE_INVALID", "CHECKSUM"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_forges_acknowledgements_commands_and_places_harms_nobody(home: Path, kind: BrokerKind) -> None:
    with System(home, Parts(kind), FLEET) as system:
        system.kill("ingest")  # what the forger acknowledges is in the victim's outbox alone
        victim = system.fleet("victim", FLEET[1:2], "--rate", 20, "--seconds", 3, "--resend", 2)
        forger = system.fleet("forger", FLEET[:1], "--rate", 20, "--seconds", 3, "--victim", FLEET[1], "--resend", 2)
        wait_for(lambda: victim.captured() > 30 and forger.captured() > 30, "both to capture")
        system.revive("ingest")
        told = victim.finish(90)
        clean(audit_fleet(system.owner_dsn, victim.journal, told.open), 55)
        told = forger.finish(90)
        clean(audit_fleet(system.owner_dsn, forger.journal, told.open), 55)
        assert system.rows("SELECT count(*) FROM landing.scan WHERE code LIKE 'forged-%'") == [(0,)]
        assert system.rows("SELECT DISTINCT site FROM landing.scan") == [(SITE,)]


@contextmanager
def small_disk(folder: Path, size: str, owner: int = 0) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},uid={owner},mode=700", "tmpfs", str(folder)], check=True
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"\0" * 512)


@NEEDS_ROOT
def test_a_full_disk_at_the_edge_refuses_scans_until_there_is_room_and_keeps_every_promise(home: Path) -> None:
    with small_disk(home / "small", "16m") as small, System(home, ON_NATS, ["station-1"]) as system:
        station = system.add_station("station-1", 30, small)
        station.scanner.on.set()
        wait_for(lambda: station.outbox.exists() and len(outbox_scans(station.outbox)) > 20, "the station to scan")
        fill(small / "ballast")
        wait_for(lambda: b'"station.refused"' in station.process.log_path.read_bytes(), "the station to refuse")
        full = len(outbox_scans(station.outbox))
        time.sleep(2)
        assert station.process.pid is not None
        assert len(outbox_scans(station.outbox)) == full
        (small / "ballast").unlink()
        shown = len(station.beeped())
        wait_for(lambda: len(station.beeped()) > shown + 20, "the station to go on")
        station.scanner.on.clear()
        assert station.wait_drained(180)
        # Among them what the outbox forgot to make room: all of it was acknowledged before.
        clean(audit_station(system.owner_dsn, "station-1", station.outbox, station.beeped()), 40)


@NEEDS_ROOT
def test_a_full_disk_of_the_database_holds_everything_back_until_there_is_room(home: Path) -> None:
    account = service_account()
    assert account is not None
    with System(home, ON_NATS, FLEET) as system, ExitStack() as stack:
        small = stack.enter_context(small_disk(system.postgres.home / "small", "400k", account.uid))
        with psycopg.connect(system.owner_dsn, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{small}'".encode())
            connection.execute("ALTER TABLE landing.scan SET TABLESPACE small")
            # What a failed transaction has left would be room for others.
            connection.execute("ALTER TABLE landing.scan SET (autovacuum_enabled = off)")
        running = system.fleet("full", FLEET, "--rate", 100, "--seconds", 8, "--resend", 5)
        log = system.ingest.log_path
        wait_for(lambda: b'"sqlstate": "53100"' in log.read_bytes(), "the disk to be full")
        time.sleep(2)
        held = system.rows("SELECT count(*) FROM landing.scan")
        time.sleep(2)
        assert system.rows("SELECT count(*) FROM landing.scan") == held
        assert system.ingest.pid is not None
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        summary = running.finish(90)
        clean(audit_fleet(system.owner_dsn, running.journal, summary.open), 3900)
        system.postgres.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_restored_to_an_earlier_point_is_refilled_from_the_edges(home: Path, kind: BrokerKind) -> None:
    watching = {"INGEST_MAINTENANCE_SECONDS": "1", "INGEST_GAP_SECONDS": "1"}
    with System(home, Parts(kind), [*FLEET, "station-1"], watching) as system:
        station = system.add_station("station-1", 10)
        station.scanner.on.set()
        running = system.fleet("restored", FLEET, "--rate", 10, "--seconds", 3600, "--resend", 3)

        def missing() -> int:
            return (
                audit_fleet(system.owner_dsn, running.journal, 0).lost
                + audit_station(system.owner_dsn, "station-1", station.outbox).lost
            )

        wait_for(lambda: running.captured() > 150 and len(outbox_scans(station.outbox)) > 20, "a first lot")
        copies = system.postgres.home / "earlier"
        system.postgres.stop()
        subprocess.run(["cp", "-a", str(system.postgres.home / "data"), str(copies)], check=True)
        system.postgres.start()
        copied = running.captured()
        wait_for(lambda: running.captured() > copied + 400 and missing() < 100, "a second lot to be acknowledged")
        before = system.rows("SELECT count(*) FROM landing.scan")[0][0]
        system.postgres.stop()
        shutil.rmtree(system.postgres.home / "data")
        copies.rename(system.postgres.home / "data")
        system.postgres.start()
        restored = system.rows("SELECT count(*) FROM landing.scan")[0][0]
        assert isinstance(before, int)
        assert isinstance(restored, int)
        assert restored < before - 200, "what was acknowledged since is gone from the database"
        wait_for(lambda: missing() < 100, "the gaps to be filled")
        running.stop_capturing()
        station.scanner.on.clear()
        summary = running.finish(90)
        assert station.wait_drained(180)
        wait_for(lambda: missing() == 0, "the last gap to be filled")
        clean(audit_fleet(system.owner_dsn, running.journal, summary.open), 500)
        clean(audit_station(system.owner_dsn, "station-1", station.outbox), 50)
