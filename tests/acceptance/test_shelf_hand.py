"""A hand reaches into a simulated shelf: stock falls on the console, and the proposal appears."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_system import CODEFENCE, System, start, wait_for

pytestmark = pytest.mark.timeout(300)
STORE, GTIN = "S-HANGZHOU-01", "09506000134352"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = start(tmp_path / "var", "--no-attack")
    yield system
    system.stop()
    link = tmp_path / "var" / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve())


def test_goods_taken_by_hand_fall_on_the_page_and_are_proposed_again(system: System) -> None:
    wait_for(lambda: (_row(system)["quantity"] or 0) > 20, "the shelf's first figure", 60)
    command = [CODEFENCE, "shelf", "take", f"{STORE}/1", "22", "--var", system.var, "--json"]
    taken = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert taken["units"] == 22
    wait_for(lambda: _row(system)["quantity"] <= taken["left"] + 1, "the stock to fall", 30)
    row = _row(system)
    assert row["certainty"] > 0.9
    assert row["seq"], "the figure names the message that it rests on"
    wait_for(lambda: _proposals(system), "the proposal", 30)
    assert _proposals(system)[0]["quantity"] > 0


def _row(system: System) -> dict[str, float]:
    rows = system.get("/stock")["stock"]
    found: dict[str, float] = next(each for each in rows if (each["site"], each["gtin"]) == (STORE, GTIN))
    return found


def _proposals(system: System) -> list[dict[str, float]]:
    return [
        each
        for each in system.get("/proposals?state=open")["proposals"]
        if (each["site"], each["gtin"]) == (STORE, GTIN)
    ]
