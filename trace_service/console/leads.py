"""Leads: a list of its own, each with why it is one, and what somebody found there."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from trace_service.cases import leads
from trace_service.cases.acting import actor_of, database
from trace_service.cases.machine import Outcome
from trace_service.cases.model import WITHOUT_NUL
from trace_service.cases.queries import SQL
from trace_service.detection.explaining.stored import explain_stored
from trace_service.domain.roles import Role
from trace_service.store.connection import one
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf, require_equal, require_same_origin
from trace_service.web.parameters import Number, PageNumber
from trace_service.web.render import Page

router = APIRouter()


class ReviewForm(BaseModel):
    """What the page's form posts."""

    csrf: Annotated[str, Field(max_length=128)] = ""
    outcome: Outcome
    note: Annotated[str, Field(max_length=4000, pattern=WITHOUT_NUL)] = ""


@router.get("/leads")
def queue(
    request: Request, console: ConsoleOf, session: SessionOf, about: Literal["near", "other"] = "near",
    page: PageNumber = 0,
) -> Response:  # fmt: skip
    """Show what is worth a look: just below an alert's threshold, or of a kind that is never an alert."""
    with database(console) as connection:
        found = leads.leads(connection, session.brand, near=about == "near", page=page)
        counts = one(connection, SQL["lead_counts"], {"brand": session.brand})._asdict()
    values = {
        "about": about,
        "counts": counts,
        "leads": found[: leads.PAGE],
        "next": page + 1 if len(found) > leads.PAGE else None,
    }
    return console.renderer.page(request, Page("leads.html", values), session)


@router.get("/leads/{number}")
def show(request: Request, console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Show why a lead is one, and what would make an alert of it."""
    with database(console) as connection:
        lead, material = leads.find_lead(connection, session.brand, number)
    values = {
        "lead": lead,
        "explanation": explain_stored(lead.reason, lead.probability, material),
        "outcomes": list(Outcome),
        "may_review": lead.ended is None and Role(session.role).covers(Role.INSPECTOR),
    }
    return console.renderer.page(request, Page("lead.html", values), session)


@router.post("/leads/{number}")
def review(
    request: Request, console: ConsoleOf, session: SessionOf, number: Number, form: Annotated[ReviewForm, Form()]
) -> Response:
    """Record what somebody found, and show the lead again."""
    require_same_origin(request, console)
    require_equal(form.csrf, session.csrf)
    with database(console) as connection:
        leads.review(connection, actor_of(session), number, form.outcome, form.note.strip())
    return RedirectResponse(f"/leads/{number}", 303)
