"""Inspections measured on a generated world: what stands where, who meets it, and that no detector reads the truth."""

import csv
import json
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from trace_service.inspections.measuring import Result, measure, per_hundred, table, watch

SIZE = ["--seed", "33", "--dealers", "20", "--items", "12000", "--days", "150"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "33"
    made = CliRunner().invoke(main, ["world", "generate", str(folder), *SIZE, "--whereabouts"])
    assert made.exit_code == 0, made.output
    return folder


def test_the_truth_is_one_more_file_and_changes_no_other(world: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["world", "generate", str(tmp_path), *SIZE]).exit_code == 0
    names = {each.name for each in world.iterdir()}
    assert names - {each.name for each in tmp_path.iterdir()} == {"whereabouts.csv"}
    assert all((world / name).read_bytes() == (tmp_path / name).read_bytes() for name in names - {"whereabouts.csv"})


def test_diverted_cases_stand_in_the_attacked_cities_after_they_were_lost(world: Path) -> None:
    attacks = json.loads((world / "labels.json").read_text())["attacks"]
    lost = {
        case: (each["first_at"], {city["adcode"][:4] for city in each["destinations"]})
        for each in attacks
        if each["type"] in {"drip", "bulk", "promo", "backflow", "rebind", "collusion"}
        for case in each["cases"]
    }
    with (world / "whereabouts.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["case"] in lost]
    assert rows
    for row in rows:
        first, cities = lost[row["case"]]
        assert row["adcode"][:4] in cities
        assert datetime.fromisoformat(first) < datetime.fromisoformat(row["since"])
        assert datetime.fromisoformat(row["since"]) < datetime.fromisoformat(row["until"])


def test_who_knows_meets_more_than_chance_and_everybody_keeps_to_the_day(world: Path) -> None:
    found = {each.policy: each for each in measure(world, lambda _: None, ["planner", "random", "oracle"])}
    assert found["none"].visits == 0
    oracle, random, planner = (found[name] for name in ("oracle", "random", "planner"))
    assert oracle.met / oracle.visits > random.met / random.visits
    assert oracle.met >= 1
    assert all(each.hours <= 9 * 2 * 22 for each in found.values()), "nine hours, two days a week"
    assert random.lots == pytest.approx(random.visits, abs=5)
    assert 0 < planner.lots < planner.visits / 3


def test_looking_on_changes_nothing_for_the_engine(world: Path) -> None:
    found = {each.policy: each for each in watch(world, lambda _: None, ["random", "oracle"])}
    assert len({each.alerts for each in found.values()}) == 1
    assert found["none"].beyond == 0
    assert all(each.beyond >= 0 for each in found.values())
    assert found["oracle"].beyond + sum(days > 0 for days in found["oracle"].earlier) == found["oracle"].met > 0


def test_a_world_without_the_truth_is_refused_in_one_line(world: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for each in world.iterdir():
        if each.name != "whereabouts.csv":
            (bare / each.name).symlink_to(each)
    answer = CliRunner().invoke(main, ["inspect", "trial", str(bare), "--out", str(tmp_path / "out")])
    assert answer.exit_code == 1
    assert "--whereabouts" in answer.output


def test_rates_are_pooled_and_their_interval_holds_them() -> None:
    results = [
        Result(
            world=str(number), policy="random", attacks=20, visits=100, hours=400.0, beyond=number % 3,
            earlier=[1.0], alerts=10, right=9, met=4, lots=100, lots_met=4,
        )
        for number in range(9)
    ]  # fmt: skip
    rate = per_hundred(results, lambda each: each.beyond, lambda each: each.visits)
    assert rate.value == pytest.approx(1.0)
    assert rate.low < rate.value < rate.high
    (row,) = table(results)
    assert (row["visits"], row["beyond"], row["days_earlier"]) == (900, 9, 1.0)
