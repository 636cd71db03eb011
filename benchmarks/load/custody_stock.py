"""A warehouse of pallets as custody events, loaded with COPY: items in boxes, boxes in cases, cases on pallets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

BRAND: Final = "qingyuan"
PRODUCT: Final = "/01/09506000134352"
START: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)
ITEMS: Final = 10_000
"""Items of a pallet: 10 cases of 20 boxes of 50."""
_BOXES, _CASES, _ITEMS_A_BOX = 200, 10, 50
_BOOT: Final = UUID(int=5)
_COLUMNS: Final = "brand, unit, biz_step, site, dealer, shipment, parent, occurred_at, device, boot, seq, verified"
_INDEXES: Final = (
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'trace' AND tablename = 'custody_event'"
    " AND indexname NOT LIKE '%%key'"
)


def item(pallet: int, number: int) -> str:
    """Return the key of an item of a pallet."""
    return f"{PRODUCT}/21/P{pallet:06}I{number:05}"


def logistic(kind: int, pallet: int, number: int = 0) -> str:
    """Return the key of a box (1), case (2) or pallet (3)."""
    return f"/00/{kind}{pallet:09}{number:08}"


def load(connection: psycopg.Connection[Any], first: int, pallets: int, *, shipped: bool) -> int:
    """Copy the events of pallets, numbered from `first`; return how many there are.

    Pallets that were shipped are history, and come in such numbers that indexes are built afterwards.
    """
    definitions = [row[0] for row in connection.execute(_INDEXES)] if shipped else []
    for definition in definitions:
        connection.execute(f"DROP INDEX trace.{definition.split()[2]}")
    count = 0
    copy = f"COPY trace.custody_event ({_COLUMNS}) FROM STDIN"
    with connection.cursor().copy(copy) as sink:
        for pallet in range(first, first + pallets):
            lines = list(_lines(pallet, shipped=shipped))
            count += len(lines)
            sink.write("".join(lines))
    for definition in definitions:
        connection.execute(definition)
    connection.execute("ANALYZE trace.custody_event")
    return count


def load_containment(connection: psycopg.Connection[Any], pallet: int) -> None:
    """Copy what lies in what on one pallet, as the service keeps it."""
    pairs = [(child, parent) for child, parent, _ in _packings(pallet)]
    with connection.cursor().copy("COPY trace.containment (brand, child, parent, valid_from) FROM STDIN") as sink:
        for child, parent in pairs:
            sink.write_row((BRAND, child, parent, START))


def _packings(pallet: int) -> Iterator[tuple[str, str, int]]:
    for number in range(ITEMS):
        yield item(pallet, number), logistic(1, pallet, number // _ITEMS_A_BOX), number // 1000
    for box in range(_BOXES):
        yield logistic(1, pallet, box), logistic(2, pallet, box * _CASES // _BOXES), 20
    for case in range(_CASES):
        yield logistic(2, pallet, case), logistic(3, pallet), 30


def _lines(pallet: int, *, shipped: bool) -> Iterator[str]:
    seq = pallet * 100_000
    day = START + timedelta(hours=pallet)
    for child, parent, minutes in _packings(pallet):
        seq += 1
        at = (day + timedelta(minutes=minutes)).isoformat()
        yield f"{BRAND}\t{child}\tpacking\tfactory\t\\N\t\\N\t{parent}\t{at}\tepcis\t{_BOOT}\t{seq}\tt\n"
    if shipped:
        unit = logistic(3, pallet)
        for hours, step, site, to in (
            (2, "shipping", "dc-east", f"D-CHENGDU\tSO-{pallet}"),
            (30, "receiving", "S-CHENGDU-01", "\\N\t\\N"),
        ):
            seq += 1
            at = (day + timedelta(hours=hours)).isoformat()
            yield f"{BRAND}\t{unit}\t{step}\t{site}\t{to}\t\\N\t{at}\tepcis\t{_BOOT}\t{seq}\tf\n"
