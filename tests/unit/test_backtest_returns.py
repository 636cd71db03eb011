"""Goods that were sent on: what brings them back with a paper, and what without one."""

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.tiny_world import CITIES, START, alerts, append, iso, silent, write_events, write_world
from trace_service.backtest.run import run_world


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
    outcome = run_world(tmp_path / "world", tmp_path / "out", silent)
    found = [each for each in alerts(tmp_path / "out") if each["kind"] in ("backflow", "skip")]
    assert (len(found), outcome.retracted) == told
    assert all(each["dealer_id"] == "D1" and sorted(each["cases"]) == [f"C0-3-{n}" for n in range(4)] for each in found)


def test_what_was_sent_on_by_a_paper_that_comes_after_the_receipt_came_back_all_the_same(tmp_path: Path) -> None:
    write_world(tmp_path / "world", attack=False)
    send_on(tmp_path / "world", 20, known=21)
    run_world(tmp_path / "world", tmp_path / "out", silent)
    [found] = [each for each in alerts(tmp_path / "out") if each["kind"] in ("backflow", "skip")]
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
    run_world(world, tmp_path / "out", silent)
    assert len([each for each in alerts(tmp_path / "out") if each["kind"] in ("backflow", "skip")]) == told
