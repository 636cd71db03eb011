"""What stands where it should not: products in others' facings, and shelves that hold what nobody planned."""

from collections.abc import Iterable, Mapping
from typing import Any

from trace_service.stock.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.rows import recordset

Row = Any
_COLUMNS = (
    "device", "channel", "site", "gtin", "filled", "empty", "unseen", "strange", "share", "fault", "ts", "boot", "seq",
)  # fmt: skip


def take_facings(connection: Connection, rows: Iterable[Row]) -> set[tuple[str, str]]:
    """Keep what cameras saw last, and note or end what is out of place; return what the console should be told."""
    rows = list(rows)
    devices = sorted({row.device for row in rows})
    before = {(row.device, row.channel): row for row in connection.execute(SQL["facings"], {"devices": devices})}
    written = recordset({key: getattr(row, key) for key in _COLUMNS} for row in rows)
    connection.execute(SQL["write_facings"], {"rows": written})
    found, over = [], []
    for row in rows:
        earlier = before.get((row.device, row.channel))
        if row.fault or (earlier is not None and earlier.ts > row.ts):
            continue
        if row.strange:
            found.append(_finding(row, "misplaced_product", row.strange, {"facings": row.strange}))
        else:
            over.append((row.site, row.gtin))
    _write(connection, found, "misplaced_product", over)
    return {("stock", row.brand) for row in rows}


def note_unplanned(
    connection: Connection, newest: Mapping[tuple[str, int], Row], before: Mapping[tuple[str, int], Row]
) -> set[tuple[str, str]]:
    """Note products on scales of sites that have no line for them, until another product lies there."""
    found = [
        _finding(row, "unplanned_product", max(row.units, 1), {"device": row.device, "channel": row.channel})
        for key, row in newest.items()
        if not row.planned and not (key in before and before[key].gtin == row.gtin)
    ]
    gone = [
        (earlier.site, earlier.gtin)
        for key, earlier in before.items()
        if (earlier.site, earlier.gtin) != (newest[key].site, newest[key].gtin)
    ]
    _write(connection, found, "unplanned_product", gone)
    return {("stock", each["brand"]) for each in found}


def _write(connection: Connection, found: list[dict[str, Any]], kind: str, over: list[tuple[str, str]]) -> None:
    if found:
        connection.execute(SQL["insert_findings"], {"rows": recordset(found)})
    if over:
        sites, gtins = zip(*sorted(set(over)), strict=True)
        connection.execute(SQL["end_findings"], {"sites": list(sites), "gtins": list(gtins), "kind": kind})


def _finding(row: Row, kind: str, quantity: int, detail: dict[str, Any]) -> dict[str, Any]:
    keys = {"brand": row.brand, "site": row.site, "gtin": row.gtin, "kind": kind, "quantity": quantity}
    return {**keys, "detail": detail, "device": row.device, "boot": row.boot, "seq": row.seq}
