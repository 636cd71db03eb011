"""Stock figures from shelves and from the ledger of scans, kept as messages come."""

from collections.abc import Collection
from typing import Any

from trace_service.domain.events import Source
from trace_service.replenishment.policy import LEAST_CONFIDENCE
from trace_service.replenishment.proposals import Place, Rise, review
from trace_service.stock.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.locks import lock
from trace_service.store.queries import SQL as STORE_SQL
from trace_service.store.rows import key_columns, recordset

Row = Any


def process_readings(connection: Connection, claimed: Collection[Row]) -> set[tuple[str, str]]:
    """Take in claimed shelf readings; return what the console should be told, as (kind, brand)."""
    sources = {Source(row.device, row.boot, row.seq): row.ts for row in claimed}
    query = {**key_columns(sources), "moments": list(sources.values())}
    rows = connection.execute(SQL["readings"], query).fetchall()
    known, strange = _sorted_out(rows)
    if strange:
        connection.execute(STORE_SQL["insert_quarantine"], {"rows": recordset(map(_held, strange))})
    if not known:
        return set()
    lock(connection, {f"shelf {row.device}" for row in known})
    newest: dict[tuple[str, int], Row] = {}
    for row in sorted(known, key=lambda each: (each.ts, each.boot, each.seq)):
        newest[row.device, row.channel] = row
    columns = ("device", "channel", "site", "gtin", "units", "confidence", "fault", "ts", "boot", "seq")
    written = recordset({key: getattr(row, key) for key in columns} for row in newest.values())
    # A channel that now holds another product takes its figure away from the earlier one.
    before = connection.execute(SQL["channels"], {"devices": sorted({row.device for row in known})}).fetchall()
    connection.execute(SQL["write_channels"], {"rows": written})
    cause = max(newest.values(), key=lambda row: (row.ts, row.device, row.seq))
    places = {Place(row.site, row.gtin) for row in [*newest.values(), *before]}
    return _update(connection, places, Source(cause.device, cause.boot, cause.seq))


def process_moves(connection: Connection, moved: Collection[tuple[str, str]], cause: Source) -> set[tuple[str, str]]:
    """Count again what was received and sold where scans say so; `moved` holds (site, unit) pairs."""
    if not moved:
        return set()
    sites, units = zip(*sorted(moved), strict=True)
    rows = connection.execute(SQL["products_of_moves"], {"sites": list(sites), "units": list(units)}).fetchall()
    return _update(connection, {Place(row.site, row.gtin) for row in rows}, cause) if rows else set()


def _sorted_out(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    known = [row for row in rows if row.known_site and row.known_product]
    return known, [row for row in rows if not (row.known_site and row.known_product)]


def _held(row: Row) -> dict[str, Any]:
    reason = "unknown_site" if not row.known_site else "unknown_product"
    keys = {"device": row.device, "boot": row.boot, "seq": row.seq, "ts": row.ts}
    return {"brand": None, **keys, "code": row.gtin, "reason": reason, "detail": row.site}


def _update(connection: Connection, places: Collection[Place], cause: Source) -> set[tuple[str, str]]:
    """Bring the stock figures of the given places up to date, and the proposals that rest on them."""
    lock(connection, {f"stock {place.site} {place.gtin}" for place in places})
    ordered = sorted(places)
    columns = {"sites": [place.site for place in ordered], "gtins": [place.gtin for place in ordered]}
    came = connection.execute(SQL["sense_stock"], {**columns, "least": LEAST_CONFIDENCE}).fetchall()
    came += connection.execute(SQL["count_stock"], columns).fetchall()
    return review(connection, ordered, [Rise(row.site, row.gtin, row.rise) for row in came if row.rise > 0], cause)
