"""A world folder goes in, alerts come out: right ones, the same ones every time, and none out of bad input."""

import codecs
import csv
import gzip
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main
from tests.tiny_world import CITIES, GTIN, GUILTY, START, VICTIM, iso, scan, table, write_events, write_world
from trace_service.backtest.errors import WorldError
from trace_service.backtest.forms import Forms
from trace_service.backtest.run import EVIDENCE, run_world
from trace_service.backtest.truth import read_attacks
from trace_service.backtest.world import Item, read_world


def _silent(line: str) -> None:
    del line


def _alerts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text("utf-8").splitlines()]


def test_the_dumped_shipment_is_the_only_alert_and_its_evidence_can_be_followed(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    outcome = run_world(tmp_path / "world", tmp_path / "out", _silent)
    (alert,) = _alerts(tmp_path / "out")
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
    outcome = run_world(tmp_path / "world", tmp_path / "out", _silent)
    assert (_alerts(tmp_path / "out"), outcome.scores[EVIDENCE].recall) == ([], {})


def test_without_labels_there_are_the_same_alerts_and_no_scores(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "first", _silent)
    (tmp_path / "world" / "labels.json").unlink()
    outcome = run_world(tmp_path / "world", tmp_path / "second", _silent)
    assert outcome.scores == {}
    for name in ("alerts.jsonl", "cells.jsonl"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_nothing_of_the_future_is_used(tmp_path: Path) -> None:
    """A stream that is cut off right after an alert has raised that very alert."""
    events = write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "whole", _silent)
    (alert,) = _alerts(tmp_path / "whole")
    write_events(tmp_path / "world", [each for each in events if each["received_at"] <= alert["raised_at"]])
    run_world(tmp_path / "world", tmp_path / "cut", _silent)
    assert _alerts(tmp_path / "cut") == [alert]


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
    outcome = run_world(tmp_path / "world", tmp_path / "out", _silent)
    (alert,) = _alerts(tmp_path / "out")
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
    outcome = run_world(tmp_path / "world", tmp_path / "out", _silent)
    assert _alerts(tmp_path / "out") == []
    assert outcome.notices.keys() >= {
        "occurred_too_long_ago", "occurred_in_the_future", "same_event_twice", "unknown_code", "without_location",
        "absurd_accuracy", "position_off_the_earth", "unknown_type", "received_at_not_believed", "malformed_line",
        "movement_at_unknown_place",
    }  # fmt: skip


def change(world: Path, name: str, column: str, text: str) -> None:
    """Write another text into the first row of a table."""
    with (world / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    rows[1][rows[0].index(column)] = text
    with (world / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    ("name", "column", "text", "told"),
    [
        ("dealers.csv", "parent_id", "NOBODY", "dealers.csv: 1 with an unknown parent"),
        ("dealers.csv", "kind", "emperor", "dealers.csv: 1 with an unknown kind"),
        ("territories.csv", "dealer_id", "NOBODY", "territories.csv: 1 with an unknown dealer, the first 'NOBODY'"),
        ("territories.csv", "adcodes", "999999", "a division that places.csv does not have, the first '999999'"),
        ("territories.csv", "adcodes", "", "territories.csv: 1 with no division"),
        ("stores.csv", "dealer_id", "NOBODY", "stores.csv: 1 with an unknown dealer"),
        ("shipments.csv", "to", "NOBODY", "shipments.csv: 1 with an unknown receiver"),
        ("shipments.csv", "arrived", "1970-01-01T00:00:00Z", "shipments.csv: 1 with an arrival before the departure"),
        ("items.csv", "shipments", "NONE", "items.csv: 1 with an unknown shipment"),
        ("items.csv", "product", "0000", "items.csv: 1 with an unknown product"),
    ],
)
def test_what_the_tables_contradict_each_other_in_is_told_and_accuses_nobody(
    tmp_path: Path, name: str, column: str, text: str, told: str
) -> None:
    write_world(tmp_path / "world", attack=False)
    change(tmp_path / "world", name, column, text)
    outcome = run_world(tmp_path / "world", tmp_path / "out", _silent)
    assert any(told in remark for remark in outcome.remarks), outcome.remarks
    assert _alerts(tmp_path / "out") == []


def test_a_sound_world_contradicts_itself_in_nothing(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    assert run_world(tmp_path / "world", tmp_path / "out", _silent).remarks == []


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (
            lambda world: table(world, "dealers.csv", "id level name kind lat lon", []),
            "dealers.csv, line 1: column parent_id",
        ),
        (lambda world: (world / "stores.csv").unlink(), "there is no stores.csv"),
        (
            lambda world: table(world, "products.csv", "gtin name items_per_case unit_price", [(GTIN, "x", "six", 1)]),
            "products.csv, line 2, column items_per_case: 'six' is no number",
        ),
        (
            lambda world: (world / "events.jsonl").write_text('{"event_id":"a","type":"void"}\n', encoding="utf-8"),
            "events.jsonl, line 1, key occurred_at is missing",
        ),
        (
            lambda world: (world / "items.csv").write_text("code,case,pallet,product,batch,shipments\na,b\n"),
            "items.csv, line 2, column pallet is missing",
        ),
        (lambda world: change(world, "dealers.csv", "id", ""), "dealers.csv, line 2, column id: '' is no id"),
        (
            lambda world: change(world, "places.csv", "population", "-5"),
            "line 2, column population: '-5' is no number of at least 0",
        ),
        (
            lambda world: table(
                world, "places.csv", "adcode name province lat lon population is_capital level city_adcode", []
            ),
            "places.csv has no city",
        ),
        (
            lambda world: (world / "labels.json").write_text(
                '{"attacks": [{"id": "A", "type": "drip", "first_at": "soon"}]}'
            ),
            "labels.json: Invalid isoformat string",
        ),
        (
            lambda world: change(world, "stores.csv", "lat", "1e9"),
            "stores.csv, line 2, column lat: '1e9' is no number from −90 to 90",
        ),
    ],
    ids=["column", "file", "number", "key", "short row", "no id", "few", "no city", "no moment", "off the earth"],
)
def test_what_is_missing_is_named_by_file_line_and_column(
    tmp_path: Path, break_it: Callable[[Path], object], told: str
) -> None:
    write_world(tmp_path / "world")
    break_it(tmp_path / "world")
    with pytest.raises(WorldError, match=told.replace(".", r"\.")):
        run_world(tmp_path / "world", tmp_path / "out", _silent)


def test_gzipped_files_and_unknown_columns_make_no_difference(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "plain", _silent)
    for name in ("items.csv", "events.jsonl"):
        path = tmp_path / "world" / name
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    products = tmp_path / "world" / "products.csv"
    products.write_text(f"colour,gtin,name,items_per_case,unit_price\nred,{GTIN},liquor,6,100\n", encoding="utf-8")
    outcome = run_world(tmp_path / "world", tmp_path / "packed", _silent)
    assert "products.csv: unknown column colour ignored" in outcome.remarks
    assert _alerts(tmp_path / "packed") == _alerts(tmp_path / "plain")


def test_the_marks_of_some_editors_make_no_difference(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "plain", _silent)
    for path in (tmp_path / "world").iterdir():
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    outcome = run_world(tmp_path / "world", tmp_path / "marked", _silent)
    assert outcome.scores.keys() >= {EVIDENCE}
    assert "malformed_line" not in outcome.notices
    said = ("alert_id", "raised_at", "probability", "codes", "evidence")
    plain, marked = (
        [[alert[key] for key in said] for alert in _alerts(tmp_path / name)] for name in ("plain", "marked")
    )
    assert plain == marked
    assert plain


def test_ids_written_as_numbers_numbers_as_text_and_null_make_no_difference(tmp_path: Path) -> None:
    events = write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "plain", _silent)

    def written(event: dict[str, Any], number: int) -> dict[str, Any]:
        kinds = {"lat": str, "lon": str, "accuracy_m": str, "adcode": float}
        other = {key: kinds[key](value) if key in kinds else value for key, value in event.items()}
        return other | {
            "event_id": number,
            "place": None,
            "to": "",
            "count": 3.0,
            "approvers": [7],
            "codes": ";".join(event["codes"]),
        }

    write_events(tmp_path / "world", [written(event, number) for number, event in enumerate(events)])
    outcome = run_world(tmp_path / "world", tmp_path / "other", _silent)
    assert "malformed_line" not in outcome.notices
    said = ("dealer_id", "raised_at", "probability", "codes", "cases")
    plain, other = ([[alert[key] for key in said] for alert in _alerts(tmp_path / name)] for name in ("plain", "other"))
    assert plain == other
    assert plain


