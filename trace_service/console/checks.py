"""Field checks: the inspector's list, the form for a phone, and files for cases."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.responses import RedirectResponse, Response

from trace_service.cases import checks, service
from trace_service.cases.acting import actor_of, database
from trace_service.cases.attachments import LARGEST_FILE, Upload, inspect
from trace_service.cases.checks import RESULTS, WITH_CODE, Kind, Report
from trace_service.cases.errors import CheckCodeMissingError
from trace_service.domain.roles import Role
from trace_service.web.auth.sessions import Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import BodyTooLargeError, InvalidParameterError
from trace_service.web.guards import FormSession, SessionOf, require_equal, require_role, require_same_origin
from trace_service.web.parameters import Number
from trace_service.web.render import Page

router = APIRouter()
MOST_FILES: Final = 6
_LARGEST_BODY: Final = MOST_FILES * LARGEST_FILE + 65536
_STATES: Final = ("open", "done", "cancelled")


@router.get("/checks")
def queue(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    state: Annotated[str, Query(pattern="^(open|done|cancelled)$")] = "open",
) -> Response:
    """Show the checks in one state, the most urgent first."""
    with database(console) as connection:
        found = checks.checks(connection, session.brand, state=state)
    # An inspector sees first what is meant for nobody else.
    mine = [each for each in found if each.assignee in (None, session.login)]
    others = [each for each in found if each not in mine]
    values = {"state": state, "states": _STATES, "mine": mine, "others": others, "now": datetime.now(UTC)}
    return console.renderer.page(request, Page("checks.html", values), session)


@router.get("/checks/{number}")
def one(request: Request, console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Show a task and the form for what came of it."""
    with database(console) as connection:
        check = checks.find_check(connection, session.brand, number)
        found = checks.results_of(connection, session.brand, number)
    may = Role(session.role).covers(Role.INSPECTOR)
    values = {
        "check": check,
        "found": found,
        "results": RESULTS[Kind(check.kind)],
        "with_code": WITH_CODE,
        "may": may,
        "works": Role(session.role).covers(Role.ANALYST),
        "now": datetime.now(UTC),
    }
    return console.renderer.page(request, Page("check.html", values), session)


@router.post("/checks/{number}/cancel")
def cancel(console: ConsoleOf, session: FormSession, number: Number) -> Response:
    """Call a check off."""
    with database(console) as connection:
        checks.cancel_check(connection, actor_of(session), number)
    return RedirectResponse(f"/checks/{number}", 303)


@router.post("/uploads/checks/{number}")
async def report(request: Request, console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Take in what came of a check, with photos."""
    require_role(session, Role.INSPECTOR)
    _require_small(request, console)
    async with request.form(max_files=MOST_FILES, max_fields=16) as form:
        require_equal(_text(form, "csrf"), session.csrf)
        photos = await _files(form)
        names = ("result", "code", "note", "price", "lon", "lat", "accuracy_m")
        given = {name: text for name in names if (text := _text(form, name))}
    if given.get("result") in WITH_CODE and "code" not in given:
        raise CheckCodeMissingError("what was found has a code", advice="Go back and enter it.")
    try:
        said = Report.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise InvalidParameterError(wrong, advice="Go back and fill in the form again.") from error
    await run_in_threadpool(_report, console, session, number, said, photos)
    return RedirectResponse(f"/checks/{number}", 303)


def _report(console: Console, session: Session, number: int, said: Report, photos: list[Upload]) -> None:
    with database(console) as connection:
        checks.report_check(connection, actor_of(session), number, said, photos)


@router.post("/uploads/cases/{number}")
async def attach(request: Request, console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Keep files with a case."""
    require_role(session, Role.ANALYST)
    _require_small(request, console)
    async with request.form(max_files=MOST_FILES, max_fields=4) as form:
        require_equal(_text(form, "csrf"), session.csrf)
        files = await _files(form)
    if not files:
        raise InvalidParameterError("no file was sent", advice="Choose one.")
    await run_in_threadpool(_attach, console, session, number, files)
    return RedirectResponse(f"/cases/{number}#files", 303)


def _attach(console: Console, session: Session, number: int, files: list[Upload]) -> None:
    with database(console) as connection, connection.transaction():
        for file in files:
            service.attach(connection, actor_of(session), number, file)


def _require_small(request: Request, console: Console) -> None:
    require_same_origin(request, console)
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _LARGEST_BODY:
        raise BodyTooLargeError("the files are too large together", advice=f"At most {_LARGEST_BODY >> 20} MB.")


def _text(form: FormData, name: str) -> str:
    value: Any = form.get(name, "")
    return value.strip() if isinstance(value, str) and "\0" not in value else ""


async def _files(form: FormData) -> list[Upload]:
    uploads = [each for each in form.getlist("files") if isinstance(each, UploadFile) and each.filename]
    return [inspect(each.filename or "", await each.read(LARGEST_FILE + 1)) for each in uploads]
