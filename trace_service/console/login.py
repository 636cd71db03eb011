"""Logging in and out, and the choice of language."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel, Field, SecretStr
from starlette.responses import RedirectResponse, Response

from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import BusyError, NotSignedInError, TooManyAttemptsError
from trace_service.web.guards import (
    CSRF_LENGTH,
    FormSession,
    form_cookie,
    require_equal,
    require_same_origin,
    session_cookie,
    set_cookie,
)
from trace_service.web.parameters import NextPath
from trace_service.web.render import LANGUAGE_COOKIE, Page, local_path

router = APIRouter()
_YEAR_SECONDS = 31_536_000


class LogInForm(BaseModel):
    """What the log-in page posts."""

    login: Annotated[str, Field(max_length=64)] = ""
    password: Annotated[SecretStr, Field(max_length=256)] = SecretStr("")
    csrf: Annotated[str, Field(max_length=CSRF_LENGTH)] = ""
    next: Annotated[str, Field(max_length=500)] = "/"


@router.get("/login", name="log_in_page")
async def log_in_page(request: Request, console: ConsoleOf, next_path: NextPath = "/") -> Response:
    """Show the form."""
    return _form(request, console, next_path, "", 200)


@router.post("/login")
async def log_in(request: Request, console: ConsoleOf, form: Annotated[LogInForm, Form()]) -> Response:
    """Begin a session and go on to where the reader wanted to be."""
    require_same_origin(request, console)
    require_equal(form.csrf, request.cookies.get(form_cookie(console), ""))
    address = request.client.host if request.client else ""
    try:
        ticket = await console.sessions.begin(form.login.replace("\0", ""), form.password.get_secret_value(), address)
    except (NotSignedInError, TooManyAttemptsError, BusyError) as error:
        console.metrics.logins.labels(error.code.lower()).inc()
        return _form(request, console, form.next, error.code, error.status)
    console.metrics.logins.labels("ok").inc()
    response = RedirectResponse(local_path(form.next), 303)
    set_cookie(console, response, session_cookie(console), ticket.token)
    response.delete_cookie(form_cookie(console), path="/", secure=console.settings.https, httponly=True)
    return response


@router.post("/logout")
async def log_out(console: ConsoleOf, session: FormSession) -> Response:
    """End the session."""
    await console.sessions.end(session)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(session_cookie(console), path="/", secure=console.settings.https, httponly=True)
    return response


@router.get("/language/{language}")
async def choose_language(console: ConsoleOf, language: Literal["zh", "en"], next_path: NextPath = "/") -> Response:
    """Remember a language and go back."""
    response = RedirectResponse(local_path(next_path), 303)
    response.set_cookie(
        LANGUAGE_COOKIE, language, max_age=_YEAR_SECONDS, path="/", secure=console.settings.https, samesite="lax"
    )
    return response


def _form(request: Request, console: Console, next_path: str, problem: str, status: int) -> Response:
    token = secrets.token_urlsafe(24)
    values = {"csrf": token, "next": local_path(next_path), "problem": problem}
    response = console.renderer.page(request, Page("login.html", values, status))
    set_cookie(console, response, form_cookie(console), token)
    return response
