"""The tables of a world folder as others write them: contradictions, gaps, other spellings of the same."""

import codecs
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_world import (
    GTIN,
    alerts,
    change,
    silent,
    table,
    write_events,
    write_world,
)
from trace_service.backtest.errors import WorldError
from trace_service.backtest.run import EVIDENCE, run_world
from trace_service.backtest.truth import read_attacks


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
    outcome = run_world(tmp_path / "world", tmp_path / "out", silent)
    assert any(told in remark for remark in outcome.remarks), outcome.remarks
    assert alerts(tmp_path / "out") == []


def test_a_sound_world_contradicts_itself_in_nothing(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    assert run_world(tmp_path / "world", tmp_path / "out", silent).remarks == []


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
        run_world(tmp_path / "world", tmp_path / "out", silent)


def test_gzipped_files_and_unknown_columns_make_no_difference(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "plain", silent)
    for name in ("items.csv", "events.jsonl"):
        path = tmp_path / "world" / name
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    products = tmp_path / "world" / "products.csv"
    products.write_text(f"colour,gtin,name,items_per_case,unit_price\nred,{GTIN},liquor,6,100\n", encoding="utf-8")
    outcome = run_world(tmp_path / "world", tmp_path / "packed", silent)
    assert "products.csv: unknown column colour ignored" in outcome.remarks
    assert alerts(tmp_path / "packed") == alerts(tmp_path / "plain")


def test_the_marks_of_some_editors_make_no_difference(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "plain", silent)
    for path in (tmp_path / "world").iterdir():
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    outcome = run_world(tmp_path / "world", tmp_path / "marked", silent)
    assert outcome.scores.keys() >= {EVIDENCE}
    assert "malformed_line" not in outcome.notices
    said = ("alert_id", "raised_at", "probability", "codes", "evidence")
    plain, marked = (
        [[alert[key] for key in said] for alert in alerts(tmp_path / name)] for name in ("plain", "marked")
    )
    assert plain == marked
    assert plain


def test_ids_written_as_numbers_numbers_as_text_and_null_make_no_difference(tmp_path: Path) -> None:
    events = write_world(tmp_path / "world")
    run_world(tmp_path / "world", tmp_path / "plain", silent)

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
    outcome = run_world(tmp_path / "world", tmp_path / "other", silent)
    assert "malformed_line" not in outcome.notices
    said = ("dealer_id", "raised_at", "probability", "codes", "cases")
    plain, other = ([[alert[key] for key in said] for alert in alerts(tmp_path / name)] for name in ("plain", "other"))
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
        run_world(tmp_path / "world", tmp_path / "out", silent)


def test_without_items_the_folder_is_refused_and_no_code_called_forged(tmp_path: Path) -> None:
    write_world(tmp_path / "world")
    items = tmp_path / "world" / "items.csv"
    items.write_text(items.read_text("utf-8").splitlines()[0] + "\n", encoding="utf-8")
    with pytest.raises(WorldError, match=r"items\.csv has no item"):
        run_world(tmp_path / "world", tmp_path / "out", silent)
