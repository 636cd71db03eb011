"""Sessions: a random token in the browser, its SHA-256 in the database."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from trace_service.web.auth.passwords import PasswordCheck
from trace_service.web.auth.throttle import Throttle
from trace_service.web.database import Database
from trace_service.web.errors import NotSignedInError

LIFETIME: Final = timedelta(hours=12)
TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in account; `brand` limits everything it can see."""

    token_hash: bytes
    login: str
    csrf: str
    expires_at: datetime
    brand: str
    name: str
    role: str
    language: str
    brand_name_zh: str
    brand_name_en: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a successful log-in hands out, once: the token itself is not stored."""

    token: str
    csrf: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Account:
    login: str
    password_hash: str


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, database: Database, throttle: Throttle) -> None:
        self._database = database
        self._throttle = throttle
        self._passwords = PasswordCheck()

    async def begin(self, login: str, password: str, address: str) -> Ticket:
        """Log in. Raises NotSignedInError, TooManyAttemptsError or BusyError."""
        self._throttle.attempt(login, address)
        account = await self._database.one("account", _Account, {"login": login})
        if not await self._passwords.matches(account.password_hash if account else None, password):
            raise NotSignedInError("wrong login or password", advice="Check both; capital letters count.")
        self._throttle.succeeded(login, address)
        ticket = Ticket(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(24), datetime.now(UTC) + LIFETIME)
        await self._database.run("sweep_sessions", {})
        await self._database.run(
            "begin_session",
            {
                "token_hash": _hashed(ticket.token),
                "login": login,
                "csrf": ticket.csrf,
                "expires_at": ticket.expires_at,
            },
        )
        return ticket

    async def find(self, token: str) -> Session | None:
        """Return the live session of a token, if there is one."""
        return await self._database.one("session", Session, {"token_hash": _hashed(token)})

    async def end(self, session: Session) -> None:
        """Log out: the token is worthless from here on."""
        await self._database.run("end_session", {"token_hash": session.token_hash})


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
