"""A brand with products, sites and dealers, and EPCIS documents about them."""

from collections.abc import Mapping
from typing import Any

import psycopg

from contracts.gs1 import check_digit

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
