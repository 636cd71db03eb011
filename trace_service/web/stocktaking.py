"""The questions about one stock figure: what contradicts it, whether to count it, its lots, its climate."""

from typing import Final

from pydantic import BaseModel

from trace_service.stock.counting import Candidate, Lot, count_list, first_expired
from trace_service.web.auth.sessions import Session
from trace_service.web.database import Database
from trace_service.web.errors import NotFoundError
from trace_service.web.models import Climate, Stock, StockCandidate, StockCount, StockFinding, StockLot

FINDINGS: Final = 50
COUNTS: Final = 20
_WORTH_A_WALK: Final = 0.1
"""The probability from which on a wrong figure is worth a walk."""


class Place(BaseModel):
    """One product at one site with all that is known of it."""

    stock: Stock
    lots: list[StockLot]
    findings: list[StockFinding]


class _Key(BaseModel):
    site: str
    gtin: str


async def findings(
    database: Database, brand: str, site: str | None = None, gtin: str | None = None
) -> list[StockFinding]:
    """Return where figures contradict one another, newest first."""
    wanted = {"brand": brand, "site": site, "gtin": gtin, "limit": FINDINGS}
    return await database.many("stock_findings", StockFinding, wanted)


async def counts(database: Database, brand: str) -> list[StockCount]:
    """Return what is worth counting, the most valuable first."""
    rows = await database.many("stock_candidates", StockCandidate, {"brand": brand})
    known = {(row.site, row.gtin): row for row in rows}
    ranked = count_list(
        Candidate(
            row.site, row.gtin, row.quantity, row.certainty, row.daily_demand, row.unit_price, row.days, row.findings
        )
        for row in rows
    )
    return [
        StockCount(
            **known[each.candidate.site, each.candidate.gtin].model_dump(), p_wrong=each.p_wrong, value=each.value
        )
        for each in ranked[:COUNTS]
        if each.p_wrong >= _WORTH_A_WALK
    ]


async def climate(database: Database, brand: str) -> list[Climate]:
    """Return what every probe said last, alarms first."""
    return await database.many("climate", Climate, {"brand": brand})


async def place(database: Database, brand: str, site: str, gtin: str) -> Place:
    """Return one product at one site. Raises NotFoundError."""
    wanted = {"brand": brand, "site": site, "gtin": gtin}
    found = await database.one("stock", Stock, wanted)
    if found is None:
        raise NotFoundError(f"no stock of {gtin} at {site}")
    rows = await database.many("stock_lots", StockLot, wanted)
    lots = first_expired((Lot(row.lot, row.expires, row.quantity) for row in rows), found.on_hand)
    shown = [StockLot(lot=each.lot, expires=each.expires, quantity=each.quantity) for each in lots]
    return Place(stock=found, lots=shown, findings=await findings(database, brand, site, gtin))


async def count(database: Database, session: Session, site: str, gtin: str, counted: int) -> Place:
    """Take a person's count; return the place as it is then. Raises NotFoundError."""
    wanted = {"brand": session.brand, "site": site, "gtin": gtin, "counted": counted, "login": session.login}
    if await database.one("take_stock_count", _Key, wanted) is None:
        raise NotFoundError(f"no stock of {gtin} at {site}")
    return await place(database, session.brand, site, gtin)
