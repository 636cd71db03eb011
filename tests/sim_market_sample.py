"""A print job for tests: six dealers, forty cities, one large order and five small ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from contracts.gs1 import check_digit, label_uri
from contracts.tc20 import ALPHABET

HOST = "ID.EXAMPLE.COM"
GTINS = ("09506000134352", "09506000134369")
CITIES = (
    ("110000", 116.41, 39.90, 21.9), ("120000", 117.20, 39.08, 13.9), ("130100", 114.51, 38.04, 11.2),
    ("140100", 112.55, 37.87, 5.3), ("150100", 111.75, 40.84, 3.5), ("210100", 123.43, 41.80, 9.1),
    ("220100", 125.32, 43.82, 9.1), ("230100", 126.53, 45.80, 10.0), ("310000", 121.47, 31.23, 24.9),
    ("320100", 118.80, 32.06, 9.3), ("320500", 120.58, 31.30, 12.8), ("330100", 120.15, 30.27, 11.9),
    ("330200", 121.55, 29.87, 9.4), ("330300", 120.70, 28.00, 9.6), ("340100", 117.23, 31.82, 9.4),
    ("350100", 119.30, 26.08, 8.3), ("350500", 118.67, 24.87, 8.8), ("360100", 115.86, 28.68, 6.3),
    ("370100", 117.12, 36.65, 9.2), ("370200", 120.38, 36.07, 10.1), ("410100", 113.63, 34.75, 12.6),
    ("420100", 114.31, 30.59, 12.3), ("430100", 112.94, 28.23, 10.1), ("440100", 113.26, 23.13, 18.7),
    ("440300", 114.06, 22.54, 17.6), ("450100", 108.37, 22.82, 8.7), ("450300", 110.29, 25.27, 4.9),
    ("460100", 110.20, 20.04, 2.9), ("500000", 106.55, 29.56, 32.1), ("510100", 104.07, 30.67, 20.9),
    ("510700", 104.68, 31.47, 4.9), ("511500", 104.64, 28.75, 4.6), ("520100", 106.63, 26.65, 6.0),
    ("530100", 102.83, 24.88, 8.5), ("610100", 108.94, 34.34, 13.0), ("620100", 103.83, 36.06, 4.4),
    ("630100", 101.78, 36.62, 2.5), ("640100", 106.23, 38.49, 2.9), ("650100", 87.62, 43.83, 4.1),
)  # fmt: skip
DEALERS = ("510100", "330100", "320100", "440100", "110000", "500000")
CASES = (30, 12, 12, 12, 12, 12)


def write_market(path: Path, *, run: str = "R0001", cases: tuple[int, ...] = CASES) -> Path:
    """Write a print job with `cases` cases an order."""
    path.write_text(json.dumps(market(run, cases)), "utf-8")
    return path


def market(run: str, cases: tuple[int, ...]) -> dict[str, Any]:
    random = np.random.default_rng(11)
    places = {city[0]: city for city in CITIES}
    dealers = DEALERS[: len(cases)]
    prefixes = [code.removesuffix("00").removesuffix("00") for code in dealers]
    orders = [f"SO-{run}-{number:02}" for number in range(1, len(cases) + 1)]
    owners = [order for order, count in zip(orders, cases, strict=True) for _ in range(count)]
    return {
        "run": run,
        "host": HOST,
        "devices": {"gateway-market": {"site": "market"}},
        "products": [{"gtin": gtin, "items_per_case": 6, "unit_weight_g": 1050} for gtin in GTINS],
        "dealers": [
            {"id": f"D-{code}", "lon": places[code][1], "lat": places[code][2], "adcodes": [prefix]}
            for code, prefix in zip(dealers, prefixes, strict=True)
        ],
        "orders": [{"id": order, "to": f"D-{code}"} for order, code in zip(orders, dealers, strict=True)],
        "cases": [_case(number, order, random) for number, order in enumerate(owners)],
        "shelves": [],
        "places": [
            {"adcode": code, "name_en": code, "lon": lon, "lat": lat, "population": millions * 1e6}
            for code, lon, lat, millions in CITIES
        ],
    }


def _case(number: int, order: str, random: np.random.Generator) -> dict[str, Any]:
    body = f"09506000{number:09}"
    sscc = f"{body}{check_digit(body)}"
    gtin = GTINS[number % len(GTINS)]
    serials = ["1" + "".join(ALPHABET[int(i)] for i in random.integers(0, 32, 19)) for _ in range(6)]
    return {
        "sscc": sscc,
        "label": (f"(00){sscc}", f"HTTPS://{HOST}/00/{sscc}")[number % 2],
        "aim_symbology": ("datamatrix", "qr")[number // 2 % 2],
        "gtin": gtin,
        "order": order,
        "items": [label_uri(HOST, gtin, serial) for serial in serials],
    }
