"""A world folder as others read it: complete, consistent in itself, and the same bytes every time."""

import csv
import gzip
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import main

COLUMNS = {
    "dealers.csv": "id,parent_id,level,name,kind,lat,lon",
    "dealer_sites.csv": "dealer_id,lat,lon,adcode,valid_from,valid_to",
    "territories.csv": "dealer_id,adcodes,channel,valid_from,valid_to",
    "places.csv": "adcode,name,province,lat,lon,population,is_capital,level,city_adcode",
    "stores.csv": "id,dealer_id,lat,lon,adcode,kind,valid_from,valid_to",
    "products.csv": "gtin,name,items_per_case,unit_price",
    "shipments.csv": "id,from,to,departed,arrived,document_time,kind",
    "items.csv": "code,case,pallet,product,batch,shipments",
}
SIZE = ["--dealers", "50", "--items", "60000"]
TYPES = {
    "commission", "pack", "ship", "receive", "transfer", "return", "sale", "consumer_scan", "inspect", "rebind", "void",
}  # fmt: skip


class Folder:
    """A folder, read whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables = {name: list(csv.DictReader(_lines(path / name))) for name in COLUMNS}
        self.events: list[dict[str, Any]] = [json.loads(line) for line in _lines(path / "events.jsonl")]
        self.attacks: list[dict[str, Any]] = json.loads((path / "labels.json").read_bytes())["attacks"]
        self.summary: dict[str, Any] = json.loads((path / "summary.json").read_bytes())

    def names(self, table: str, column: str = "id") -> set[str]:
        return {row[column] for row in self.tables[table]}


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def generate(path: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["world", "generate", str(path), "--seed", "2", *SIZE, *options])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    path = tmp_path_factory.mktemp("world")
    generate(path)
    return Folder(path)


def test_the_same_seed_gives_the_same_bytes_packed_or_not(folder: Folder, tmp_path: Path) -> None:
    summary = json.loads(generate(tmp_path, "--gzip", "--json"))
    assert summary == folder.summary
    for name in [*COLUMNS, "events.jsonl"]:
        assert gzip.decompress((tmp_path / f"{name}.gz").read_bytes()) == (folder.path / name).read_bytes()
    assert (tmp_path / "labels.json").read_bytes() == (folder.path / "labels.json").read_bytes()


def test_every_file_has_its_columns_and_every_name_leads_somewhere(folder: Folder) -> None:
    for name, header in COLUMNS.items():
        assert _lines(folder.path / name)[0] == header
    dealers, stores, shipments = (folder.names(f"{name}.csv") for name in ("dealers", "stores", "shipments"))
    places = folder.names("places.csv", "adcode")
    assert folder.names("dealers.csv", "parent_id") <= dealers | {""}
    assert [row["id"] for row in folder.tables["dealers.csv"] if not row["parent_id"]] == ["BRAND"]
    assert max(int(row["level"]) for row in folder.tables["dealers.csv"]) >= 18
    assert folder.names("stores.csv", "dealer_id") <= dealers
    assert folder.names("dealer_sites.csv", "adcode") | folder.names("stores.csv", "adcode") <= places
    ends = folder.names("shipments.csv", "from") | folder.names("shipments.csv", "to")
    assert ends <= dealers | stores
    provinces = {f"{code[:2]}0000" for code in places}
    areas = {unit for row in folder.tables["territories.csv"] for unit in row["adcodes"].split(";")}
    assert areas <= places | provinces | {"100000"}
    used = {number for row in folder.tables["items.csv"] for number in row["shipments"].split(";") if number}
    assert used <= shipments
    assert folder.names("items.csv", "product") == folder.names("products.csv", "gtin")


def test_papers_come_late_and_territories_and_shops_change_hands(folder: Folder) -> None:
    shipments = folder.tables["shipments.csv"]
    assert {row["kind"] for row in shipments} == {"order", "dropship", "transfer", "return", "delivery"}
    late = sum(row["document_time"] > row["arrived"] for row in shipments) / len(shipments)
    assert 0.01 < late < 0.15
    for table, key in (("territories.csv", "dealer_id"), ("dealer_sites.csv", "dealer_id")):
        rows = folder.tables[table]
        twice = [name for name, count in Counter(row[key] for row in rows).items() if count == 2]
        assert twice
        for name in twice:
            first, second = (row for row in rows if row[key] == name)
            assert first["valid_to"] == second["valid_from"] != ""
    assert len(folder.tables["stores.csv"]) > len(folder.names("stores.csv"))


def test_events_are_told_in_the_order_of_arrival_with_every_fault_of_real_devices(folder: Folder) -> None:
    events = folder.events
    assert {event["type"] for event in events} >= TYPES - {"return", "transfer"}
    times = [event["received_at"] for event in events]
    assert times == sorted(times)
    assert 1.002 < len(events) / len({event["event_id"] for event in events}) < 1.03
    scans = [event for event in events if event["type"] == "consumer_scan"]
    assert {event["source"] for event in scans} == {"gps", "ip", "none", "store"}
    gaps = [
        (datetime.fromisoformat(event["received_at"]) - datetime.fromisoformat(event["occurred_at"])).total_seconds()
        for event in scans
    ]
    assert min(gaps) < -1800 < 3 * 3600 < max(gaps)
    again = Counter(code for event in scans for code in event["codes"])
    assert max(again.values()) > 1


def test_codes_that_nobody_issued_are_forged_ones_alone(folder: Folder) -> None:
    issued = folder.names("items.csv", "code") | folder.names("items.csv", "case") | folder.names("items.csv", "pallet")
    strange = {code for event in folder.events for code in event.get("codes", ()) if code not in issued}
    forged = {code for attack in folder.attacks if attack["type"] == "forged" for code in attack["items"]}
    assert strange <= forged
    assert not forged & issued


def test_labels_name_what_the_other_files_hold(folder: Folder) -> None:
    items = {row["code"]: row for row in folder.tables["items.csv"]}
    events = {event["event_id"]: event for event in folder.events}
    for attack in folder.attacks:
        assert set(attack["parties"]) | {attack["dealer"]} <= folder.names("dealers.csv")
        assert {place["adcode"] for place in attack["destinations"]} <= folder.names("places.csv", "adcode")
        assert set(attack["shipments"]) <= folder.names("shipments.csv")
        assert len(attack["leaks"]) == len(attack["items"])
        assert min(attack["leaks"]) >= attack["first_at"]
        assert set(attack["scanned_items"]) <= set(attack["items"])
        named = {code for event in attack["events"] for code in events[event]["codes"]}
        assert set(attack["scanned_items"]) <= named
        if attack["type"] not in {"forged", "clone"}:
            assert {items[code]["case"] for code in attack["items"]} == set(attack["cases"])
    assert [attack for attack in folder.attacks if attack["type"] == "strip" and attack["scanned_items"]] == []


def test_a_skipped_level_never_has_what_its_papers_say(folder: Folder) -> None:
    skips = [attack for attack in folder.attacks if attack["type"] == "skip"]
    assert skips
    for attack in skips:
        skipped = {row["to"] for row in folder.tables["shipments.csv"] if row["id"] in attack["shipments"]}
        received = [
            event
            for event in folder.events
            if event["type"] == "receive" and event["actor"] in skipped and set(event["codes"]) & set(attack["cases"])
        ]
        assert received == []


def test_a_folder_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["world", "channel", str(tmp_path), str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "has no products.csv" in result.output
    assert "codefence world generate" in result.output
