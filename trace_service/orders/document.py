"""The accompanying document of a shipment (随货同行单): what left, in which lots, signed for docks to check."""

import hashlib
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from contracts.documents import DocumentCode, sign
from contracts.gs1 import CANONICAL_HOST
from trace_service.codes.lookup import counters_of
from trace_service.domain.events import LOGISTIC_PREFIX
from trace_service.keys import KeyWrapper
from trace_service.orders.errors import OrderStateError
from trace_service.orders.model import Order, canonical
from trace_service.orders.queries import SQL
from trace_service.orders.reconcile import reconcile
from trace_service.orders.service import find, lock
from trace_service.signing import signing_key
from trace_service.store.connection import Connection


class Document(NamedTuple):
    """An issued document: its content, the text of its code, and who signed it."""

    number: int
    content: dict[str, Any]
    code: str
    key: str
    issued_at: datetime


def issue(connection: Connection, keys: KeyWrapper, brand: str, number: str) -> Document:
    """Return the document of an order as it is loaded now: the last one while nothing has changed, else the next.

    Raises `OrderUnknownError`, and `OrderStateError` for an order of which nothing has left.
    """
    with connection.transaction():
        lock(connection, brand, number)
        order = find(connection, brand, number)
        content = _content(connection, keys, order)
        if not content["units"]:
            raise OrderStateError(f"nothing was loaded for {number}", advice="Print the document after loading.")
        digest = hashlib.sha256(canonical(content)).digest()
        key = signing_key(connection, keys)
        last = connection.execute(SQL["last_document"], {"brand": brand, "id": number}).fetchone()
        if last is not None and bytes(last.sha256) == digest and last.key == key.id:
            text, _ = sign(_code(order, last.number, content, digest), key.private)
            return Document(last.number, content, text, key.id, last.issued_at)
        fresh = last.number + 1 if last else 1
        text, signature = sign(_code(order, fresh, content, digest), key.private)
        now = datetime.now(UTC)
        row = {"brand": brand, "id": number, "number": fresh, "sha256": digest, "key": key.id, "signature": signature}
        content_json = msgspec.json.encode(content).decode()
        connection.execute(SQL["insert_document"], {**row, "content": content_json, "issued_at": now})
        return Document(fresh, content, text, key.id, now)


def _code(order: Order, number: int, content: dict[str, Any], digest: bytes) -> DocumentCode:
    return DocumentCode(order.id, number, content["units"], content["items"], digest)


def _content(connection: Connection, keys: KeyWrapper, order: Order) -> dict[str, Any]:
    """Return what the document says, in plain JSON types; the same load always gives the same bytes."""
    counted = reconcile(connection, order.brand, order.id)
    units = sorted({code for line in [*counted.lines, *counted.surplus] for code in line.codes})
    lots = _lots(connection, keys, order.brand, units)
    rows = [
        {
            "line": line.line, "gtin": line.gtin, "name_zh": line.name_zh, "name_en": line.name_en,
            "ordered": line.ordered, "items": line.scanned,
            "cases": sum(code.startswith(LOGISTIC_PREFIX) for code in line.codes), "lots": lots.get(line.gtin, []),
        }
        for line in [*counted.lines, *counted.surplus]
    ]  # fmt: skip
    parties = connection.execute(SQL["document_parties"], {"brand": order.brand}).fetchone()
    names = parties._asdict() if parties else {}
    return {
        "order": order.id, "version": order.version, "state": order.state.value, "brand": order.brand, **names,
        "dealer": order.dealer, "dealer_zh": order.dealer_zh, "dealer_en": order.dealer_en,
        "from_site": order.from_site, "site_zh": order.site_zh, "site_en": order.site_en, "channel": order.channel,
        "due": order.due.isoformat() if order.due else "", "units": len(units), "lines": rows, "codes": units,
        "items": sum(row["items"] for row in rows),
    }  # fmt: skip


def _lots(connection: Connection, keys: KeyWrapper, brand: str, units: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the lots of each product in these units, with how many items of each; unknown codes are left out."""
    rows = connection.execute(SQL["contents"], {"units": units}).fetchall()
    items = {unit for unit in [*units, *(row.child for row in rows)] if "/21/" in unit}
    places = counters_of(connection, keys, brand, (CANONICAL_HOST + item for item in sorted(items)))
    counts = Counter(place[0] for _, place in places if place is not None)
    found: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(SQL["lots_of_batches"], {"batches": list(counts)}):
        found.setdefault(row.gtin, []).append({"lot": row.lot, "items": counts[row.id]})
    return found
