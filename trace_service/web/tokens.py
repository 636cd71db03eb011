"""Partners' programs: a bearer token with scopes, limited to one brand."""

import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request

from trace_service.tokens import PREFIX, token_hash
from trace_service.web.auth.throttle import Throttle
from trace_service.web.context import ConsoleOf
from trace_service.web.errors import NotSignedInError, ScopeMissingError
from trace_service.web.guards import bearer_token

_LONGEST_TOKEN = 128


@dataclass(frozen=True, slots=True)
class Partner:
    """Whoever holds a token; `brand` limits everything it can see, `name` goes into records of what it did."""

    brand: str
    name: str


@dataclass(frozen=True, slots=True)
class _Token:
    token_hash: bytes
    brand: str
    name: str
    scopes: list[str]


def require_scope(scope: str) -> Callable[..., Awaitable[Partner]]:
    """Return a dependency that finds the partner of the request's bearer token and asks for `scope`.

    It raises NotSignedInError (401) for a token that is missing, unknown, expired or revoked, ScopeMissingError (403)
    for one without the scope, and TooManyAttemptsError (429) after many wrong tokens from one address.
    """

    async def partner_of(request: Request, console: ConsoleOf) -> Partner:
        found = await _find(console, bearer_token(request))
        if found is None:
            # Counted after the look-up: a partner's valid token works while a neighbour at its address guesses.
            address = request.client.host if request.client else ""
            _throttle(request).attempt(address, address)
            raise NotSignedInError(
                "no valid token", advice="Send Authorization: Bearer with a token of `codefence trace token add`."
            )
        if scope not in found.scopes:
            raise ScopeMissingError(f"the token lacks the scope {scope}", advice=f"Ask for a token with {scope}.")
        return Partner(found.brand, found.name)

    return partner_of


async def _find(console: ConsoleOf, given: str) -> _Token | None:
    if not given.startswith(PREFIX) or len(given) > _LONGEST_TOKEN:
        return None
    hashed = token_hash(given)
    found = await console.database.one("partner", _Token, {"token_hash": hashed})
    return found if found is not None and hmac.compare_digest(found.token_hash, hashed) else None


def _throttle(request: Request) -> Throttle:
    """Return the application's own count of wrong tokens."""
    state = request.app.state
    if not hasattr(state, "token_throttle"):
        state.token_throttle = Throttle(time.monotonic)
    throttle: Throttle = state.token_throttle
    return throttle
