"""What a run reads from the database: demand, stock, lots, deliveries and decisions of one brand, as arrays."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from trace_service.replenishment.demand.coming import Coming, Promotion
from trace_service.replenishment.demand.festivals import festivals
from trace_service.replenishment.demand.history import History, Series, spikes
from trace_service.replenishment.demand.kernel import Counts, Floats
from trace_service.replenishment.night.actions import Lot
from trace_service.replenishment.night.learning import biases
from trace_service.replenishment.night.planning import Stock
from trace_service.replenishment.night.waterlines import LeadTime, lead_times
from trace_service.replenishment.policy import LEAD_TIME_DAYS
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection

HISTORY_DAYS: Final = 400
LEAST_CERTAINTY: Final = 0.5
LEAST_EVIDENCE: Final = 0.5
"""From this share of own history on the place's own lines count, as the view `trace.stock_in_force` has it."""
_LEAST_DAYS: Final = 14
# The plan's last order serves days beyond its thirty.
_LOOK_AHEAD: Final = 120

Row = Any


@dataclass(frozen=True, slots=True)
class Records:
    """One brand's places in the order of the arrays; `coming` is what is known of past and future special days.

    `product_lines` are the names of the history's groups of products.
    """

    rows: list[Row]
    history: History
    stock: Stock
    lead: LeadTime
    bias: Floats
    today: date
    coming: Coming
    product_lines: tuple[str, ...]


def read_records(connection: Connection, brand: str, today: date) -> Records | None:
    """Return what is known before `today`, None where a fortnight of history is not there yet."""
    key = {"brand": brand, "today": today, "since": today - timedelta(days=HISTORY_DAYS)}
    rows = connection.execute(SQL["places"], key).fetchall()
    sales = connection.execute(SQL["demand"], key).fetchall()
    if not rows or not sales:
        return None
    first = min(row.day for row in sales)
    if (today - first).days < _LEAST_DAYS:
        return None
    places = {(row.site, row.gtin): at for at, row in enumerate(rows)}
    product_lines = tuple(sorted({row.product_line for row in rows}))
    group = np.array([product_lines.index(row.product_line) for row in rows])
    lives = {row.gtin: row.days for row in connection.execute(SQL["shelf_lives"], key)}
    expiry = np.array([lives.get(row.gtin, 0) for row in rows])
    history = replace(_history(rows, sales, (first, today), places), group=group, expiry_days=expiry)
    lots = [
        Lot(places[row.site, row.gtin], row.units, (row.expires_on - today).days)
        for row in connection.execute(SQL["lots"], key)
        if (row.site, row.gtin) in places
    ]
    on_hand = np.array([max(row.quantity - row.suspect, 0) for row in rows])
    on_order, capacity = (np.array([getattr(row, name) for row in rows]) for name in ("in_transit", "capacity"))
    stock = Stock(on_hand, on_order, capacity, lots, _owners(rows))
    seen: list[list[float]] = [[] for _ in rows]
    for row in connection.execute(SQL["deliveries"], key):
        if (row.site, row.gtin) in places:
            seen[places[row.site, row.gtin]].append(float(row.days))
    learned = biases(connection.execute(SQL["decisions"], key).fetchall())
    bias = np.array([learned.get((row.site, row.gtin), 1.0) for row in rows])
    coming = _coming(connection, brand, (first, today))
    lead = lead_times(seen, np.full(len(rows), float(LEAD_TIME_DAYS)))
    return Records(rows, history, stock, lead, bias, today, coming, product_lines)


def _owners(rows: list[Row]) -> Counts:
    """Return a number for the dealer of each place; a place without one is by itself."""
    dealers = {name: at for at, name in enumerate(sorted({row.dealer for row in rows if row.dealer}))}
    return np.array([dealers.get(row.dealer, -1 - at) for at, row in enumerate(rows)])


def _coming(connection: Connection, brand: str, span: tuple[date, date]) -> Coming:
    """Return festivals and promotions since the first day of the history and for some weeks ahead."""
    first, today = span
    planned = connection.execute(SQL["promotions"], {"brand": brand, "since": first, "cancelled": False})
    promotions = [
        Promotion(row.gtin, row.first_day, row.last_day, frozenset(row.sites), row.uplift, row.name) for row in planned
    ]
    return Coming(festivals(first, today + timedelta(days=_LOOK_AHEAD)), promotions)


def _history(rows: list[Row], sales: list[Row], span: tuple[date, date], places: dict[tuple[str, str], int]) -> History:
    """Fill the arrays: a day without a row sold nothing, whatever weekday it was."""
    first, today = span
    shape = (len(rows), (today - first).days)
    units, known, promoted = np.zeros(shape), np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for row in sales:
        at = places.get((row.site, row.gtin))
        if at is not None:
            cell = at, (row.day - first).days
            units[cell], known[cell], promoted[cell] = row.units, not row.sold_out, row.promoted
    days = tuple(first + timedelta(days=each) for each in range(shape[1]))
    count = len(rows)
    return History(
        tuple(Series(row.site, row.gtin) for row in rows), days, units, known & ~spikes(units), promoted,
        np.array([float(row.unit_price) for row in rows]), np.array([row.items_per_case for row in rows]),
        np.full(count, LEAD_TIME_DAYS), np.zeros(count, dtype=np.int64), priced=True,
    )  # fmt: skip
