"""The one open proposal of each site and product, kept with the stock figure that it rests on."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from trace_service.domain.events import Source
from trace_service.replenishment.policy import LEAD_TIME_DAYS, LEAST_CONFIDENCE, Order, Position, propose
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection
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
    connection: Connection, places: Collection[Place], rises: Collection[Rise], cause: Source | None
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


def _settle(row: Row, cause: Source | None, changes: dict[str, list[dict[str, Any]]]) -> bool:
    """Add what must happen to the place's proposal, if anything, under the name of its query."""
    standing = row.proposal is not None
    position = position_of(row)
    order = propose(position, row.now, standing=standing) if _believable(row) else None
    if order is None:
        # A sensor that fails says nothing about the need for an order that it did not cause.
        if not standing or not _believable(row):
            return False
        changes["withdraw_proposals"].append({"id": row.proposal, "available": position.available})
        return True
    message = cause._asdict() if cause else {"device": None, "boot": None, "seq": None}
    if not standing:
        if row.declined_lately:
            return False
        keys = {key: getattr(row, key) for key in ("brand", "site", "gtin", "dealer")}
        kind = "vmi" if row.managed == "vendor" else "order"
        changes["insert_proposals"].append({**keys, "kind": kind, **_order(row, order), **message})
        return True
    if (row.quantity, row.need_by, row.reason) == (order.quantity, order.need_by, order.reason):
        return False
    changes["update_proposals"].append({"id": row.proposal, **_order(row, order), **message})
    return True


def _order(row: Row, order: Order) -> dict[str, Any]:
    return {
        "quantity": order.quantity,
        "need_by": order.need_by,
        "reason": order.reason,
        "p_without": order.p_without,
        "p_with": order.p_with,
        "cost": row.unit_price * order.quantity,
        "confidence": row.certainty,
        "model": row.model,
        "inputs": {"history_days": row.history_days, "stock_at": row.figure_at.isoformat(timespec="seconds")},
    }


def _believable(row: Row) -> bool:
    return row.sensed is None or (row.confidence or 0.0) >= LEAST_CONFIDENCE


def position_of(row: Row) -> Position:
    """Return what a row of `positions` says; goods under suspicion are not counted."""
    figure = row.figure
    if figure is None and row.sensed is None and row.counted:
        figure = row.ledger
    on_hand = None if figure is None else max(figure - row.suspect, 0)
    return Position(
        on_hand, row.in_transit, row.reorder, row.maximum, row.daily_demand, row.items_per_case,
        "ledger" if row.sensed is None else "shelf", row.ratio, row.lead_days or LEAD_TIME_DAYS, row.evidence,
        row.suspect, row.occasion, row.occasion_from, row.occasion_units,
    )  # fmt: skip
