"""What the simulator keeps: sequence numbers, acknowledgements, departures; and which scans are due when."""

from pathlib import Path

import pytest

from contracts.messages import Ack, Kind, Refusal, Scan
from firmware_sim.market.journal import Journal
from firmware_sim.market.plan import Plan
from firmware_sim.market.play import Scanners
from firmware_sim.market.scans import Planned


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def _append(journal: Journal, *numbers: int) -> list[int]:
    events = [(number, Kind.SCAN, b"{}") for number in numbers]
    return [entry.seq for entry in journal.append("R1", events)]


def test_the_boot_and_the_next_number_survive_a_restart(path: Path) -> None:
    journal = Journal(path)
    boot = journal.boot
    assert _append(journal, 0, 1) == [1, 2]
    journal.close()
    again = Journal(path)
    assert again.boot == boot
    assert _append(again, 2) == [3]
    assert again.told("R1") == {0, 1, 2}
    again.close()


def test_only_what_is_in_the_ranges_of_an_acknowledgement_is_settled(path: Path) -> None:
    journal = Journal(path)
    _append(journal, *range(8))
    journal.settle(Ack(boot=journal.boot, committed=((1, 2), (5, 5)), refused=(Refusal(7, 8, "CHECKSUM"),)))
    assert [entry.seq for entry in journal.open_entries()] == [3, 4, 6]
    assert [entry.seq for entry in journal.reopen(4, 5)] == [4, 5]
    assert [entry.seq for entry in journal.open_entries()] == [3, 4, 5, 6]
    journal.close()


def test_a_begun_run_keeps_its_seed_and_a_new_run_gets_its_own(path: Path) -> None:
    journal = Journal(path)
    assert journal.begin("R1", 4, attack=True) == (4, True)
    assert journal.begin("R1", 9, attack=False) == (4, True)
    assert journal.begin("R2", 9, attack=False) == (9, False)
    journal.depart("R1", "SO-1")
    assert set(journal.departures("R1")) == {"SO-1"}
    assert journal.departures("R2") == {}
    journal.close()


def _planned(order: str, after: float, *, later: bool = False) -> Planned:
    return Planned(order, after, Scan(ts=0, code="X", symbology="QRCode"), later)


def test_scans_wait_for_their_order_to_leave_and_the_trickle_for_all_others() -> None:
    scans = (_planned("A", 5), _planned("B", 1), _planned("A", 0, later=True), _planned("A", 0, later=True))
    scanners = Scanners(Plan(scans, {}), told={1}, speed=2.0)
    assert scanners.due(1000.0, {}) == []
    assert scanners.due(1002.0, {"A": 1000.0}) == []
    assert [number for number, _ in scanners.due(1002.5, {"A": 1000.0})] == [0]
    assert [number for number, _ in scanners.due(1002.6, {"A": 1000.0})] == [2]
    assert scanners.due(1004.0, {"A": 1000.0}) == []
    assert not scanners.is_through
    assert [number for number, _ in scanners.due(1004.2, {"A": 1000.0})] == [3]
    assert scanners.is_through
