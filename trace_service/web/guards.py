"""Guards on requests: a session for whoever asks, proof of origin for whoever changes something."""

import hmac
from typing import Annotated, Final

from fastapi import Depends, Form, Header, Request
from starlette.responses import Response

from trace_service.domain.roles import Role
from trace_service.web.auth.sessions import LIFETIME, Session
from trace_service.web.context import Console, ConsoleOf
from trace_service.web.errors import ForgedRequestError, NotSignedInError, RoleMissingError

CSRF_LENGTH: Final = 128
_BEARER: Final = "bearer "
_ADVICE: Final = "Reload the page and try again; behind a TLS proxy set TRACE_HTTPS=true and pass the Host header on."


def session_cookie(console: Console) -> str:
    """Return the name of the session's cookie; over TLS no other host or path can set it."""
    return "__Host-session" if console.settings.https else "session"


def form_cookie(console: Console) -> str:
    """Return the name of the cookie that ties the log-in form to the browser that fetched it."""
    return "__Host-form" if console.settings.https else "form"


def set_cookie(console: Console, response: Response, name: str, value: str) -> None:
    """Set a cookie that no script can read and no other site can send along with a change."""
    response.set_cookie(
        name, value, max_age=int(LIFETIME.total_seconds()), path="/", secure=console.settings.https,
        httponly=True, samesite="lax",
    )  # fmt: skip


async def session_of(request: Request, console: ConsoleOf) -> Session:
    """Return the session of a bearer token or cookie. Raises NotSignedInError."""
    token = bearer_token(request) or request.cookies.get(session_cookie(console), "")
    session = await console.sessions.find(token) if token else None
    if session is None:
        raise NotSignedInError("not signed in or signed out meanwhile", advice="Sign in.")
    request.state.session = session
    return session


SessionOf = Annotated[Session, Depends(session_of)]


def bearer_token(request: Request) -> str:
    """Return the token of the Authorization header, or an empty text."""
    header = request.headers.get("authorization", "")
    return header[len(_BEARER) :].strip() if header.lower().startswith(_BEARER) else ""


def require_same_origin(request: Request, console: Console) -> None:
    """Refuse a browser's request that did not start on a page of this console. Raises ForgedRequestError."""
    scheme = "https" if console.settings.https else "http"
    own = f"{scheme}://{request.headers.get('host', '')}".lower()
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site") == "same-origin":
            return
        raise ForgedRequestError("the request names no origin", advice=_ADVICE)
    if origin.lower() != own:
        raise ForgedRequestError(f"the request came from {origin[:200]!r}", advice=_ADVICE)


def require_equal(given: str, expected: str) -> None:
    """Compare two tokens in constant time; an empty one matches nothing. Raises ForgedRequestError."""
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise ForgedRequestError("the form is too old or not ours", advice=_ADVICE)


def require_role(session: Session, role: Role) -> None:
    """Refuse an account that may do less. Raises RoleMissingError."""
    if not Role(session.role).covers(role):
        raise RoleMissingError(f"this takes the role {role}", advice="Ask a manager for the role.")


async def form_session(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    csrf: Annotated[str, Form(max_length=CSRF_LENGTH)] = "",
) -> Session:
    """Return the session behind a posted form after proof of origin. Raises ForgedRequestError."""
    require_same_origin(request, console)
    require_equal(csrf, session.csrf)
    return session


async def worker_session(session: Annotated[Session, Depends(form_session)]) -> Session:
    """Return the session of somebody who may change things by a form. Raises as `form_session`, RoleMissingError."""
    require_role(session, Role.ANALYST)
    return session


async def api_session(
    request: Request,
    console: ConsoleOf,
    session: SessionOf,
    x_csrf_token: Annotated[str, Header(max_length=CSRF_LENGTH)] = "",
) -> Session:
    """Return the session behind a changing API call; a cookie needs proof of origin, a bearer token is proof itself."""
    if not bearer_token(request):
        require_same_origin(request, console)
        require_equal(x_csrf_token, session.csrf)
    return session


async def api_worker_session(session: Annotated[Session, Depends(api_session)]) -> Session:
    """Return the session of somebody who may change things by the API. Raises as `api_session`, RoleMissingError."""
    require_role(session, Role.ANALYST)
    return session


FormSession = Annotated[Session, Depends(form_session)]
WorkerSession = Annotated[Session, Depends(worker_session)]
ApiSession = Annotated[Session, Depends(api_session)]
ApiWorkerSession = Annotated[Session, Depends(api_worker_session)]
