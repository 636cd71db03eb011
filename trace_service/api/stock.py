"""Stock, and what to order."""

from typing import Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from trace_service.web import inquiries, stocktaking
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import ApiWorkerSession, SessionOf
from trace_service.web.models import Proposal
from trace_service.web.parameters import (
    Before,
    Gtin,
    LeadAfter,
    Number,
    OptionalProposalFilter,
    OptionalSite,
    SiteId,
    StockAfter,
    StockLimit,
)
from trace_service.web.stock_models import Climate, Stock, StockCount, StockFinding, StockLead

router = APIRouter(tags=["stock"])


_PAGE: Final = 500


class StockList(BaseModel):
    """Stock by site and product, in the order of their names; `after` is the parameter for the next part."""

    stock: list[Stock]
    after: str | None


class ProposalList(BaseModel):
    """Proposals, newest first; `before` is the parameter for the next part, null at the end."""

    proposals: list[Proposal]
    before: int | None


@router.get("/stock")
async def list_stock(
    console: ConsoleOf, session: SessionOf, site: OptionalSite = None, after: StockAfter = None,
    limit: StockLimit = _PAGE,
) -> StockList:  # fmt: skip
    """List what every shelf senses beside what the ledger counts, at most 500 rows at once."""
    found = await inquiries.stock(console.database, session.brand, site, after, limit)
    return StockList(stock=found.rows, after=found.after)


class FindingList(BaseModel):
    """Where figures contradict one another, newest first."""

    findings: list[StockFinding]


class LeadList(BaseModel):
    """Items sold where nobody had supplied them, newest first; `after` is the parameter for the next part."""

    leads: list[StockLead]
    after: str | None


class CountList(BaseModel):
    """What is worth counting, the most valuable first."""

    counts: list[StockCount]


class ClimateList(BaseModel):
    """What every probe said last, alarms first."""

    climate: list[Climate]


class CountTaken(BaseModel):
    """A person's count of one product at one site."""

    counted: int = Field(ge=0, le=1_000_000)


@router.get("/stock/findings")
async def list_findings(console: ConsoleOf, session: SessionOf) -> FindingList:
    """List shrinkage, phantom stock, unrecorded refills, and items sold that were never supplied."""
    return FindingList(findings=await stocktaking.findings(console.database, session.brand))


@router.get("/stock/leads")
async def list_leads(
    console: ConsoleOf, session: SessionOf, after: LeadAfter = None, limit: StockLimit = 100
) -> LeadList:
    """List items sold where nobody had supplied them, and the dealer that each was shipped to."""
    found = await stocktaking.leads(console.database, session.brand, after, limit)
    return LeadList(leads=found.rows, after=found.after)


@router.get("/stock/counts")
async def list_counts(console: ConsoleOf, session: SessionOf) -> CountList:
    """List what is worth counting, ranked by what a wrong figure is expected to cost."""
    return CountList(counts=await stocktaking.counts(console.database, session.brand))


@router.get("/stock/climate")
async def list_climate(console: ConsoleOf, session: SessionOf) -> ClimateList:
    """List what every probe said last."""
    return ClimateList(climate=await stocktaking.climate(console.database, session.brand))


@router.get("/stock/{site}/{gtin}")
async def show_place(console: ConsoleOf, session: SessionOf, site: SiteId, gtin: Gtin) -> stocktaking.Place:
    """Show one product at one site with its lots, the first to expire first, and its findings."""
    return await stocktaking.place(console.database, session.brand, site, gtin)


@router.post("/stock/{site}/{gtin}/count")
async def take_count(
    console: ConsoleOf, session: ApiWorkerSession, site: SiteId, gtin: Gtin, body: CountTaken
) -> stocktaking.Place:
    """Take a person's count: the books are right again."""
    return await stocktaking.count(console.database, session, site, gtin, body.counted)


@router.get("/proposals")
async def list_proposals(
    console: ConsoleOf, session: SessionOf, state: OptionalProposalFilter = None, before: Before = None
) -> ProposalList:
    """List proposals, in one state or in all."""
    found = await inquiries.proposals(console.database, session.brand, state, before)
    return ProposalList(proposals=found.rows, before=found.before)


@router.post("/proposals/{number}/{decision}")
async def decide_proposal(
    console: ConsoleOf, session: ApiWorkerSession, number: Number, decision: Literal["approve", "reject"]
) -> Proposal:
    """Approve or reject an open proposal."""
    state = inquiries.DECISIONS[decision]
    return await inquiries.decide(console.database, session, number, state, inquiries.Override())
