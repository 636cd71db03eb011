"""Stock figures from shelves and from the ledger of scans, and the one open proposal of each site and product."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from trace_service.domain.events import Source
from trace_service.replenishment.policy import LEAST_CONFIDENCE, Order, Position, propose
from trace_service.store.connection import Connection
from trace_service.store.locks import lock
from trace_service.store.queries import SQL
from trace_service.store.rows import key_columns, recordset

Row = Any


class Place(NamedTuple):
    """One product at one site."""

    site: str
    gtin: str


def process_readings(connection: Connection, claimed: Collection[Row]) -> set[tuple[str, str]]:
    """Take in claimed shelf readings; return what the console should be told, as (kind, brand)."""
    sources = {Source(row.device, row.boot, row.seq): row.ts for row in claimed}
    query = {**key_columns(sources), "moments": list(sources.values())}
    rows = connection.execute(SQL["readings"], query).fetchall()
    known, strange = _sorted_out(rows)
    if strange:
        connection.execute(SQL["insert_quarantine"], {"rows": recordset(map(_held, strange))})
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
    return _review(connection, places, Source(cause.device, cause.boot, cause.seq))


def process_moves(connection: Connection, moved: Collection[tuple[str, str]], cause: Source) -> set[tuple[str, str]]:
    """Count again what was received and sold where scans say so; `moved` holds (site, unit) pairs."""
    if not moved:
        return set()
    sites, units = zip(*sorted(moved), strict=True)
    rows = connection.execute(SQL["products_of_moves"], {"sites": list(sites), "units": list(units)}).fetchall()
    return _review(connection, {Place(row.site, row.gtin) for row in rows}, cause) if rows else set()


def _sorted_out(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    known = [row for row in rows if row.known_site and row.known_product]
    return known, [row for row in rows if not (row.known_site and row.known_product)]


def _held(row: Row) -> dict[str, Any]:
    reason = "unknown_site" if not row.known_site else "unknown_product"
    keys = {"device": row.device, "boot": row.boot, "seq": row.seq, "ts": row.ts}
    return {"brand": None, **keys, "code": row.gtin, "reason": reason, "detail": row.site}


def _review(connection: Connection, places: Collection[Place], cause: Source) -> set[tuple[str, str]]:
    """Bring stock figures and proposals of the given places up to date."""
    lock(connection, {f"stock {place.site} {place.gtin}" for place in places})
    ordered = sorted(places)
    columns = {"sites": [place.site for place in ordered], "gtins": [place.gtin for place in ordered]}
    came = connection.execute(SQL["sense_stock"], {**columns, "least": LEAST_CONFIDENCE}).fetchall()
    came += connection.execute(SQL["count_stock"], columns).fetchall()
    rises = {f"{name}s": [getattr(row, name) for row in came if row.rise > 0] for name in ("site", "gtin", "rise")}
    connection.execute(SQL["receive_orders"], rises)
    told: set[tuple[str, str]] = set()
    changes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(SQL["positions"], columns).fetchall():
        told.add(("stock", row.brand))
        if _settle(row, cause, changes):
            told.add(("proposal", row.brand))
    for query, found in changes.items():
        connection.execute(SQL[query], {"rows": recordset(found)})
    return told


def _settle(row: Row, cause: Source, changes: dict[str, list[dict[str, Any]]]) -> bool:
    """Add what must happen to the place's proposal, if anything, under the name of its query."""
    standing = row.proposal is not None
    order = propose(_position(row), row.now, standing=standing) if _believable(row) else None
    if order is None:
        # A sensor that fails says nothing about the need for an order that it did not cause.
        if not standing or not _believable(row):
            return False
        changes["withdraw_proposals"].append({"id": row.proposal})
        return True
    if not standing:
        if row.rejected_lately:
            return False
        keys = {key: getattr(row, key) for key in ("brand", "site", "gtin", "dealer")}
        changes["insert_proposals"].append({**keys, **_order(order), **cause._asdict()})
        return True
    if (row.quantity, row.need_by, row.reason) == (order.quantity, order.need_by, order.reason):
        return False
    changes["update_proposals"].append({"id": row.proposal, **_order(order), **cause._asdict()})
    return True


def _order(order: Order) -> dict[str, Any]:
    return {"quantity": order.quantity, "need_by": order.need_by, "reason": order.reason}


def _believable(row: Row) -> bool:
    return row.sensed is None or (row.confidence or 0.0) >= LEAST_CONFIDENCE


def _position(row: Row) -> Position:
    sensed = row.sensed is not None
    on_hand = row.sensed if sensed else row.ledger if row.counted else None
    source = "shelf" if sensed else "ledger"
    figures = (row.in_transit, row.reorder, row.maximum, row.daily_demand, row.items_per_case)
    return Position(on_hand, *figures, source)
