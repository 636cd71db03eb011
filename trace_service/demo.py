"""The demo brand: registers it once, and on each call issues a print run of labelled cases for a simulator."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from contracts.gs1 import check_digit, label_uri
from geofence.territory import TerritoryVersion
from trace_service.codes.issue import issue_batch
from trace_service.inspections.queries import SQL as INSPECTIONS
from trace_service.keys import KeyWrapper
from trace_service.orders.model import LineDraft, OrderDraft
from trace_service.orders.service import place
from trace_service.places import load_places
from trace_service.store.connection import Connection, one
from trace_service.store.queries import SQL

_CONTRACTS_FROM = datetime(2024, 1, 1, tzinfo=UTC)
_EPOCH = 1
# GS1 reserves this prefix for examples; the leading digit is the extension.
_SSCC_PREFIX = "09506000"
_TREE_STEP = 1000

Row = dict[str, Any]


class Demo(Struct, frozen=True):
    """The file `demo.json`."""

    brand: Row
    products: tuple[Row, ...]
    dealers: tuple[Row, ...]
    sites: tuple[Row, ...]
    devices: tuple[Row, ...]
    channels: tuple[Row, ...]
    bases: tuple[Row, ...]
    orders: tuple[Row, ...]
    ships_from: str


def load_demo() -> Demo:
    """Return the demo brand as shipped."""
    return msgspec.json.decode(resources.files("trace_service").joinpath("demo.json").read_bytes(), type=Demo)


def run_demo(connection: Connection, keys: KeyWrapper, label_host: str) -> Row:
    """Register what is missing, issue one print run, and return what the simulator may know of it."""
    demo = load_demo()
    with connection.transaction():
        connection.execute(SQL["demo_lock"])
        _register(connection, keys, demo)
        return _print_run(connection, keys, demo, label_host)


def seed_bases(connection: Connection) -> None:
    """Note where the demo brand's inspectors start, unless somebody has."""
    demo = load_demo()
    brand = demo.brand["id"]
    if not connection.execute(INSPECTIONS["bases"], {"brand": brand}).fetchall():
        with connection.cursor() as cursor:
            cursor.executemany(INSPECTIONS["put_base"], [{**base, "brand": brand} for base in demo.bases])


def _register(connection: Connection, keys: KeyWrapper, demo: Demo) -> None:
    brand = demo.brand["id"]
    site_of = {device["id"]: device["site"] for device in demo.devices}
    dealer_of = {site["id"]: site["dealer"] for site in demo.sites}
    stock = [
        {**channel, "brand": brand, "site": (site := site_of[channel["device"]]), "dealer": dealer_of[site]}
        for channel in demo.channels
    ]
    rows = {
        "insert_brand": [demo.brand],
        "insert_master": [{"brand": brand, "epoch": _EPOCH, "wrapped": keys.fresh()}],
        "insert_product": [{**product, "brand": brand} for product in demo.products],
        "insert_dealer": list(_tree(demo)),
        "insert_territory": [_territory(brand, dealer) for dealer in demo.dealers if dealer["adcodes"]],
        "insert_site": list(demo.sites),
        "insert_device": list(demo.devices),
        "insert_stock": stock,
    }
    with connection.cursor() as cursor:
        for name, values in rows.items():
            cursor.executemany(SQL[name], values)


def _tree(demo: Demo) -> Iterator[Row]:
    """Yield the dealers with level and nested-set keys, sparse, in the file's order: parents come first."""
    children: dict[str | None, list[Row]] = {}
    for dealer in demo.dealers:
        children.setdefault(dealer["parent"], []).append(dealer)
    place: dict[str, tuple[int, int, int]] = {}

    def walk(dealer: Row, level: int, left: int) -> int:
        right = left + _TREE_STEP
        for child in children.get(dealer["id"], []):
            right = walk(child, level + 1, right) + _TREE_STEP
        place[dealer["id"]] = (level, left, right)
        return right

    left = 0
    for root in children[None]:
        left = walk(root, 0, left) + _TREE_STEP
    for dealer in demo.dealers:
        level, lft, rgt = place[dealer["id"]]
        yield {**dealer, "brand": demo.brand["id"], "level": level, "lft": lft, "rgt": rgt}


