"""The questions about one stock figure: what contradicts it, whether to count it, its lots, its climate."""

from datetime import date, datetime
from typing import Final, NamedTuple

from pydantic import BaseModel

from trace_service.channel.values import BUSINESS_ZONE
from trace_service.domain.counting import Candidate, Lot, count_list, first_expired
from trace_service.web.auth.sessions import Session
from trace_service.web.database import Database
from trace_service.web.errors import InvalidParameterError, NotFoundError
from trace_service.web.stock_models import (
    ApprovedOrder,
    Climate,
    PlannedOrder,
    Stock,
    StockCandidate,
    StockCount,
    StockFinding,
    StockLead,
    StockLot,
)

FINDINGS: Final = 50
COUNTS: Final = 20
_CANDIDATES: Final = 200
_WORTH_A_WALK: Final = 0.1
"""The probability from which on a wrong figure is worth a walk."""


class Place(BaseModel):
    """One product at one site with all that is known of it."""

    stock: Stock
    lots: list[StockLot]
    findings: list[StockFinding]
    planned: list[PlannedOrder]
    approved: list[ApprovedOrder]


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
    rows = await database.many("stock_candidates", StockCandidate, {"brand": brand, "limit": _CANDIDATES})
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


class Leads(NamedTuple):
    """Part of the leads, newest first; `after` asks for the next part, None at the end."""

    rows: list[StockLead]
    after: str | None


async def leads(database: Database, brand: str, after: str | None, limit: int) -> Leads:
    """Return items sold where nobody had supplied them; a cursor is the moment of a sale and the unit's key."""
    moment, _, unit = (after or "").partition("/")
    try:
        before = datetime.fromisoformat(moment) if moment else None
    except ValueError as error:
        raise InvalidParameterError(f"after is no cursor: {error}", advice="Pass what the last answer gave.") from error
    wanted = {"brand": brand, "before": before, "unit": f"/{unit}", "limit": limit + 1}
    rows = await database.many("stock_leads", StockLead, wanted)
    last = rows[limit - 1] if len(rows) > limit else None
    return Leads(rows[:limit], f"{last.sold_at.isoformat()}{last.unit}" if last else None)


async def climate(database: Database, brand: str) -> list[Climate]:
    """Return what every probe said last, alarms first."""
    return await database.many("climate", Climate, {"brand": brand})


async def place(database: Database, brand: str, site: str, gtin: str) -> Place:
    """Return one product at one site. Raises NotFoundError."""
    wanted = {"brand": brand, "site": site, "gtin": gtin}
    found = await database.one("stock", Stock, {**wanted, "after_site": None, "after_gtin": None, "limit": 1})
    if found is None:
        raise NotFoundError(f"no stock of {gtin} at {site}")
    rows = await database.many("stock_lots", StockLot, wanted)
    lots = first_expired((Lot(row.lot, row.expires, row.quantity) for row in rows), found.on_hand)
    # The day ends where the shop is, wherever the reader may be.
    today = datetime.now(BUSINESS_ZONE).date()
    shown = [
        StockLot(lot=each.lot, expires=each.expires, quantity=each.quantity, expired=_is_over(each.expires, today))
        for each in lots
    ]
    approved = await database.many("stock_approved", ApprovedOrder, wanted)
    planned = _marked(await database.many("stock_planned", PlannedOrder, wanted), approved, found, today)
    return Place(
        stock=found,
        lots=shown,
        findings=await findings(database, brand, site, gtin),
        planned=planned,
        approved=[each for each in approved if each.missing],
    )


def _marked(
    planned: list[PlannedOrder], approved: list[ApprovedOrder], stock: Stock, today: date
) -> list[PlannedOrder]:
    """Say what has become of the orders that are due by now: the night that planned them did not know."""
    enough = stock.known and not stock.low
    marked = [each.model_copy(update={"needed": each.order_on > today or not enough}) for each in planned]
    if marked and marked[0].early_on <= today:
        since = sum(each.quantity for each in approved if each.decided_at > marked[0].made_at)
        marked[0] = marked[0].model_copy(update={"approved": since})
    return marked


def _is_over(expires: str | None, today: date) -> bool:
    return expires is not None and date.fromisoformat(expires) < today


async def count(database: Database, session: Session, site: str, gtin: str, counted: int) -> Place:
    """Take a person's count; return the place as it is then. Raises NotFoundError."""
    wanted = {"brand": session.brand, "site": site, "gtin": gtin, "counted": counted, "login": session.login}
    if await database.one("take_stock_count", _Key, wanted) is None:
        raise NotFoundError(f"no stock of {gtin} at {site}")
    return await place(database, session.brand, site, gtin)
