"""Promotions that a brand plans: entered one by one or by file, cancelled and never changed."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from trace_service.replenishment.demand.coming import Promotion
from trace_service.replenishment.errors import PromotionError
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.rows import recordset

Row = dict[str, Any]
_LONGEST_NAME: Final = 100
_NO_TEXT: Final = re.compile(r"[\x00-\x1f\ud800-\udfff]")


def plan(connection: Connection, brand: str, promotions: Sequence[Promotion], by: str) -> int:
    """Take over promotions, all or none; those that stand already are left out. Return how many are new.

    The next nightly run counts with them. Raises PromotionError for a product of another brand, a site without it, and
    names that are too long or no text.
    """
    for each in promotions:
        if len(each.name) > _LONGEST_NAME or _NO_TEXT.search(" ".join((each.sku, each.name, *each.nodes))):
            raise PromotionError(
                f"the promotion of product {each.sku!r} has a name that is too long, or no text",
                advice=f"Names have at most {_LONGEST_NAME} characters and no control characters.",
            )
    wanted = {_key(each.sku, each.nodes, each.first, each.last): each for each in promotions}
    rows = [
        {"gtin": each.sku, "sites": sorted(each.nodes), "first_day": each.first, "last_day": each.last,
         "uplift": each.uplift, "name": each.name}
        for each in wanted.values()
    ]  # fmt: skip
    with connection.transaction():
        made = connection.execute(
            SQL["plan_promotions"], {"brand": brand, "by": by, "rows": recordset(rows)}
        ).fetchall()
        query = {
            "brand": brand,
            "since": min((each.first for each in promotions), default=date.max),
            "cancelled": False,
        }
        standing = {
            _key(row.gtin, row.sites, row.first_day, row.last_day)
            for row in connection.execute(SQL["promotions"], query)
        }
        for key, each in wanted.items():
            if key not in standing:
                where = ", ".join(sorted(each.nodes)) or "any site"
                raise PromotionError(
                    f"product {each.sku!r} is not one of the brand's, or not in stock at {where}",
                    advice="Name a GTIN-14 of the brand, and sites that have it, or none for all.",
                )
    return len(made)


def cancel(connection: Connection, brand: str, number: int, by: str) -> bool:
    """Cancel a promotion, which keeps what it was; return whether there was one to cancel."""
    query = {"brand": brand, "id": number, "by": by}
    return connection.execute(SQL["cancel_promotion"], query).fetchone() is not None


def listed(connection: Connection, brand: str, since: date, *, cancelled: bool = False) -> list[Row]:
    """Return promotions that end on a day or later, in the order of their first days."""
    query = {"brand": brand, "since": since, "cancelled": cancelled}
    return [row._asdict() for row in connection.execute(SQL["promotions"], query)]


def _key(gtin: str, sites: Iterable[str], first: date, last: date) -> tuple[str, tuple[str, ...], date, date]:
    return gtin, tuple(sorted(set(sites))), first, last
