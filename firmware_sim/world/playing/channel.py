"""A world's network as tables that `codefence channel import` takes."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from firmware_sim.world.playing.folder import rows

_COUNTRY: Final = "100000"
_GRAMS: Final = 900
"""What a bottle weighs; the folder does not say."""


def write_channel(folder: Path, out: Path) -> list[Path]:
    """Write products, dealers, contracts, sites and devices of a world as tables, and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    tables = {
        "products": ("gtin name_zh items_per_case unit_price unit_weight_g", _products(folder)),
        "dealers": ("id parent name_zh kind", _dealers(folder)),
        "contracts": ("id dealer channel adcodes exclusive starts_on ends_on", _contracts(folder)),
        "sites": ("id kind dealer name_zh lon lat valid_from", _sites(folder)),
        "devices": ("id site kind", _devices(folder)),
    }
    found = []
    for name, (header, content) in tables.items():
        path = out / f"{name}.csv"
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header.split())
            writer.writerows(content)
        found.append(path)
    return found


def _products(folder: Path) -> Iterator[Iterable[object]]:
    for row in rows(folder, "products.csv"):
        yield row["gtin"], row["name"], row["items_per_case"], row["unit_price"], _GRAMS


def _dealers(folder: Path) -> Iterator[Iterable[object]]:
    """Without the brand, which is no dealer of its own."""
    brands = {row["id"] for row in rows(folder, "dealers.csv") if row["kind"] == "brand"}
    for row in rows(folder, "dealers.csv"):
        if row["id"] not in brands:
            yield row["id"], "" if row["parent_id"] in brands else row["parent_id"], row["name"], row["kind"]


def _contracts(folder: Path) -> Iterator[Iterable[object]]:
    brands = {row["id"] for row in rows(folder, "dealers.csv") if row["kind"] == "brand"}
    # Contracts name provinces at the largest.
    whole = ";".join(sorted({f"{row['adcode'][:2]}0000" for row in rows(folder, "places.csv")}))
    for number, row in enumerate(rows(folder, "territories.csv"), start=1):
        if row["dealer_id"] not in brands:
            days = (row["valid_from"][:10], _last_day(row["valid_to"]))
            area = whole if row["adcodes"] == _COUNTRY else row["adcodes"]
            yield f"C{number:05}", row["dealer_id"], row["channel"], area, "no", *days


def _last_day(valid_to: str) -> str:
    """Return the last whole day before a territory ends; a contract holds to the end of its last day."""
    return str(datetime.fromisoformat(valid_to).date() - timedelta(days=1)) if valid_to else ""


def _sites(folder: Path) -> Iterator[Iterable[object]]:
    """Warehouses and shops, again from the day on which one moves or changes hands."""
    dealers = {row["id"]: row for row in rows(folder, "dealers.csv")}
    seen = set[str]()
    for row in rows(folder, "dealer_sites.csv"):
        dealer = dealers[row["dealer_id"]]
        kind, owner = ("factory", "") if dealer["kind"] == "brand" else ("warehouse", dealer["id"])
        yield dealer["id"], kind, owner, dealer["name"], row["lon"], row["lat"], _since(row, dealer["id"], seen)
    for row in rows(folder, "stores.csv"):
        since = _since(row, row["id"], seen)
        yield row["id"], "store", row["dealer_id"], row["kind"], row["lon"], row["lat"], since


def _since(row: Mapping[str, str], name: str, seen: set[str]) -> str:
    """Return from when a row holds; the first of a site has been so for ever."""
    known = name in seen
    seen.add(name)
    return row["valid_from"] if known else ""


def _devices(folder: Path) -> Iterator[Iterable[object]]:
    for row in rows(folder, "dealers.csv"):
        yield f"R-{row['id']}", row["id"], "station"
        if row["kind"] == "brand":
            yield "FACTORY-1", row["id"], "station"
    for row in {row["id"]: row for row in rows(folder, "stores.csv")}.values():
        yield f"T-{row['id']}", row["id"], "station"
