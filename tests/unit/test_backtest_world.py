"""A world folder goes in, alerts come out: right ones, the same ones every time, and none out of bad input."""

import csv
import json
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from tests.tiny_world import (
    CITIES,
    GTIN,
    GUILTY,
    START,
    VICTIM,
    alerts,
    append,
    iso,
    scan,
    silent,
    write_events,
    write_world,
)
from trace_service.backtest.forms import Forms
from trace_service.backtest.run import EVIDENCE, run_world
from trace_service.backtest.world import Item, read_world


def test_the_dumped_shipment_is_the_only_alert_and_its_evidence_can_be_followed(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    outcome = run_world(tmp_path / "world", tmp_path / "out", silent)
    (alert,) = alerts(tmp_path / "out")
    assert (alert["dealer_id"], alert["destination"]) == (f"D{GUILTY}", {"adcode": CITIES[VICTIM][0]})
    labels = json.loads((tmp_path / "world" / "labels.json").read_text("utf-8"))["attacks"][0]
    assert set(alert["cases"]) <= set(labels["cases"])
    assert set(alert["evidence"]) <= set(labels["events"])
    assert alert["raised_at"] >= alert["last_scan_at"]
    assert sum(each["nats"] for each in alert["contributions"]) == pytest.approx(
        alert["reason"]["parameters"]["nats"], abs=0.05
    )
    assert outcome.scores[EVIDENCE].recall["core"].hits == 1
    cells = (tmp_path / "out" / "cells.jsonl").read_text("utf-8").splitlines()
    guilty = [json.loads(line) for line in cells if f'"D{GUILTY}","adcode":"{CITIES[VICTIM][0]}"' in line]
    assert guilty[0]["probability"] < 0.2
    assert max(each["probability"] for each in guilty) > 0.5


def test_an_honest_market_raises_nothing_and_has_no_recall_to_speak_of(tmp_path: Path) -> None:
    write_world(tmp_path / "world", attack=False)
    outcome = run_world(tmp_path / "world", tmp_path / "out", silent)
    assert (alerts(tmp_path / "out"), outcome.scores[EVIDENCE].recall) == ([], {})


def test_without_labels_there_are_the_same_alerts_and_no_scores(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "first", silent)
    (tmp_path / "world" / "labels.json").unlink()
    outcome = run_world(tmp_path / "world", tmp_path / "second", silent)
    assert outcome.scores == {}
    for name in ("alerts.jsonl", "cells.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_nothing_of_the_future_is_used(tmp_path: Path) -> None:
    """A stream that is cut off right after an alert has raised that very alert."""
    events = write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "whole", silent)
    (alert,) = alerts(tmp_path / "whole")
    write_events(tmp_path / "world", [each for each in events if each["received_at"] <= alert["raised_at"]])
    run_world(tmp_path / "world", tmp_path / "cut", silent)
    assert alerts(tmp_path / "cut") == [alert]


def test_a_late_transfer_paper_takes_the_alert_back(tmp_path: Path) -> None:
    """The shipment had been given to the dealer of the city: the paper comes a hundred days later."""
    write_world(tmp_path / "world")
    papers = (tmp_path / "world" / "shipments.csv").read_text("utf-8").splitlines()
    left = START + timedelta(days=7 * 8 + 2)
    late = f"T1,D{GUILTY},D{VICTIM},{iso(left)},{iso(left)},{iso(left + timedelta(days=100))},transfer"
    (tmp_path / "world" / "shipments.csv").write_text("\n".join([*papers, late]) + "\n", encoding="utf-8")
    items = (tmp_path / "world" / "items.csv").read_text("utf-8")
    (tmp_path / "world" / "items.csv").write_text(
        items.replace(f"H{GUILTY}-8\n", f"H{GUILTY}-8;T1\n"), encoding="utf-8"
    )
    outcome = run_world(tmp_path / "world", tmp_path / "out", silent)
    (alert,) = alerts(tmp_path / "out")
    assert outcome.retracted == 1
    assert alert["retracted_at"] >= iso(left + timedelta(days=100))


def _corrupt(events: list[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    """Add what no honest stream should hold, about the very dealer and city under suspicion."""
    when = START + timedelta(days=60)
    bad: list[dict[str, Any]] = []
    for number in range(60):
        event = scan(f"bad{number}", events[7 * number]["codes"][0], VICTIM, when, chance)
        change: dict[str, Any] = [
            {"occurred_at": "1970-01-01T00:00:00.000Z"},
            {"occurred_at": "2099-01-01T00:00:00.000Z"},
            {"event_id": events[0]["event_id"]},
            {"codes": [f"rubbish {number}"]},
            {"source": "gps", "lat": None, "lon": None, "adcode": None},
            {"accuracy_m": 9e9},
            {"source": "gps", "lat": 891.0, "lon": -4e5},
            {"source": "telepathy"},
            {"codes": []},
            {"type": "teleport"},
            {"received_at": "1970-01-01T00:00:00.000Z"},
            {"type": "receive", "source": "site", "place": "NOBODY"},
        ][number % 12]
        bad.append(event | change)
    return events + bad


def test_bad_events_are_counted_and_accuse_nobody(tmp_path: Path) -> None:
    events = write_world(tmp_path / "world", attack=False)
    write_events(tmp_path / "world", _corrupt(events, random.Random(7)))
    with (tmp_path / "world" / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write("[" * 5000 + "]" * 5000 + "\n")
        file.write('{"event_id": "torn", "type": "consumer_sc')
    outcome = run_world(tmp_path / "world", tmp_path / "out", silent)
    assert alerts(tmp_path / "out") == []
    assert outcome.notices.keys() >= {
        "occurred_too_long_ago", "occurred_in_the_future", "same_event_twice", "unknown_code", "without_location",
        "absurd_accuracy", "position_off_the_earth", "unknown_type", "received_at_not_believed", "malformed_line",
        "movement_at_unknown_place",
    }  # fmt: skip


def test_a_carton_that_was_packed_anew_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    with (tmp_path / "world" / "items.csv").open(encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))[:3]
    moment = iso(START + timedelta(days=6))
    common = {"occurred_at": moment, "received_at": moment, "device_id": "R", "actor": "op", "source": "site"}
    packed = common | {"event_id": "p", "type": "pack", "place": "D0", "parent": "NEW"}
    shipped = common | {"event_id": "s", "type": "ship", "place": "D0", "codes": ["NEW"], "to": "S0"}
    write_events(tmp_path / "world", [packed | {"codes": [each["code"] for each in items]}, shipped])
    assert "unknown_code" not in run_world(tmp_path / "world", tmp_path / "out", silent).notices


def test_a_code_has_the_form_of_issued_ones_also_where_serials_count_up() -> None:
    issued = [Item(f"01{GTIN}21{number:07}", f"C{number // 6}", "", GTIN, "", ()) for number in range(100_000)]
    forms = Forms(issued, {each.code for each in issued}, [GTIN])
    assert [forms.product(f"01{GTIN}21{number:07}") for number in range(12_341, 12_351)] == [GTIN] * 10
    assert forms.product(f"01{GTIN}21X{1:06}") is None


def test_the_command_pools_worlds_prints_one_table_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for name, attack in (("guilty", True), ("honest", False)):
        write_world(tmp_path / name, attack=attack)
    arguments = ["backtest", str(tmp_path / "guilty"), str(tmp_path / "honest"), "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(main, [*arguments, "--json"])
    assert first.exit_code == 0, first.output
    answer = json.loads(first.stdout)
    assert answer["scores"]["evidence"]["precision"]["value"] == 1.0
    assert answer["scores"]["every foreign scan"]["precision"]["value"] < 0.2
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    chinese, english = page.split('<main lang="en">')
    assert chinese.count("<svg") == english.count("<svg") == 3
    assert '<th scope="row">准确率</th>' in chinese
    assert '<th scope="row">precision</th>' in english
    assert "http" not in page
    again = CliRunner().invoke(main, arguments)
    assert "guilty: taken from the last run" in again.stderr
    assert "precision" in again.stdout
    events = "".join((tmp_path / name / "events.jsonl").read_text("utf-8") for name in ("guilty", "honest"))
    readings = sum(len(json.loads(line)["codes"]) for line in events.splitlines())
    assert sum(each["readings"] for each in answer["worlds"]) == readings > 0
    assert re.search(rf" ms a consumer scan, \d\.\d+ ms for each of {readings:,} readings of any kind", again.stdout)


def test_the_command_says_in_one_line_what_cannot_be_used(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["backtest", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")])
    assert answer.exit_code == 1
    assert answer.stderr.count("\n") == 1
    assert "is no folder" in answer.stderr


def test_provinces_among_the_places_are_no_cities_and_a_county_lies_in_the_city_around_it(tmp_path: Path) -> None:
    world = tmp_path / "world"
    write_world(world)
    append(world, "places.csv", "510000,Sichuan,Sichuan,30.65,104.07,80000000,0,province,")
    append(
        world, "places.csv", "510104,Jinjiang,Sichuan,30.6,104.08,900000,0,county,", "100000,China,,35,105,1,0,country,"
    )
    notices: list[str] = []
    places = {each.adcode: each.city for each in read_world(world, notices.append).channel.places}
    assert "510000" not in places
    assert (places["510104"], places["510100"], places["110000"]) == ("510100", "510100", "110000")
    assert notices == ["places.csv: provinces ignored, since a place is a city or a county: 1"]
