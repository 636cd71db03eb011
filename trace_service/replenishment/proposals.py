"""The one open proposal of each site and product, kept with the stock figure that it rests on."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from trace_service.domain.events import Source
from trace_service.replenishment.policy import LEAST_CONFIDENCE, Order, Position, propose
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL
from trace_service.store.rows import recordset

Row = Any


class Place(NamedTuple):
    """One product at one site."""

    site: str
    gtin: str


class Rise(NamedTuple):
    """How many items a place's stock has risen by: what was ordered may have come."""

    site: str
    gtin: str
    items: int


def review(
    connection: Connection, places: Collection[Place], rises: Collection[Rise], cause: Source
) -> set[tuple[str, str]]:
    """Bring the proposals of places up to date whose stock has changed; the caller has locked these.

    Returns what the console should be told, as (kind, brand).
    """
    came = {
        "sites": [rise.site for rise in rises],
        "gtins": [rise.gtin for rise in rises],
        "rises": [rise.items for rise in rises],
    }
    connection.execute(SQL["receive_orders"], came)
    columns = {"sites": [place.site for place in places], "gtins": [place.gtin for place in places]}
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
