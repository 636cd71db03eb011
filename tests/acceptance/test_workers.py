"""Two ingest workers share the load, one is killed and comes back, and orders from the command line disturb neither."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.installation import codefence
from cli.soaking.audit import audit_fleet
from cli.soaking.mosquitto import is_installed
from cli.soaking.system import SITE, BrokerKind, Parts, System, shares, wait_for
from contracts.topics import PARTITIONS, partition

NEEDS_MOSQUITTO = pytest.mark.skipif(not is_installed(), reason="Mosquitto is absent: apt-get install mosquitto")
KINDS = [BrokerKind.NATS, pytest.param(BrokerKind.MOSQUITTO, marks=NEEDS_MOSQUITTO)]
FLEET = [f"device-{number}" for number in range(12)]
FIRST = {name for name in FLEET if partition(name) < PARTITIONS // 2}
SECOND = set(FLEET) - FIRST
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'codefence ingest-1%'"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)


def stored(system: System) -> dict[object, object]:
    rows = system.rows("SELECT device, count(*) FROM landing.scan GROUP BY device")
    return {device: count for device, count in rows}  # noqa: C416  a row may have any length, says its type


def stored_since(system: System, before: dict[object, object], devices: set[str]) -> bool:
    now = stored(system)
    return all(now.get(device, 0) != before.get(device, 0) for device in devices)


@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_share_the_load_and_a_killed_one_loses_nothing(home: Path, kind: BrokerKind) -> None:
    assert min(len(FIRST), len(SECOND)) > 2, "both workers have something to do"
    with System(home, Parts(kind, workers=2), FLEET) as system:
        running = system.fleet("shared", FLEET, "--rate", 20, "--seconds", 3600, "--resend", 2, "--drain", 90)
        wait_for(lambda: len(stored(system)) == len(FLEET), "events of every device")
        system.kill("ingest-1")
        wait_for(lambda: system.rows(CONNECTED) == [(0,)], "the database to end what the killed worker had begun")
        dead = stored(system)
        wait_for(lambda: stored_since(system, dead, FIRST), "the other worker to go on")
        before = stored(system)
        assert {device: before[device] for device in SECOND} == {device: dead[device] for device in SECOND}
        system.revive("ingest-1")
        wait_for(lambda: stored_since(system, before, SECOND), "the killed worker's devices")
        wait_for(lambda: sum(stored(system).values()) > 300, "enough to lose some")
        running.stop_capturing()
        summary = running.finish(90)
        audit = audit_fleet(system.owner_dsn, running.journal, summary.open)
    assert audit.is_clean, audit
    assert audit.captured > 300


@NEEDS_MOSQUITTO
def test_pausing_a_device_does_not_end_a_workers_session(home: Path) -> None:
    with System(home, Parts(BrokerKind.MOSQUITTO, workers=2), FLEET[:1]) as system:
        running = system.fleet("paused", FLEET[:1], "--rate", 10, "--seconds", 3600, "--resend", 2)
        wait_for(lambda: stored(system), "events")
        for command in (["pause", "--site", SITE, "--minutes", "1"], ["resume", "--site", SITE], ["maintain"]):
            environment = system.environment_of("ingest-0")
            subprocess.run(codefence("ingest", *command), env=environment, check=True, capture_output=True)
        before = stored(system)
        wait_for(lambda: stored(system) != before, "events after the pause")
        running.stop_capturing()
        assert audit_fleet(system.owner_dsn, running.journal, running.finish(90).open).is_clean
        for worker in system.workers.values():
            assert b"ingest.broker" not in worker.log_path.read_bytes(), "its connection was never ended"


def test_partitions_are_shared_out_without_a_gap() -> None:
    assert shares(1) == {"ingest": "0-15"}
    assert shares(2) == {"ingest-0": "0-7", "ingest-1": "8-15"}
    assert list(shares(3).values()) == ["0-4", "5-9", "10-15"]
