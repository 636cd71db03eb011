"""What to order, why, and the decision on it."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from trace_service.replenishment.tables import table_of
from trace_service.web import inquiries
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import InvalidParameterError, ProposalChangedError, StateConflictError
from trace_service.web.guards import SessionOf, WorkerSession
from trace_service.web.models import ProposalState
from trace_service.web.parameters import Before, CodeField, NoteField, Number, ProposalFilter, QuantityField, Seen
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


@router.get("/proposals/export")
async def export(
    console: ConsoleOf, session: SessionOf, state: ProposalFilter = "open", form: Literal["csv", "xlsx"] = "csv"
) -> Response:
    """Answer with all proposals in a state as a table for spreadsheets."""
    rows = await inquiries.all_proposals(console.database, session.brand, state)
    return table_of(rows, state, form)


@router.post("/proposals/{number}/override")
async def override(  # noqa: PLR0913, PLR0917  the framework passes the fields of a form one by one
    request: Request,
    console: ConsoleOf,
    session: WorkerSession,
    number: Number,
    decision: Annotated[Literal["approve", "reject"], Form()],
    quantity: QuantityField = None,
    code: CodeField = None,
    note: NoteField = "",
    seen: QuantityField = None,
) -> Response:
    """Approve another quantity, or reject with a reason, which is what the forecast learns from."""
    said = inquiries.Override(quantity if decision == "approve" else None, code, note, seen)
    if said.quantity is not None and code is None:
        raise InvalidParameterError("another quantity needs a reason", advice="Choose one of the reasons.")
    return await _decided(request, console, session, number, (inquiries.DECISIONS[decision], said))


@router.post("/proposals/{number}/{decision}")
async def decide(  # noqa: PLR0913, PLR0917  likewise
    request: Request,
    console: ConsoleOf,
    session: WorkerSession,
    number: Number,
    decision: Literal["approve", "reject"],
    seen: QuantityField = None,
) -> Response:
    """Approve or reject; the page's own script replaces the row, without it the list is shown again."""
    said = inquiries.Override(seen=seen)
    return await _decided(request, console, session, number, (inquiries.DECISIONS[decision], said))


async def _decided(
    request: Request,
    console: Console,
    session: Session,
    number: int,
    decision: tuple[ProposalState, inquiries.Override],
) -> Response:
    if "hx-request" not in request.headers:
        await inquiries.decide(console.database, session, number, *decision)
        return RedirectResponse("/proposals", 303)
    problem = None
    try:
        found = await inquiries.decide(console.database, session, number, *decision)
    except (ProposalChangedError, StateConflictError) as error:
        # The page puts no refusal in its place: its reader would see nothing happen.
        found, problem = await inquiries.proposal(console.database, session.brand, number), error.code
    return console.renderer.page(request, Page("proposal_row.html", {"proposal": found, "problem": problem}), session)
