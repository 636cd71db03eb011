"""What to order, why, and the decision on it."""

from datetime import UTC, datetime
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from trace_service.web import inquiries
from trace_service.web.auth.guards import SessionOf, WorkerSession
from trace_service.web.context import ConsoleOf
from trace_service.web.models import ProposalState
from trace_service.web.parameters import Before, Number, ProposalFilter, Seen
from trace_service.web.render import Page

router = APIRouter()
STATES: tuple[ProposalState, ...] = ("open", "approved", "rejected", "withdrawn")


@router.get("/proposals")
async def proposals(
    request: Request, console: ConsoleOf, session: SessionOf, state: ProposalFilter = "open", before: Before = None
) -> Response:
    """Show the proposals in one state, newest first."""
    found = await inquiries.proposals(console.database, session.brand, state, before)
    numbers = await inquiries.counts(console.database, "proposal_counts", session.brand)
    newest = max((row.updated_at for row in found.rows), default=datetime.now(UTC))
    values = {
        "state": state,
        "states": STATES,
        "counts": numbers,
        "proposals": found.rows,
        "before": found.before,
        "after": max((row.id for row in found.rows), default=0),
        "since": int(newest.timestamp() * 1000) + 1,
    }
    return console.renderer.page(request, Page("proposals.html", values), session)


@router.get("/proposals/news")
async def proposals_news(
    request: Request, console: ConsoleOf, session: SessionOf, seen: Seen, state: ProposalFilter = "open"
) -> Response:
    """Say how many proposals came since a list was shown."""
    news = await inquiries.news(console.database, "proposal_news", session.brand, state, seen)
    numbers = await inquiries.counts(console.database, "proposal_counts", session.brand)
    values = {"state": state, "states": STATES, "counts": numbers, "news": news}
    return console.renderer.page(request, Page("proposals_news.html", values), session)


@router.post("/proposals/{number}/{decision}")
async def decide(
    request: Request,
    console: ConsoleOf,
    session: WorkerSession,
    number: Number,
    decision: Literal["approve", "reject"],
) -> Response:
    """Approve or reject; the page's own script replaces the row, without it the list is shown again."""
    found = await inquiries.decide(console.database, session, number, inquiries.DECISIONS[decision])
    if "hx-request" in request.headers:
        return console.renderer.page(request, Page("proposal_row.html", {"proposal": found}), session)
    return RedirectResponse("/proposals", 303)
