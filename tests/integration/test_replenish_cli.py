"""The commands on real tables, as a brand would call them."""

import csv
import json
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from benchmarks.frame import DataMissingError, data_folder
from cli.main import main


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["replenish", *map(str, arguments)])


@pytest.fixture
def demand(tmp_path: Path) -> Path:
    random = Random(8)
    path = tmp_path / "demand.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["node", "sku", "date", "units", "price"])
        for node in ("north", "south"):
            for sku in range(12):
                for day in range(150):
                    units = random.choice((0, 0, 1, 2, 5)) * (1 + sku % 3)
                    if units:
                        month, rest = divmod(day, 28)
                        writer.writerow([node, f"p{sku}", f"2026-{month + 1:02}-{rest + 1:02}", units, 2.5])
        writer.writerow(["north", "p1", "2026-06-11", -3, 2.5])
    return path


def test_backtest_prints_a_table_for_people_and_one_object_for_machines(demand: Path, tmp_path: Path) -> None:
    shown = call("backtest", demand, "--from", "2026-05-01", "--policy", "codefence", "--policy", "ma48-fixed")
    assert shown.exit_code == 0, shown.output
    assert "negative_units (repaired), first line" in shown.stderr
    out = tmp_path / "report"
    answer = call("backtest", demand, "--from", "2026-05-01", "--policy", "codefence", "--json", "--out", out)
    report = json.loads(answer.stdout)
    assert report["flags"]["negative_units"] == 1
    assert report["evaluated"] == 24
    (policy,) = report["policies"]
    assert set(policy["cover_days"]) == {"95", "97"}
    assert 0 < policy["fill_at_8_days"] <= 1
    assert json.loads((out / "report.json").read_text("utf-8")) == report
    page = (out / "report.html").read_text("utf-8")
    assert page.count("<svg") >= 4
    assert "http" not in page.replace("http-equiv", "")
    assert (out / "flags.csv").read_text("utf-8").count("\n") == len(report["flagged"]) + 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--from", "2031-01-01"], 1, "no trading day from 2031-01-01"),
        (["--from", "2026-01-05"], 1, "no product has ten days with sales"),
        (["--from", "soon"], 2, "is no date"),
        (["--from", "2026-05-01", "--column", "units=qty"], 1, "line 1: no column 'qty' for units"),
        (["--from", "2026-05-01", "--policy", "magic"], 2, "magic"),
    ],
)
def test_backtest_says_in_a_line_what_is_wrong(demand: Path, arguments: list[str], code: int, words: str) -> None:
    answer = call("backtest", demand, *arguments)
    assert answer.exit_code == code
    assert words in " ".join(answer.output.split())
    assert "Traceback" not in answer.output


def test_plan_and_transfer_work_from_the_same_tables(demand: Path, tmp_path: Path) -> None:
    stock, lanes, lots = tmp_path / "stock.csv", tmp_path / "lanes.csv", tmp_path / "lots.csv"
    rows = [f"{node},p{sku},{60 if node == 'north' else 0}" for node in ("north", "south") for sku in range(12)]
    stock.write_text("\n".join(["node,sku,on_hand", *rows, "south,new,4"]), "utf-8")
    lanes.write_text("from,to,unit_cost\nnorth,south,0.05\n", "utf-8")
    lots.write_text("node,sku,units,expires\nnorth,p0,30,2026-06-20\n", "utf-8")
    answer = call("plan", demand, "--stock", stock, "--lots", lots, "--json")
    made = json.loads(answer.stdout)
    lines = {(row["node"], row["sku"]): row for row in made["lines"]}
    assert lines["south", "new"]["evidence"] == 0
    assert lines["south", "new"]["mean_a_day"] > 0.5
    assert lines["south", "p2"]["p_stockout"] > 0.9
    assert {row["sku"] for row in made["orders"] if row["order_on"] == made["today"]} >= {
        f"p{each}" for each in range(12)
    }
    assert made["actions"][0] | {"expected_left": 0, "p_sold": 0} == {
        "node": "north", "sku": "p0", "action": "transfer", "why": "near_expiry", "units": 30, "expected_left": 0,
        "p_sold": 0, "days": 9,
    }  # fmt: skip
    moves = json.loads(call("transfer", demand, "--stock", stock, "--lanes", lanes, "--json").stdout)["moves"]
    assert len(moves) >= 10
    assert {(row["from"], row["to"]) for row in moves} == {("north", "south")}
    lanes.write_text("from,to,unit_cost\nnorth,moon,0.05\n", "utf-8")
    refused = call("transfer", demand, "--stock", stock, "--lanes", lanes)
    assert refused.exit_code == 1
    assert "line 2" in refused.output


@pytest.mark.data
def test_on_real_demand_the_own_policy_needs_less_stock_than_any_other_and_forecasts_as_well() -> None:
    try:
        folder = data_folder("retail")
    except DataMissingError as missing:
        pytest.skip(missing.message)
    answer = call(
        "backtest", folder / "demand_train.csv.gz", "--column", "units=units_retail", "--prices", folder / "sku.csv",
        "--from", "2011-06-23", "--json",
    )  # fmt: skip
    found = {each["policy"]: each for each in json.loads(answer.stdout)["policies"]}
    cover = {name: each["cover_days"]["95"] for name, each in found.items()}
    others = [cover[name] for name in ("tsb-weekday", "imapa", "adida", "ma48-nb", "ma48-fixed", "monthly")]
    assert cover["known-mean"] < cover["codefence"] < min(others)
    for days in ("14", "28"):
        best = min(found[name]["wrmsse"][days] for name in ("tsb-weekday", "imapa", "adida"))
        assert found["codefence"]["wrmsse"][days] <= 1.01 * best
