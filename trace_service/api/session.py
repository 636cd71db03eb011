"""Logging in and out of the API."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, SecretStr

from trace_service.web.context import ConsoleOf
from trace_service.web.errors import WebError
from trace_service.web.guards import ApiSession

router = APIRouter(tags=["session"])


class Credentials(BaseModel):
    """An account's login and password."""

    login: Annotated[str, Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]
    password: Annotated[SecretStr, Field(max_length=256)]


class Token(BaseModel):
    """A bearer token and when it ends to be one."""

    token: str
    expires_at: datetime


@router.post("/session", status_code=201)
async def begin_session(request: Request, console: ConsoleOf, credentials: Credentials) -> Token:
    """Log in: the token is shown this once."""
    address = request.client.host if request.client else ""
    try:
        password = credentials.password.get_secret_value()
        ticket = await console.sessions.begin(credentials.login, password, address)
    except WebError as error:
        console.metrics.logins.labels(error.code.lower()).inc()
        raise
    console.metrics.logins.labels("ok").inc()
    return Token(token=ticket.token, expires_at=ticket.expires_at)


@router.delete("/session", status_code=204)
async def end_session(console: ConsoleOf, session: ApiSession) -> None:
    """Log out: the token is worthless from here on."""
    await console.sessions.end(session)
