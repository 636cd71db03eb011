"""Capture over HTTP: documents, their jobs, single events."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response

from trace_service.epcis.capture import MOST_EVENTS, Behaviour, Job, capture
from trace_service.epcis.http.requests import (
    LIMIT_HEADERS,
    ConnectionOf,
    DocumentOf,
    PartnerOf,
    Wishes,
    WishesOf,
    json_answer,
)
from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.answers import written
from trace_service.epcis.refusals import (
    AlreadyExistsError,
    CaptureLimitError,
    NoSuchResourceError,
    NotAcceptableError,
    ValidationError,
)
from trace_service.epcis.standard.documents import DOCUMENT_TYPES, locate
from trace_service.epcis.standard.errors import InvalidDocumentError
from trace_service.epcis.standard.problems import Problem
from trace_service.store.connection import Connection
from trace_service.web.tokens import Partner

router = APIRouter(tags=["capture"])
_EXISTS = "EVENT_EXISTS"
_PAGE = 30
BehaviourOf = Annotated[str, Header(alias="GS1-Capture-Error-Behaviour")]


@router.options("/capture")
def capture_limits(partner: PartnerOf) -> Response:
    """Say how large a document may be, and which behaviour is the default."""
    del partner
    return Response(status_code=204, headers={**LIMIT_HEADERS, "Allow": "GET, POST, OPTIONS"})


@router.post("/capture")
def capture_document(  # noqa: PLR0913, PLR0917  the framework injects them
    request: Request,
    partner: PartnerOf,
    connection: ConnectionOf,
    wishes: WishesOf,
    document: DocumentOf,
    behaviour: BehaviourOf = "rollback",
) -> Response:
    """Capture an EPCISDocument or EPCISQueryDocument; 202 with the address of the job in Location."""
    if document.get("type") not in DOCUMENT_TYPES:
        problem = Problem("/type", "NOT_ALLOWED", "an EPCISDocument or EPCISQueryDocument is expected")
        raise ValidationError(problem.message, problems=[problem], advice="Send single events to /events.")
    if behaviour not in set(Behaviour):
        raise NotAcceptableError("GS1-Capture-Error-Behaviour is rollback or proceed")
    job = _captured(connection, partner, document, Behaviour(behaviour), wishes)
    location = f"{request.scope.get('root_path', '')}/capture/{job.id}"
    return Response(status_code=202, headers={"Location": location, **LIMIT_HEADERS})


@router.get("/capture/{number}")
def show_job(partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, number: UUID) -> Response:
    """Show what became of a captured document."""
    row = connection.execute(SQL["capture"], {"brand": partner.brand, "id": number}).fetchone()
    if row is None:
        raise NoSuchResourceError("no such capture job")
    return json_answer(_job(row), wishes)


@router.get("/capture")
def list_jobs(
    request: Request,
    partner: PartnerOf,
    connection: ConnectionOf,
    wishes: WishesOf,
    page: Annotated[str | None, Query(alias="nextPageToken", max_length=100)] = None,
) -> Response:
    """List capture jobs, newest first."""
    before, before_id = _page(page)
    query = {"brand": partner.brand, "before": before, "before_id": before_id, "limit": _PAGE + 1}
    rows = connection.execute(SQL["captures"], query).fetchall()
    headers = {}
    if len(rows) > _PAGE:
        last = rows[_PAGE - 1]
        token = f"{last.created_at.timestamp()!r}_{last.id}"
        headers["Link"] = f'<{request.scope.get("root_path", "")}/capture?nextPageToken={token}>; rel="next"'
    return json_answer([_job(row) for row in rows[:_PAGE]], wishes, headers=headers)


@router.post("/events")
def capture_event(
    request: Request, partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, document: DocumentOf
) -> Response:
    """Capture one event with its own context; 201 with its address, 409 where its id is taken."""
    if document.get("type") in DOCUMENT_TYPES:
        problem = Problem("/type", "NOT_ALLOWED", "a single event is expected")
        raise ValidationError(problem.message, problems=[problem], advice="Send documents to /capture.")
    job = _captured(connection, partner, document, Behaviour.ROLLBACK, wishes)
    if any(problem.code == _EXISTS for problem in job.problems):
        raise AlreadyExistsError("another event has this eventID", problems=job.problems)
    if not job.success:
        raise ValidationError("the event is not accepted", problems=job.problems, advice="See errors.")
    if not job.fresh:
        raise AlreadyExistsError("this event was captured before")
    location = f"{request.scope.get('root_path', '')}/events/{quote(job.stored[0], safe='')}"
    return Response(status_code=201, headers={"Location": location})


def _captured(
    connection: Connection, partner: Partner, document: Mapping[str, Any], behaviour: Behaviour, wishes: Wishes
) -> Job:
    if len(locate(document).events) > MOST_EVENTS:
        raise CaptureLimitError(f"more than {MOST_EVENTS} events", advice="Send them in several documents.")
    try:
        return capture(connection, (partner.brand, partner.name), document, behaviour, wishes.prefixes)
    except InvalidDocumentError as error:
        raise ValidationError(error.message, advice=error.advice, problems=error.problems) from error


def _page(token: str | None) -> tuple[datetime | None, UUID | None]:
    if token is None:
        return None, None
    moment, _, number = token.partition("_")
    try:
        return datetime.fromtimestamp(float(moment)).astimezone(), UUID(number)
    except (ValueError, OverflowError, OSError) as error:
        raise NoSuchResourceError("the page token is unknown") from error


def _job(row: Any) -> dict[str, Any]:  # noqa: ANN401  a row
    finished = row.finished_at is not None
    return {
        "captureID": row.id,
        "running": not finished,
        "success": row.success,
        "captureErrorBehaviour": row.behaviour,
        "createdAt": written(row.created_at),
        **({"finishedAt": written(row.finished_at)} if finished else {}),
        "events": row.events,
        "errors": msgspec.Raw(row.errors.encode()),
    }
