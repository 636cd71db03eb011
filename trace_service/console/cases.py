"""The queue of cases by expected loss, and one case with everything that bears on it."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from tempfile import TemporaryFile
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Query, Request
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from trace_service.cases import checks, service
from trace_service.cases.acting import actor_of, database
from trace_service.cases.checks import Kind, Task
from trace_service.cases.explain import held, per_case, phones
from trace_service.cases.machine import LIVE, Action, Outcome, State, allowed
from trace_service.cases.model import WITHOUT_NUL
from trace_service.cases.pack import write_pack
from trace_service.cases.queries import SQL
from trace_service.cases.service import Order
from trace_service.cases.sync import policy_of
from trace_service.console.records import records
from trace_service.console.timeline import DRAWN, timelines
from trace_service.detection.explaining.explanation import Explanation
from trace_service.domain.roles import Role
from trace_service.keys import KeyWrapper
from trace_service.web import inquiries
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.guards import SessionOf, require_equal, require_role, require_same_origin
from trace_service.web.models import Alert, Evidence
from trace_service.web.parameters import Number, PageNumber
from trace_service.web.render import Page, words_of

router = APIRouter()
STATES: Final = (State.OPEN, State.INVESTIGATING, State.AWAITING_DEALER, State.PROPOSED, State.CLOSED)
_CHUNK: Final = 1 << 16


def _blank(value: object) -> object:
    """Return None for a field of a form that was left empty."""
    return None if value == "" else value


Text = Annotated[str, Field(max_length=4000, pattern=WITHOUT_NUL)]
Day = Annotated[date | None, BeforeValidator(_blank)]
Login = Annotated[str | None, BeforeValidator(_blank), Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]


class Finding(NamedTuple):
    """An alert of a case, what each of its cases contributes, and what it says of itself."""

    alert: Alert
    cases: list[dict[str, Any]]
    explanation: Explanation


class ActionForm(BaseModel):
    """What the page's forms post."""

    action: Action
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    csrf: Annotated[str, Field(max_length=128)] = ""
    text: Text = ""
    outcome: Annotated[Outcome | None, BeforeValidator(_blank)] = None
    deadline: Day = None
    owner: Login = None


class CheckForm(BaseModel):
    """A check as the page orders it."""

    csrf: Annotated[str, Field(max_length=128)] = ""
    kind: Kind = Kind.VISIT
    instructions: Annotated[str, Field(min_length=1, max_length=2000, pattern=WITHOUT_NUL)]
    place: Annotated[str, Field(max_length=300, pattern=WITHOUT_NUL)] = ""
    listing: Annotated[str, Field(max_length=2000, pattern=WITHOUT_NUL)] = ""
    assignee: Login = None
    due: date

    @model_validator(mode="after")
    def _names_the_listing(self) -> "CheckForm":
        if self.kind is Kind.TEST_PURCHASE and not self.listing.strip():
            raise ValueError("a test purchase names the listing")
        return self


@router.get("/cases")
def queue(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    state: State | Literal["mine"] = State.OPEN,
    page: PageNumber = 0,
) -> Response:
    """Show the cases in one state, or one's own, the largest expected loss first."""
    mine = state == "mine"
    with database(console) as connection:
        states = [each for each in STATES if each in LIVE] if mine else [State(state)]
        found = service.cases(connection, session.brand, states, owner=session.login if mine else None, page=page)
        counts = service.counts(connection, session.brand)
    values = {
        "state": str(state),
        "states": [each.value for each in STATES],
        "counts": counts,
        "cases": found[: service.PAGE],
        "next": page + 1 if len(found) > service.PAGE else None,
        "now": datetime.now(UTC),
    }
    return console.renderer.page(request, Page("cases.html", values), session)


