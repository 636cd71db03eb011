"""A brand with products, sites and dealers, and EPCIS documents about them."""

import base64
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asking
import httpx
import psycopg
from conftest import TestDatabase
from console_world import World, running
from pydantic import SecretStr

from contracts.gs1 import check_digit
from trace_service.settings import TraceSettings
from trace_service.store.connection import connect
from trace_service.tokens import add_token

BRAND, RIVAL = "acme", "rival"
GTIN = "09506000134352"
OTHER_GTIN, SSCC, FACTORY_GLN, WAREHOUSE_GLN, SHOP_GLN = (
    f"{digits}{check_digit(digits)}"
    for digits in ("0950600013436", "09506000134352111", "950600013430", "950600013431", "950600013432")
)
CASE = f"/00/{SSCC}"
CONTEXT = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"
EXTENSIONS = {"ex": "https://ns.example.com/epcis/"}


def make_brands(owner_dsn: str) -> None:
    """Register two brands: one with a factory, a warehouse and a dealer with a shop."""
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO trace.brand VALUES ('acme', '甲', 'Acme'), ('rival', '乙', 'Rival')")
        connection.execute(
            "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
            " VALUES (%s, 'acme', '酒', 'Liquor', 6, 100, 500), (%s, 'rival', '水', 'Water', 6, 1, 500)",
            (GTIN, OTHER_GTIN),
        )
        connection.execute(
            "INSERT INTO trace.dealer (id, brand, parent, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES ('D-EAST', 'acme', NULL, '华东', 'East', 'regional', 0, 1, 2)"
        )
        connection.execute(
            "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, gln) VALUES"
            " ('factory', 'factory', NULL, '厂', 'Factory', %s), ('dc', 'warehouse', NULL, '仓', 'Warehouse', %s),"
            " ('shop', 'store', 'D-EAST', '店', 'Shop', %s)",
            (FACTORY_GLN, WAREHOUSE_GLN, SHOP_GLN),
        )


def item(serial: object, gtin: str = GTIN) -> str:
    """Return the Digital Link of an item."""
    return f"https://id.gs1.org/01/{gtin}/21/{serial}"


def event(serials: object, step: str, gln: str = FACTORY_GLN, **more: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Return an object event on items named by their serials."""
    listed = serials if isinstance(serials, list) else [serials]
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-03-01T10:00:00Z",
        "eventTimeZoneOffset": "+08:00",
        "action": "ADD" if step == "commissioning" else "OBSERVE",
        "bizStep": step,
        "epcList": [each if "://" in str(each) else item(each) for each in listed],
        "readPoint": {"id": f"https://id.gs1.org/414/{gln}"},
        **more,
    }


def document(*events: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document of these events."""
    return {
        "@context": [CONTEXT, EXTENSIONS],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-01T12:00:00Z",
        "epcisBody": {"eventList": list(events)},
    }


@dataclass(frozen=True)
class Interface:
    """A running interface and a client a brand."""

    database: TestDatabase
    settings: TraceSettings
    client: httpx.Client
    rival: httpx.Client


@contextmanager
def serving(database: TestDatabase) -> Iterator[Interface]:
    """Serve the interface on a database with two brands."""
    make_brands(database.owner_dsn)
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    settings = TraceSettings(
        database_url=SecretStr(database.trace_dsn),
        key_encryption_key=SecretStr(key),
        webhook_networks=("127.0.0.0/8",),
    )
    with connect(database.owner_dsn, "tests") as connection:
        tokens = [add_token(connection, brand, "erp", ["epcis"], timedelta(days=1)) for brand in (BRAND, RIVAL)]
    with running(World(database.owner_dsn, settings, 0, 0, [])) as site:
        clients = [
            asking.Client(base_url=f"{site.url}/epcis", headers={"Authorization": f"Bearer {token}"})
            for token in tokens
        ]
        with clients[0], clients[1]:
            yield Interface(database, settings, *clients)


def send(client: httpx.Client, *events: Mapping[str, Any], **headers: str) -> dict[str, Any]:
    """Capture events and return the job."""
    answer = client.post("/capture", json=document(*events), headers=headers)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = client.get(answer.headers["Location"].removeprefix("/epcis")).json()
    return job
