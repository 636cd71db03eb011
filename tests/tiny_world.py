"""A world folder small enough to read: six cities, a dealer in each, weekly shipments, and one of them dumped."""

import csv
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 5, tzinfo=UTC)
GTIN = "06901234567892"
CITIES = (
    ("110000", "Beijing", "110000", 39.9, 116.4, 21_890_000),
    ("310000", "Shanghai", "310000", 31.2, 121.5, 24_870_000),
    ("510100", "Chengdu", "510000", 30.6, 104.1, 20_940_000),
    ("440100", "Guangzhou", "440000", 23.1, 113.3, 18_680_000),
    ("420100", "Wuhan", "420000", 30.6, 114.3, 12_330_000),
    ("330100", "Hangzhou", "330000", 30.3, 120.2, 11_940_000),
)
GUILTY, VICTIM, DUMPED = 2, 3, 8


def iso(moment: datetime) -> str:
    """Return a moment as world folders write it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def table(folder: Path, name: str, head: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head.split())
        writer.writerows(rows)


def write_events(folder: Path, events: list[dict[str, Any]]) -> None:
    ordered = sorted(events, key=lambda each: str(each["received_at"]))
    (folder / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in ordered), encoding="utf-8")


def scan(name: str, code: str, city: int, at: datetime, chance: random.Random) -> dict[str, Any]:
    """Return a consumer's scan in a city, half of them by GPS."""
    adcode, _, _, lat, lon, _ = CITIES[city]
    event: dict[str, Any] = {
        "event_id": name, "type": "consumer_scan", "occurred_at": iso(at),
        "received_at": iso(at + timedelta(seconds=3)),
        "device_id": f"phone-{name}", "actor": "consumer", "codes": [code],
    }  # fmt: skip
    if chance.random() < 0.5:
        lat, lon = lat + chance.gauss(0, 0.1), lon + chance.gauss(0, 0.1)
        return event | {"source": "gps", "lat": lat, "lon": lon, "accuracy_m": 30, "platform": "ios"}
    return event | {"source": "ip", "adcode": adcode, "lat": lat, "lon": lon, "accuracy_m": 20_000}


def write_tables(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    since = iso(START - timedelta(days=400))
    table(
        folder,
        "places.csv",
        "adcode name province lat lon population is_capital level city_adcode",
        [(code, name, whole, lat, lon, people, 1, "city", code) for code, name, whole, lat, lon, people in CITIES],
    )
    table(
        folder,
        "dealers.csv",
        "id parent_id level name kind lat lon",
        [
            ("BRAND", "", 0, "brand", "brand", 39.9, 116.4),
            *((f"D{n}", "BRAND", 1, city[1], "city", city[3], city[4]) for n, city in enumerate(CITIES)),
        ],
    )
    table(
        folder,
        "dealer_sites.csv",
        "dealer_id lat lon adcode valid_from valid_to",
        [(f"D{n}", city[3], city[4], city[0], since, "") for n, city in enumerate(CITIES)],
    )
    table(
        folder,
        "territories.csv",
        "dealer_id adcodes channel valid_from valid_to",
        [(f"D{n}", city[0], "retail", since, "") for n, city in enumerate(CITIES)],
    )
    table(
        folder,
        "stores.csv",
        "id dealer_id lat lon adcode kind valid_from valid_to",
        [(f"S{n}", f"D{n}", city[3], city[4], city[0], "shop", since, "") for n, city in enumerate(CITIES)],
    )
    table(folder, "products.csv", "gtin name items_per_case unit_price", [(GTIN, "liquor", 6, 100)])  # fmt: skip


def write_world(folder: Path, *, attack: bool = True) -> list[dict[str, Any]]:
    """Write a world; return its events, which a test may change and write anew with `write_events`."""
    chance = random.Random(3)
    write_tables(folder)
    shipments, items, events = [], [], []
    diverted: dict[str, list[str]] = {"cases": [], "items": [], "leaks": [], "events": []}
    for dealer in range(len(CITIES)):
        for week in range(20):
            left = START + timedelta(days=7 * week + 1)
            shipment = f"H{dealer}-{week}"
            paper = iso(left - timedelta(hours=2))
            shipments.append(
                (shipment, "BRAND", f"D{dealer}", iso(left), iso(left + timedelta(days=2)), paper, "order")
            )
            for number in range(20):
                case = f"C{dealer}-{week}-{number}"
                dumped = attack and (dealer, week) == (GUILTY, DUMPED) and number < 14
                codes = [f"/01/{GTIN}/21/{dealer}{week:02}{number:02}{item}" for item in range(6)]
                items += [(code, case, f"P{shipment}", GTIN, f"B{week}", shipment) for code in codes]
                for code in codes:
                    honest = dealer if chance.random() > 0.15 else chance.randrange(6)
                    if chance.random() < 0.08:
                        at = left + timedelta(days=3 + chance.random() * 40)
                        events.append(scan(f"e{len(events)}", code, VICTIM if dumped else honest, at, chance))
                        diverted["events"] += [events[-1]["event_id"]] * dumped
                if dumped:
                    diverted["cases"].append(case)
                    diverted["items"] += codes
                    diverted["leaks"] += [iso(left + timedelta(days=2))] * 6
    table(folder, "shipments.csv", "id from to departed arrived document_time kind", shipments)
    table(folder, "items.csv", "code case pallet product batch shipments", items)
    write_events(folder, events)
    truth = {
        "id": "A1", "type": "bulk", "dealer": f"D{GUILTY}", "parties": [], "origin": CITIES[GUILTY][0],
        "destinations": [{"adcode": CITIES[VICTIM][0], "name": "Guangzhou", "lat": 23.1, "lon": 113.3}],
        "first_at": iso(START + timedelta(days=7 * DUMPED + 3)), "shipments": [f"H{GUILTY}-{DUMPED}"],
        "scanned_items": len(diverted["events"]), **diverted,
    }  # fmt: skip
    labels = {"attacks": [truth] if attack else []}
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return events


def silent(line: str) -> None:
    del line


def alerts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "alerts.jsonl").read_text("utf-8").splitlines()]


def change(world: Path, name: str, column: str, text: str) -> None:
    """Write another text into the first row of a table."""
    with (world / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    rows[1][rows[0].index(column)] = text
    with (world / name).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def append(world: Path, name: str, *lines: str) -> None:
    """Write more rows at the end of a table."""
    text = (world / name).read_text("utf-8").replace("\r\n", "\n").rstrip("\n")
    (world / name).write_text("\n".join([text, *lines]) + "\n", encoding="utf-8")