def _territory(brand: str, dealer: Row) -> Row:
    version = TerritoryVersion(
        dealer=dealer["id"],
        adcodes=tuple(dealer["adcodes"]),
        valid_from=_CONTRACTS_FROM,
        recorded_at=_CONTRACTS_FROM,
        exclusive=dealer["kind"] != "horeca",
    )
    return {
        "brand": brand,
        "dealer": version.dealer,
        "channel": version.channel,
        "adcodes": list(version.adcodes),
        "exclusive": version.exclusive,
        "valid_from": version.valid_from,
        "recorded_at": version.recorded_at,
        "sha256": bytes.fromhex(version.sha256),
    }


def _print_run(connection: Connection, keys: KeyWrapper, demo: Demo, label_host: str) -> Row:
    (runs,) = one(connection, SQL["runs"], {"brand": demo.brand["id"]})
    run = f"R{runs + 1:04}"
    orders = [{"id": f"SO-{run}-{n:02}", **order} for n, order in enumerate(demo.orders, start=1)]
    cases = list(_cases(connection, keys, demo, (run, label_host, orders)))
    _place_orders(connection, demo, orders, cases)
    return {
        "run": run,
        "host": label_host,
        "devices": {d["id"]: {"site": d["site"]} for d in demo.devices if d["kind"] == "gateway"},
        "products": [
            {key: product[key] for key in ("gtin", "name_zh", "name_en", "items_per_case", "unit_weight_g")}
            for product in demo.products
        ],
        "dealers": list(_dealers(demo)),
        "orders": [{"id": order["id"], "to": order["to"]} for order in orders],
        "cases": cases,
        "shelves": list(_shelves(demo)),
        "places": [place._asdict() for place in load_places()],
    }


def _place_orders(connection: Connection, demo: Demo, orders: list[Row], cases: list[Row]) -> None:
    """Order what the run's cases hold, a line for each product."""
    for order in orders:
        wanted = Counter(case["gtin"] for case in cases if case["order"] == order["id"])
        lines = [
            LineDraft(line=line, gtin=gtin, quantity=count, unit="case")
            for line, (gtin, count) in enumerate(sorted(wanted.items()), start=1)
        ]
        draft = OrderDraft(dealer=order["to"], from_site=demo.ships_from, lines=tuple(lines))
        place(connection, demo.brand["id"], order["id"], draft, "demo")


def _dealers(demo: Demo) -> Iterator[Row]:
    places = {place.adcode: place for place in load_places()}
    for dealer in demo.dealers:
        if "place" in dealer:
            place = places[dealer["place"]]
            prefixes = [code.removesuffix("00").removesuffix("00") for code in dealer["adcodes"]]
            names = {key: dealer[key] for key in ("id", "name_zh", "name_en")}
            yield {**names, "lon": place.lon, "lat": place.lat, "adcodes": prefixes}


def _cases(connection: Connection, keys: KeyWrapper, demo: Demo, job: tuple[str, str, list[Row]]) -> Iterator[Row]:
    run, host, orders = job
    wanted = [order["id"] for order in orders for _ in range(order["cases"])]
    # Products take turns within an order, so that every dealer gets each of them.
    products = [demo.products[number % len(demo.products)] for number in range(len(wanted))]
    items: dict[str, Iterator[str]] = {}
    for product in demo.products:
        count = product["items_per_case"] * sum(each is product for each in products)
        items[product["gtin"]] = iter(issue_batch(connection, keys, product["gtin"], count, run).serials)
    serials = connection.execute(SQL["sscc_serials"], {"count": len(wanted)}).fetchall()
    for order, product, (number,) in zip(wanted, products, serials, strict=True):
        gtin = product["gtin"]
        body = f"{_SSCC_PREFIX}{number:09}"
        sscc = f"{body}{check_digit(body)}"
        yield {
            "sscc": sscc,
            "label": f"HTTPS://{host.upper()}/00/{sscc}",
            "aim_symbology": "datamatrix",
            "gtin": gtin,
            "order": order,
            "items": [label_uri(host, gtin, serial) for serial in islice(items[gtin], product["items_per_case"])],
        }


def _shelves(demo: Demo) -> Iterator[Row]:
    weights = {product["gtin"]: product["unit_weight_g"] for product in demo.products}
    for device in demo.devices:
        if device["kind"] == "shelf":
            channels = [
                {
                    **{key: each[key] for key in ("channel", "gtin", "units", "capacity")},
                    "unit_weight_g": weights[each["gtin"]],
                }
                for each in demo.channels
                if each["device"] == device["id"]
            ]
            yield {"device": device["id"], "site": device["site"], "channels": channels}
