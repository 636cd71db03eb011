"""Which products stand at which places, and the lines that count there until demand has taught better ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from trace_service.replenishment.errors import LinesError
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.locks import lock
from trace_service.store.rows import recordset

MOST_ITEMS: Final = 1_000_000
_MOST_NAMED: Final = 5
_AT_ONCE: Final = 1_000
_NO_TEXT: Final = re.compile(r"[\x00-\x1f\ud800-\udfff]")


@dataclass(frozen=True)
class Line:
    """A product at a site: items at which to order, items to fill up to, and perhaps items sold a day.

    `managed` is `vendor` where the brand decides about the store's stock (VMI), else `store`.
    """

    site: str
    gtin: str
    reorder: int
    maximum: int
    daily_demand: float = 0.0
    managed: str = "store"


def configure(connection: Connection, brand: str, lines: Sequence[Line]) -> int:
    """Set the configured lines of places, unless one is refused; return how many are new or changed.

    A place that is new has stock from now on: shelves, scans and counts give it a figure, and the worker looks at its
    order at once. Raises LinesError for a product or site that is not the brand's, before anything is set.
    """
    rows = [each for each in lines if not _NO_TEXT.search(each.site + each.gtin)]
    strange = connection.execute(SQL["strange_lines"], {"brand": brand, "rows": recordset(rows)}).fetchall()
    if strange or len(rows) < len(lines):
        named = "; ".join(f"{row.site} {row.gtin}" for row in strange[:_MOST_NAMED]) or "a name that is no text"
        raise LinesError(
            f"not the brand's product, or not its dealer's site: {named}{' …' * (len(strange) > _MOST_NAMED)}",
            advice="Import products and sites first: codefence channel import.",
        )
    return sum(_set(connection, brand, rows[start : start + _AT_ONCE]) for start in range(0, len(rows), _AT_ONCE))


def _set(connection: Connection, brand: str, rows: Sequence[Line]) -> int:
    """Set some lines, locked as the live path does: a server has no room for all locks of a brand."""
    with connection.transaction():
        lock(connection, {f"stock {each.site} {each.gtin}" for each in rows})
        changed = connection.execute(SQL["configure_lines"], {"brand": brand, "rows": recordset(rows)}).fetchall()
        # Its rows may not exist yet while the same statement makes the places.
        connection.execute(SQL["review_lines"], {"rows": recordset(row._asdict() for row in changed)})
        connection.execute(SQL["wake_worker"])
        return len(changed)


def configured(connection: Connection, brand: str) -> list[dict[str, Any]]:
    """Return the configured lines of every place, by site and product."""
    return [row._asdict() for row in connection.execute(SQL["configured_lines"], {"brand": brand})]
