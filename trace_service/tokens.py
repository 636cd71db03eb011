"""Tokens that partners call the interfaces with: 256 random bits, of which the database holds a hash."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from contracts.errors import ConfigurationError
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL

SCOPES: Final = ("epcis", "orders", "channel", "check", "trips", "replenish")
PREFIX: Final = "cfp_"  # tells people and secret scanners what a leaked text is
_RANDOM_BYTES = 32


def token_hash(token: str) -> bytes:
    """Return what the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def add_token(connection: Connection, brand: str, name: str, scopes: Iterable[str], lifetime: timedelta) -> str:
    """Make a token and return it; it cannot be shown again.

    Raises `ConfigurationError` for an unknown brand, an impossible name and a name in use.
    """
    token = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    row = {
        "brand": brand,
        "name": name,
        "token_hash": token_hash(token),
        "scopes": sorted(set(scopes)),
        "expires_at": datetime.now(UTC) + lifetime,
    }
    try:
        connection.execute(SQL["insert_token"], row)
    except psycopg.errors.ForeignKeyViolation as error:
        raise ConfigurationError(f"no brand is called {brand!r}", advice="Check --brand.") from error
    except psycopg.errors.CheckViolation as error:
        raise ConfigurationError(
            f"the name {name!r} is not usable", advice="Use 1 to 64 letters, digits, dots, hyphens and underscores."
        ) from error
    except psycopg.errors.UniqueViolation as error:
        raise ConfigurationError(
            f"{brand} has a token called {name!r}", advice="Revoke it first, or choose another name."
        ) from error
    return token


def list_tokens(connection: Connection, brand: str | None) -> Sequence[Any]:
    """Return every token of a brand, or of all brands, with when it was last used; never the token itself."""
    return connection.execute(SQL["tokens"], {"brand": brand}).fetchall()


def revoke_token(connection: Connection, brand: str, name: str) -> None:
    """Make a token worthless at once. Raises `ConfigurationError` where there is none of that name."""
    if connection.execute(SQL["revoke_token"], {"brand": brand, "name": name}).fetchone() is None:
        raise ConfigurationError(
            f"{brand} has no valid token called {name!r}", advice="See `codefence trace token list`."
        )
