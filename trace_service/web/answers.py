"""Errors as answers: problem+json for programs, a page for people."""

from typing import Final
from urllib.parse import quote

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from trace_service.web.bodies import LARGEST_BODY
from trace_service.web.context import console_of
from trace_service.web.errors import (
    BodyTooLargeError,
    BusyError,
    InvalidParameterError,
    NotFoundError,
    NotSignedInError,
    WebError,
)
from trace_service.web.headers import SECURITY_HEADERS
from trace_service.web.render import Page

_UNREADABLE: Final = 400

log = structlog.get_logger(__name__)


class _InternalError(WebError):
    """A fault of ours."""

    status = 500
    code = "INTERNAL"


class _RefusedError(WebError):
    """Something that the framework refuses: a method, a media type."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


def install(app: FastAPI) -> None:
    """Answer every error of the application in one form."""
    app.exception_handler(WebError)(_on_web_error)
    app.exception_handler(RequestValidationError)(_on_invalid)
    app.exception_handler(HTTPException)(_on_http)
    app.exception_handler(PoolTimeout)(_on_database)
    app.exception_handler(psycopg.OperationalError)(_on_database)
    app.exception_handler(Exception)(_on_fault)


async def _on_web_error(request: Request, error: WebError) -> Response:
    return answer(request, error)


async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
    # Where, never what: a rejected value is not repeated.
    places = [".".join(str(part) for part in each["loc"]) + f": {each['msg']}" for each in error.errors()]
    return answer(request, InvalidParameterError("; ".join(places), advice="See /api/openapi.json."))


async def _on_http(request: Request, error: HTTPException) -> Response:
    if error.status_code == NotFoundError.status:
        return answer(request, NotFoundError("no such address"))
    if error.status_code == BodyTooLargeError.status:
        return answer(request, BodyTooLargeError("the request is too large", advice=f"At most {LARGEST_BODY} bytes."))
    if error.status_code == _UNREADABLE:
        return answer(request, InvalidParameterError("the request cannot be read", advice="See /api/openapi.json."))
    return answer(request, _RefusedError(str(error.detail)))


async def _on_database(request: Request, error: Exception) -> Response:
    log.error("the database does not answer", action="http.database", error=str(error))
    refusal = BusyError("the database does not answer", advice="Try again in a moment.", retry_after=5)
    return answer(request, refusal)


async def _on_fault(request: Request, error: Exception) -> Response:
    log.error("a request failed", action="http.fault", path=request.url.path, exc_info=error)
    response = answer(request, _InternalError("a fault of this service", advice="It was logged."))
    response.headers.update(SECURITY_HEADERS)  # this handler stands outside the middleware
    return response


def answer(request: Request, error: WebError) -> Response:
    """Return a refusal in the form that its reader expects."""
    if request.url.path.startswith(("/api/", "/healthz", "/readyz", "/metrics")):
        body = {
            "type": "about:blank",
            "title": error.code.replace("_", " ").capitalize(),
            "status": error.status,
            "code": error.code,
            "detail": error.message,
            "advice": error.advice,
        }
        response: Response = JSONResponse(body, error.status, media_type="application/problem+json")
    elif isinstance(error, NotSignedInError):
        response = _to_log_in(request)
    else:
        page = Page("error.html", {"code": error.code, "status": error.status}, error.status)
        session = getattr(request.state, "session", None)
        response = console_of(request).renderer.page(request, page, session)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, NotSignedInError) and request.url.path.startswith("/api/"):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _to_log_in(request: Request) -> Response:
    if request.url.path == "/events":  # the page's script understands a refused stream, not an empty one
        return Response(status_code=NotSignedInError.status, headers={"HX-Redirect": "/login"})
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": "/login"})
    wanted = request.url.path if request.method == "GET" else "/"
    return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)
