"""Where to look next, for programs: the newest plan, and a visit made an inspector's task."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from trace_service.cases.acting import actor_of, database
from trace_service.inspections import store
from trace_service.inspections.orders import order_visit
from trace_service.inspections.words import task_words
from trace_service.web.context import ConsoleOf
from trace_service.web.errors import NotFoundError
from trace_service.web.guards import ApiWorkerSession, SessionOf
from trace_service.web.parameters import Number
from trace_service.web.render import words_of

router = APIRouter(prefix="/inspections", tags=["inspections"])


class PlannedVisit(BaseModel):
    """A stop of a base's day, or, without `stop`, a place worth a visit beside it.

    `gain` is the expected number of right alerts, of which `explore` from goods that nobody has seen; `share` is
    planned or lot; `reasons` have the figures of each suspicion; `hours` are way and work.
    """

    model_config = ConfigDict(from_attributes=True)

    id: int
    base: str
    rank: int
    stop: int | None
    city: str
    lon: float
    lat: float
    share: str
    gain: float
    explore: float
    hours: float
    reasons: list[dict[str, Any]]
    field_check: int | None
    check_state: str | None


class Worked(BaseModel):
    """Visits that are done, and those of them that found something."""

    visits: int
    hits: int


class NightPlan(BaseModel):
    """The newest plan; `state_at` is when the engine last said what it knows, `record` how visits did by share."""

    night: date
    made_at: datetime
    state_at: datetime | None
    visits: list[PlannedVisit]
    record: dict[str, Worked]


class Sent(BaseModel):
    """Who is sent; null: whoever takes it."""

    model_config = ConfigDict(extra="forbid")

    assignee: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")] | None = None


class Ordered(BaseModel):
    """The field check that a visit became."""

    check: int


@router.get("/plan")
def get_plan(console: ConsoleOf, session: SessionOf) -> NightPlan:
    """Return the newest plan of the brand."""
    with database(console) as connection:
        found = store.newest(connection, session.brand)
        done = store.record(connection, session.brand, datetime.now(UTC))
    if found is None:
        raise NotFoundError("there is no plan yet", advice="The first is made tonight.")
    plan, visits = found
    return NightPlan(
        night=plan.night,
        made_at=plan.made_at,
        state_at=plan.state_at,
        visits=[PlannedVisit.model_validate(each) for each in visits],
        record={share.value: Worked(visits=each.visits, hits=each.hits) for share, each in done.items()},
    )


@router.post("/{number}/check")
def order_check(
    request: Request, console: ConsoleOf, session: ApiWorkerSession, number: Number, wanted: Sent
) -> Ordered:
    """Make a visit a field check."""
    with database(console) as connection:
        words = task_words(connection, session.brand, number, words_of(request, session), console.places)
        return Ordered(check=order_visit(connection, actor_of(session), number, words, wanted.assignee))
