"""Cases with their history, and what is done to them."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from trace_service.cases import checks, service
from trace_service.cases.acting import actor_of, database
from trace_service.cases.machine import Action, Outcome, State
from trace_service.cases.model import WITHOUT_NUL, Case, Check, Result
from trace_service.cases.queries import SQL
from trace_service.cases.service import Order
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import ApiWorkerSession, SessionOf
from trace_service.web.parameters import Number, PageNumber

router = APIRouter(tags=["cases"])


class CaseList(BaseModel):
    """Cases, the largest expected loss first; `next` is the parameter `page` for the next part, null at the end."""

    cases: list[Case]
    next: int | None


class HistoryEntry(BaseModel):
    """One thing that happened; without an actor the service did it. `digest` is SHA-256 in hexadecimal digits."""

    number: int
    at: datetime
    actor: str | None
    action: str
    from_state: str
    to_state: str
    detail: dict[str, object]
    digest: str


class CaseDetail(BaseModel):
    """One case; `alerts` are numbers of `GET /alerts/{number}`."""

    case: Case
    alerts: list[int]
    history: list[HistoryEntry]
    checks: list[Check]
    results: list[Result]


class CaseAction(BaseModel):
    """What is to be done; `version` is that of the case as it was read: what is out of date decides nothing."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    text: Annotated[str, Field(max_length=4000, pattern=WITHOUT_NUL)] = ""
    outcome: Outcome | None = None
    deadline: AwareDatetime | None = None
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")] | None = None


@router.get("/cases")
def list_cases(
    console: ConsoleOf, session: SessionOf, state: Annotated[State | None, Query()] = None, page: PageNumber = 0
) -> CaseList:
    """List cases, in one state or in all, 50 at a time."""
    with database(console) as connection:
        states = None if state is None else [state]
        found = service.cases(connection, session.brand, states, page=page)
    return CaseList(cases=found[: service.PAGE], next=page + 1 if len(found) > service.PAGE else None)


@router.get("/cases/{number}")
def get_case(console: ConsoleOf, session: SessionOf, number: Number) -> CaseDetail:
    """Return one case with its history, checks and their results."""
    with database(console) as connection:
        case = service.find(connection, session.brand, number)
        entries = service.history(connection, number)
        return CaseDetail(
            case=case,
            alerts=[row.id for row in connection.execute(SQL["alerts_of_case"], {"case": number})],
            history=[HistoryEntry(**{**each.model_dump(), "digest": each.digest.hex()}) for each in entries],
            checks=checks.checks(connection, session.brand, number),
            results=checks.results(connection, session.brand, number),
        )


@router.post("/cases/{number}/actions")
def act_on_case(console: ConsoleOf, session: ApiWorkerSession, number: Number, wanted: CaseAction) -> Case:
    """Do one thing to a case and return it; files and checks are added on its page."""
    given = wanted.model_dump(include={"text", "outcome", "deadline", "owner"})
    detail = {name: value for name, value in given.items() if value not in (None, "")}
    with database(console) as connection:
        service.say(connection, actor_of(session), number, Order(wanted.action, detail, wanted.version))
        return service.find(connection, session.brand, number)
