"""Attacks on request: labelled as they happen, and no other world changes for them."""

import csv
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_sim.world.cli import world
from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Extra, Request
from firmware_sim.world.telling.writing import write_world

SIZE = {"seed": 5, "dealers": 40, "items": 30_000, "attack_free": True}
TYPES = ("recalled", "expired", "offroute", "dwell", "clone", "promo", "forged", "backflow", "skip", "rebind", "strip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("requested")
    request = Request(**SIZE, extra=tuple(Extra(type=each, count=2, copies=30) for each in TYPES), second_phones=0.5)
    write_world(make_world(request), path, lambda _: None)
    return path


def attacks(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "labels.json").read_text(encoding="utf-8"))["attacks"]


def test_what_was_asked_for_is_there_and_labelled(folder: Path) -> None:
    assert Counter(each["type"] for each in attacks(folder)) == dict.fromkeys(TYPES, 2)
    for attack in attacks(folder):
        assert attack["items"]
        assert attack["type"] in ("clone", "promo", "forged") or attack["cases"]


def test_removed_labels_are_never_scanned_and_readers_tell_of_goods_that_flow_back(folder: Path) -> None:
    by_type = {str(each["type"]): each for each in attacks(folder)}
    assert not by_type["strip"]["scanned_items"]
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    of_type = {each["event_id"]: each["type"] for each in told}
    for kind, event in (("backflow", "receive"), ("rebind", "rebind")):
        assert event in {of_type[each] for each in by_type[kind]["events"]}  # type: ignore[attr-defined]


def test_invented_labels_have_the_product_and_a_form_that_was_never_printed(tmp_path: Path) -> None:
    request = Request(seed=5, dealers=20, items=5_000, days=60, attack_free=True, extra=(Extra("invented", 2),))
    write_world(make_world(request), tmp_path, lambda _: None)
    with (tmp_path / "items.csv").open(encoding="utf-8") as file:
        lengths = {len(row["code"]) for row in csv.DictReader(file)}
    with (tmp_path / "products.csv").open(encoding="utf-8") as file:
        products = {row["gtin"] for row in csv.DictReader(file)}
    found = attacks(tmp_path)
    assert [each["type"] for each in found] == ["forged", "forged"]
    for code in (str(code) for each in found for code in each["items"]):  # type: ignore[attr-defined]
        assert len(code) not in lengths
        assert code.split("/")[2] in products


def test_only_the_guilty_move_a_batch_after_everybody_has_heard(folder: Path) -> None:
    with (folder / "batches.csv").open(encoding="utf-8") as file:
        since = {row["batch"]: row["recalled"] or row["expires"] for row in csv.DictReader(file)}
    with (folder / "items.csv").open(encoding="utf-8") as file:
        batch = {row[unit]: row["batch"] for row in csv.DictReader(file) for unit in ("case", "pallet", "code")}
    guilty = {event for each in attacks(folder) for event in each["events"]}  # type: ignore[attr-defined]
    moved: Counter[bool] = Counter()
    for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        for code in event.get("codes", ()):
            start = since.get(batch.get(code, ""))
            if (
                start
                and event["type"] in ("ship", "transfer", "sale")
                and event["occurred_at"][:10] > _days_later(start, 2)
            ):
                moved[event["event_id"] in guilty] += 1
    assert moved[True]
    assert not moved[False]


def _days_later(moment: str, days: int) -> str:
    return (datetime.fromisoformat(moment) + timedelta(days=days)).isoformat()[:10]


def test_a_hoarded_lot_has_no_paper_beyond_the_dealer_who_hoards_it(folder: Path) -> None:
    hoards = [each for each in attacks(folder) if each["type"] == "dwell"]
    with (folder / "shipments.csv").open(encoding="utf-8") as file:
        receiver = {row["id"]: row["to"] for row in csv.DictReader(file)}
    with (folder / "items.csv").open(encoding="utf-8") as file:
        ways = {row["case"]: row["shipments"].split(";") for row in csv.DictReader(file)}
    for hoard in hoards:
        ends = {receiver[ways[case][-1]] for case in hoard["cases"]}  # type: ignore[attr-defined]
        assert ends == {hoard["dealer"]}


def test_a_world_without_requests_does_not_speak_of_them(tmp_path: Path) -> None:
    write_world(
        make_world(Request(seed=5, dealers=20, items=5_000, days=60, attack_free=True)), tmp_path, lambda _: None
    )
    assert not (tmp_path / "batches.csv").exists()
    request = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))["request"]
    assert "extra" not in request
    assert "second_phones" not in request


@pytest.mark.parametrize(
    "wanted", ["theft", "clone:copies=0", "clone:size=3", "clone:copies=many", "clone:copies=9999"]
)
def test_a_request_that_makes_no_sense_is_one_clear_line(wanted: str, tmp_path: Path) -> None:
    found = CliRunner().invoke(world, ["generate", str(tmp_path / "w"), "--attacks", wanted])
    assert found.exit_code == 2
    assert wanted.partition(":")[0] in found.output or "count, copies or labels" in found.output
    assert not (tmp_path / "w").exists()
