"""Leads: what is worth a look on the spot and accuses nobody."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from trace_service.cases import leads
from trace_service.cases.acting import actor_of, database
from trace_service.cases.leads import LeadRow
from trace_service.cases.machine import Outcome
from trace_service.cases.model import WITHOUT_NUL
from trace_service.detection.explaining.stored import explain_stored
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import ApiWorkerSession, SessionOf
from trace_service.web.parameters import Number, PageNumber

router = APIRouter(tags=["cases"])


class LeadList(BaseModel):
    """Leads, the strongest first; `next` is the parameter `page` for the next part, null at the end."""

    leads: list[LeadRow]
    next: int | None


class LeadDetail(BaseModel):
    """One lead and what it says of itself, in codes and figures."""

    lead: LeadRow
    explanation: dict[str, Any]


class LeadReview(BaseModel):
    """What somebody found there."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome
    note: Annotated[str, Field(max_length=4000, pattern=WITHOUT_NUL)] = ""


@router.get("/leads")
def list_leads(
    console: ConsoleOf, session: SessionOf, near: Annotated[bool | None, Query()] = None, page: PageNumber = 0
) -> LeadList:
    """List leads that stand, 50 at a time: all, or those (not) just below an alert's threshold."""
    with database(console) as connection:
        found = leads.leads(connection, session.brand, near=near, page=page)
    return LeadList(leads=found[: leads.PAGE], next=page + 1 if len(found) > leads.PAGE else None)


@router.get("/leads/{number}")
def get_lead(console: ConsoleOf, session: SessionOf, number: Number) -> LeadDetail:
    """Return one lead, also one that has ended."""
    with database(console) as connection:
        lead, material = leads.find_lead(connection, session.brand, number)
    said = explain_stored(lead.reason, lead.probability, material)
    return LeadDetail(lead=lead, explanation=msgspec.to_builtins(said))


@router.post("/leads/{number}/review")
def review_lead(console: ConsoleOf, session: ApiWorkerSession, number: Number, found: LeadReview) -> LeadRow:
    """Record what somebody found where a lead pointed to; it ends with that."""
    with database(console) as connection:
        leads.review(connection, actor_of(session), number, found.outcome, found.note.strip())
        return leads.find_lead(connection, session.brand, number)[0]
