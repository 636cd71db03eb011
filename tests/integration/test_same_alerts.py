"""The engine says the same in every process, whatever order the interpreter gives to sets of texts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.telling.writing import write_world

PROGRAM = Path(__file__).parents[1] / "engine_told.py"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(make_world(Request(seed=21, days=120, dealers=30, items=12_000)), folder, lambda _: None)
    return folder


def told(world: Path, hash_seed: int) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(PROGRAM.parents[1])}
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(world)], env=environment, capture_output=True, text=True, timeout=800,
        check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_processes_that_order_sets_differently_say_the_same_to_the_letter(world: Path) -> None:
    first, second = told(world, 1), told(world, 2)
    assert any('"Raised"' in line[:12] for line in first), "the world has no alert"
    assert sum('"key":"lot/LOT' in line for line in first) > 20, "no lots cross"
    assert first == second