@router.get("/cases/{number}")
async def one(request: Request, console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Show a case: what was found against what is expected, its evidence, what else it could be, and its history."""
    values = await asyncio.to_thread(_case, console, session, number)
    alerts = await inquiries.alerts_of_case(console.database, session.brand, number)
    found = await inquiries.evidence_of_case(console.database, session.brand, number)
    whole = await asyncio.to_thread(inquiries.located, console.places, found)
    journeys = await inquiries.journeys(console.database, session.brand, list(whole), alerts)
    scans: dict[int, list[Evidence]] = {each.id: [] for each in alerts}
    for scan in whole:
        scans[scan.alert].append(scan)
    findings = [Finding(each, per_case(each, scans[each.id]), await inquiries.explanation(each)) for each in alerts]
    said = [each.explanation for each in findings]
    values |= {
        "findings": findings,
        "names": await inquiries.dealer_names(console.database, session.brand, alerts, said),
        "scans": whole,
        "records": await records(console.database, session.brand, alerts),
        "timelines": timelines(journeys),
        "drawn": DRAWN,
        "scans_of": scans,
        "phones": phones(whole),
        "held": held(alerts, whole, journeys),
        "map_version": console.places.version,
    }
    return console.renderer.page(request, Page("case.html", values), session)


def _case(console: Console, session: Session, number: int) -> dict[str, Any]:
    with database(console) as connection:
        case = service.find(connection, session.brand, number)
        policy = policy_of(connection, session.brand)
        results: dict[int, list[object]] = {}
        for each in checks.results(connection, session.brand, number):
            results.setdefault(each.field_check, []).append(each)
        return {
            "case": case,
            "policy": policy,
            "allowed": allowed(case.standing(policy), actor_of(session)),
            "needs_second": case.standing(policy).needs_second,
            "history": service.history(connection, number)[::-1],
            "attachments": service.attachments(connection, number),
            "checks": checks.checks(connection, session.brand, number),
            "results": results,
            "people": connection.execute(SQL["accounts"], {"brand": session.brand}).fetchall(),
            "outcomes": list(Outcome),
            "now": datetime.now(UTC),
        }


@router.get("/cases/{number}/news")
def one_news(
    request: Request, console: ConsoleOf, session: SessionOf, number: Number, version: Annotated[int, Query(ge=0)]
) -> Response:
    """Say whether a case changed since it was shown."""
    with database(console) as connection:
        case = service.find(connection, session.brand, number)
    values = {"case": case, "changed": case.version > version}
    return console.renderer.page(request, Page("case_news.html", values), session)


@router.post("/cases/{number}")
def act(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    number: Number,
    form: Annotated[ActionForm, Form()],
) -> Response:
    """Do one thing to a case and show it again."""
    _require_own_form(request, console, session, form.csrf)
    detail = {
        "text": form.text.strip(),
        "outcome": form.outcome.value if form.outcome else None,
        "deadline": _evening(request, session, form.deadline),
        "owner": form.owner,
    }
    # A remark takes nothing from what others did meanwhile; a decision does.
    version = None if form.action in {Action.COMMENT, Action.RECORD_STATEMENT} else form.version
    with database(console) as connection:
        said = {name: value for name, value in detail.items() if value not in (None, "")}
        service.say(connection, actor_of(session), number, Order(form.action, said, version))
    return RedirectResponse(f"/cases/{number}", 303)


@router.post("/cases/{number}/checks")
def order_check(
    request: Request, console: ConsoleOf, session: SessionOf, number: Number, form: Annotated[CheckForm, Form()]
) -> Response:
    """Order a check on the spot or a test purchase."""
    _require_own_form(request, console, session, form.csrf)
    task = Task(
        **form.model_dump(exclude={"csrf", "due"}),
        due_at=_evening(request, session, form.due) or datetime.now(UTC) + timedelta(days=7),
    )
    with database(console) as connection:
        checks.order_check(connection, actor_of(session), number, task)
    return RedirectResponse(f"/cases/{number}#checks", 303)


def _require_own_form(request: Request, console: Console, session: Session, csrf: str) -> None:
    require_same_origin(request, console)
    require_equal(csrf, session.csrf)


def _evening(request: Request, session: Session, day: date | None) -> datetime | None:
    """Return the end of a day in the reader's time zone."""
    if day is None or not date(2000, 1, 1) < day < date(2200, 1, 1):
        return None
    return datetime.combine(day, time(23, 59), words_of(request, session).zone).astimezone(UTC)


@router.get("/cases/{number}/pack.zip")
def pack(console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Return the case's evidence pack, signed."""
    require_role(session, Role.ANALYST)
    keys = KeyWrapper(console.settings.key_encryption_key)
    # On disk, as the files of a case may be larger than a process should hold.
    with ExitStack() as opened, database(console) as connection:
        target = opened.enter_context(TemporaryFile())
        write_pack(connection, keys, session.brand, number, target)
        opened.pop_all()  # the response closes it
    size = target.tell()
    target.seek(0)
    headers = {"Content-Disposition": f'attachment; filename="case-{number}.zip"', "Content-Length": str(size)}
    parts = iter(partial(target.read, _CHUNK), b"")
    return StreamingResponse(
        parts, media_type="application/zip", headers=headers, background=BackgroundTask(target.close)
    )


@router.get("/cases/{number}/attachments/{attachment}")
async def attachment(
    console: ConsoleOf, session: SessionOf, number: Number, attachment: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """Return a file of a case; a browser shows pictures and saves the rest, and runs nothing in it."""

    def load() -> Any:  # noqa: ANN401  a row
        with database(console) as connection:
            return service.content(connection, session.brand, number, attachment)

    row = await run_in_threadpool(load)
    kind = "inline" if row.media_type.startswith("image/") else "attachment"
    headers = {
        "Content-Disposition": f"{kind}; filename*=UTF-8''{quote(row.name)}",
        "Cache-Control": "private, max-age=3600",
    }
    return Response(bytes(row.content), media_type=row.media_type, headers=headers)
