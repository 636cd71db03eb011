"""Stock, and what to order."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from trace_service.web import inquiries
from trace_service.web.auth.guards import ApiWorkerSession, SessionOf
from trace_service.web.context import ConsoleOf
from trace_service.web.models import Proposal, Stock
from trace_service.web.parameters import Before, Number, OptionalProposalFilter

router = APIRouter(tags=["stock"])


class StockList(BaseModel):
    """Stock of every site and product."""

    stock: list[Stock]


class ProposalList(BaseModel):
    """Proposals, newest first; `before` is the parameter for the next part, null at the end."""

    proposals: list[Proposal]
    before: int | None


@router.get("/stock")
async def list_stock(console: ConsoleOf, session: SessionOf) -> StockList:
    """List what every shelf senses beside what the ledger counts."""
    return StockList(stock=await inquiries.stock(console.database, session.brand))


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
    return await inquiries.decide(console.database, session, number, state)