def test_labels_may_have_numbers_for_ids_and_null_for_nothing(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    path = tmp_path / "world" / "labels.json"
    labels = json.loads(path.read_text("utf-8"))
    plain = read_attacks(tmp_path / "world")
    [attack] = labels["attacks"]
    place = attack["destinations"][0]
    place.update(adcode=int(place["adcode"]), lat=str(place["lat"]))
    attack.update(id=1, parties=None, origin=None, scanned_items=[7, 8], colour="red")
    path.write_text(json.dumps(labels), encoding="utf-8")
    [found] = read_attacks(tmp_path / "world") or []
    assert plain is not None
    assert (found.id, found.parties, found.scanned, found.destinations) == ("1", [], 2, plain[0].destinations)
    assert (found.cases, found.leaks) == (plain[0].cases, plain[0].leaks)


def test_events_that_are_none_are_an_error_and_no_quiet_year(tmp_path: Path) -> None:
    events = write_world(tmp_path / "world")
    (tmp_path / "world" / "events.jsonl").write_text(json.dumps(events), encoding="utf-8")
    with pytest.raises(WorldError, match="most lines are no event, the first is line 1"):
        run_world(tmp_path / "world", tmp_path / "out", _silent)


def test_without_items_the_folder_is_refused_and_no_code_called_forged(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    items = tmp_path / "world" / "items.csv"
    items.write_text(items.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(WorldError, match=r"items\.csv has no item"):
        run_world(tmp_path / "world", tmp_path / "out", _silent)


def test_a_carton_that_was_packed_anew_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    with (tmp_path / "world" / "items.csv").open(encoding="utf-8", newline="") as file:
        items = list(csv.DictReader(file))[:3]
    moment = iso(START + timedelta(days=6))
    common = {"occurred_at": moment, "received_at": moment, "device_id": "R", "actor": "op", "source": "site"}
    packed = common | {"event_id": "p", "type": "pack", "place": "D0", "parent": "NEW"}
    shipped = common | {"event_id": "s", "type": "ship", "place": "D0", "codes": ["NEW"], "to": "S0"}
    write_events(tmp_path / "world", [packed | {"codes": [each["code"] for each in items]}, shipped])
    assert "unknown_code" not in run_world(tmp_path / "world", tmp_path / "out", _silent).notices


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


def test_the_command_says_in_one_line_what_cannot_be_used(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["backtest", str(tmp_path / "nothing"), "--out", str(tmp_path / "out")])
    assert answer.exit_code == 1
    assert answer.stderr.count("\n") == 1
    assert "is no folder" in answer.stderr


def send_on(world: Path, received: float, *, shipment: str = "", back: float | None = None, known: float = 0) -> None:
    """Have D0 send four cases on to D1 and read them again days later.

    `known`: when the paper of it comes; `back`: when one comes that returns them.
    """
    left = START + timedelta(days=7 * 3 + 1)
    sent = left + timedelta(days=5)
    told = iso(sent + timedelta(days=known))
    papers = [("T1", "D0", "D1", iso(sent), iso(sent + timedelta(days=2)), told, "transfer")]
    if back is not None:
        told = iso(sent + timedelta(days=back))
        papers.append(("T2", "D1", "D0", iso(sent + timedelta(days=received - 2)), "", told, "transfer"))
    with (world / "shipments.csv").open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(papers)
    cases = [f"C0-3-{number}" for number in range(4)]
    text = (world / "items.csv").read_text("utf-8").splitlines()
    chain = ";".join(["H0-3", *(paper[0] for paper in papers)])
    moved = [line[: -len("H0-3")] + chain if line.split(",")[1] in cases else line for line in text]
    (world / "items.csv").write_text("\n".join(moved) + "\n", encoding="utf-8")
    at = sent + timedelta(days=received)
    receipt = {
        "event_id": "again", "type": "receive", "occurred_at": iso(at), "received_at": iso(at + timedelta(minutes=1)),
        "device_id": "reader", "actor": "worker", "codes": cases, "source": "site", "place": "D0",
        "lat": CITIES[0][3], "lon": CITIES[0][4],
    }  # fmt: skip
    events = [json.loads(line) for line in (world / "events.jsonl").read_text("utf-8").splitlines()]
    write_events(world, [*events, receipt | ({"shipment": shipment} if shipment else {})])


@pytest.mark.parametrize(
    ("received", "shipment", "back", "told"),
    [
        (20, "", None, (1, 0)),
        (2, "", None, (0, 0)),
        (20, "H0-3", None, (0, 0)),
        (20, "", 30, (1, 1)),
        (20, "", 21, (0, 0)),
    ],
    ids=["sold back", "read late", "an old paper's", "a late paper", "a paper in time"],
)
def test_what_was_sent_on_needs_a_paper_to_come_back_to_where_it_was(
    tmp_path: Path, received: float, shipment: str, back: float | None, told: tuple[int, int]
) -> None:
    write_world(tmp_path / "world", attack=False)
    send_on(tmp_path / "world", received, shipment=shipment, back=back)
    outcome = run_world(tmp_path / "world", tmp_path / "out", _silent)
    found = [each for each in _alerts(tmp_path / "out") if each["kind"] in ("backflow", "skip")]
    assert (len(found), outcome.retracted) == told
    assert all(each["dealer_id"] == "D1" and sorted(each["cases"]) == [f"C0-3-{n}" for n in range(4)] for each in found)


def test_what_was_sent_on_by_a_paper_that_comes_after_the_receipt_came_back_all_the_same(tmp_path: Path) -> None:
    write_world(tmp_path / "world", attack=False)
    send_on(tmp_path / "world", 20, known=21)
    run_world(tmp_path / "world", tmp_path / "out", _silent)
    [found] = [each for each in _alerts(tmp_path / "out") if each["kind"] in ("backflow", "skip")]
    assert found["dealer_id"] == "D1"


@pytest.mark.parametrize(("place", "told"), [("S9", 0), ("S1", 1)], ids=["the shop of the paper", "another shop"])
def test_a_delivery_to_a_shop_that_changes_hands_on_the_way_came_by_its_paper(
    tmp_path: Path, place: str, told: int
) -> None:
    world = tmp_path / "world"
    write_world(world, attack=False)
    sent = START + timedelta(days=7 * 3 + 6)
    handed, came = sent + timedelta(hours=4), sent + timedelta(hours=20)
    city = f"{CITIES[0][3]},{CITIES[0][4]},{CITIES[0][0]},shop"
    append(world, "stores.csv", f"S9,D0,{city},{iso(START)},{iso(handed)}", f"S9,D1,{city},{iso(handed)},")
    append(world, "shipments.csv", f"V1,D0,S9,{iso(sent)},{iso(came)},{iso(sent)},delivery")
    cases = [f"C0-3-{number}" for number in range(4)]
    items = (world / "items.csv").read_text("utf-8").splitlines()
    moved = [f"{line};V1" if line.split(",")[1] in cases else line for line in items]
    (world / "items.csv").write_text("\n".join(moved) + "\n", encoding="utf-8")
    receipt = {
        "event_id": "came", "type": "receive", "occurred_at": iso(came), "received_at": iso(came), "device_id": "till",
        "actor": "shop", "codes": cases, "source": "store", "place": place, "shipment": "V1" if place == "S9" else None,
    }  # fmt: skip
    events = [json.loads(line) for line in (world / "events.jsonl").read_text("utf-8").splitlines()]
    write_events(world, [*events, receipt])
    run_world(world, tmp_path / "out", _silent)
    assert len([each for each in _alerts(tmp_path / "out") if each["kind"] in ("backflow", "skip")]) == told


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


def append(world: Path, name: str, *lines: str) -> None:
    """Write more rows at the end of a table."""
    text = (world / name).read_text("utf-8").replace("\r\n", "\n").rstrip("\n")
    (world / name).write_text("\n".join([text, *lines]) + "\n", encoding="utf-8")
