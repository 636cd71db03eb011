"""Made-up sales of the demo's stores, marked as such, so that its first night already plans by demand."""

from datetime import date, datetime, timedelta
from math import exp
from random import Random
from typing import Final

from trace_service.domain.zones import STORE_ZONE
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.rows import recordset

DAYS: Final = 120
# At this pace the line at which the demo's stores order is about the right one.
_LINE_DAYS: Final = 9.0
_WEEKEND: Final = 1.5
_FRIDAY: Final = 4
_UPLIFT: Final = 2.0
_PAST: Final = (-52, -46)
_COMING: Final = (9, 15)


def seed_sales(connection: Connection, brand: str, now: datetime) -> int:
    """Give a brand whose stores have no sales on record 120 days of them; return how many days of places were made.

    A day's sales follow from place, product and date alone. One product had a promotion and has another ahead.
    """
    today = now.astimezone(STORE_ZONE).date()
    places = connection.execute(SQL["unsold_places"], {"brand": brand}).fetchall()
    if not places:
        return 0
    promoted = places[0].gtin
    rows = []
    for place in places:
        for back in range(1, DAYS + 1):
            day = today - timedelta(days=back)
            shown = place.gtin == promoted and _PAST[0] <= -back <= _PAST[1]
            mean = (
                place.reorder / _LINE_DAYS * (_WEEKEND if day.weekday() >= _FRIDAY else 1) * (_UPLIFT if shown else 1)
            )
            units = _sold(f"{place.site} {place.gtin} {day}", mean)
            rows.append({"site": place.site, "gtin": place.gtin, "day": day, "units": units})
    connection.execute(SQL["seed_sales"], {"brand": brand, "rows": recordset(rows)})
    for first, last in (_PAST, _COMING):
        query = {"brand": brand, "gtin": promoted, "first": _after(today, first), "last": _after(today, last)}
        connection.execute(SQL["seed_promotion"], query)
    return len(rows)


def _sold(seed: str, mean: float) -> int:
    """Return a Poisson count that is always the same for the same seed (Knuth's method, for small means)."""
    random, bound = Random(seed), exp(-mean)  # noqa: S311  made-up sales
    count, product = 0, random.random()
    while product > bound:
        count += 1
        product *= random.random()
    return count


def _after(day: date, days: int) -> date:
    return day + timedelta(days=days)
