"""The EPCIS 2.0 interface as an application of its own, mounted at /epcis: its errors have the standard's form."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trace_service.epcis.capture import as_error
from trace_service.epcis.http import capture as api_capture
from trace_service.epcis.http import events as api_events
from trace_service.epcis.http import queries as api_queries
from trace_service.epcis.http.requests import VERSION_HEADERS, PartnerOf
from trace_service.epcis.refusals import (
    CaptureLimitError,
    EpcisError,
    MediaTypeError,
    NoSuchResourceError,
    ValidationError,
)
from trace_service.web.context import Console
from trace_service.web.errors import BusyError, WebError
from trace_service.web.headers import SECURITY_HEADERS

log = structlog.get_logger(__name__)
_EXCEPTIONS: Final[Mapping[int, str]] = {
    401: "SecurityException",
    403: "SecurityException",
    404: "NoSuchResourceException",
    429: "SecurityException",
}


class _MethodError(EpcisError):
    """A method that the resource does not know."""

    status = 405
    exception = "ImplementationException"
    code = "METHOD_NOT_ALLOWED"


class _FaultError(EpcisError):
    """A fault of ours."""

    status = 500
    code = "INTERNAL"


_BY_STATUS: Final = (NoSuchResourceError, _MethodError, MediaTypeError, CaptureLimitError)
_SUMMARY: Final = (
    "EPCIS 2.0: capture, query, named queries and subscriptions of one brand. Send a token with the scope epcis as "
    "`Authorization: Bearer …`. Errors are problem+json with the standard's `epcisException:` types."
)


class _Boundary:
    """Adds the versions that are spoken here to every answer, and keeps faults from the application around."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def send_with_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                MutableHeaders(scope=message).update(VERSION_HEADERS)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            # The framework raises a fault again after `_on_fault` has answered and logged it.
            if not answered:
                raise


def create_epcis_app(console: Console) -> ASGIApp:
    """Return the application."""
    app = FastAPI(
        title="Codefence EPCIS", version="2.0.0", description=_SUMMARY, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.console = console
    app.exception_handler(WebError)(_on_web_error)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http)
    app.exception_handler(psycopg.OperationalError)(_on_database)
    app.exception_handler(Exception)(_on_fault)
    for part in (api_capture, api_queries, api_events):
        app.include_router(part.router)
    app.add_api_route("/{address:path}", _discover, methods=["OPTIONS"], include_in_schema=False)
    return _Boundary(app)


def _discover(partner: PartnerOf) -> Response:
    """Answer a client that asks which versions and methods there are."""
    del partner
    return Response(status_code=204, headers={"Allow": "GET, POST, DELETE, OPTIONS"})


def refusal(error: WebError) -> Response:
    """Return a refusal as the standard's problem object."""
    exception = error.exception if isinstance(error, EpcisError) else _EXCEPTIONS.get(error.status)
    body: dict[str, Any] = {
        "type": f"epcisException:{exception or 'ImplementationException'}",
        "title": error.code.replace("_", " ").capitalize(),
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "advice": error.advice,
    }
    if isinstance(error, EpcisError) and error.problems:
        body["errors"] = [as_error(problem) for problem in error.problems]
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:  # noqa: PLR2004  not signed in
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), error.status, headers, "application/problem+json")


async def _on_web_error(_: Request, error: WebError) -> Response:
    return refusal(error)


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    # Where, never what: a rejected value is not repeated.
    places = [".".join(str(part) for part in each["loc"]) + f": {each['msg']}" for each in error.errors()]
    missing = any(each["loc"][0] == "path" for each in error.errors())
    return refusal(NoSuchResourceError("no such resource") if missing else ValidationError("; ".join(places)))


async def _on_http(_: Request, error: HTTPException) -> Response:
    return refusal(_of_status(error.status_code, str(error.detail)))


async def _on_database(_: Request, error: Exception) -> Response:
    log.error("the database does not answer", action="http.database", error=str(error))
    return refusal(BusyError("the database does not answer", advice="Try again in a moment.", retry_after=5))


async def _on_fault(request: Request, error: Exception) -> Response:
    log.error("a request failed", action="http.fault", path=request.url.path, exc_info=error)
    response = refusal(_of_status(500, "a fault of this service"))
    response.headers.update(SECURITY_HEADERS)  # this handler stands outside the middleware
    return response


def _of_status(status: int, message: str) -> WebError:
    return next((each for each in _BY_STATUS if each.status == status), _FaultError)(message)
