"""Who may speak for a station: device tokens, of which a hash is kept, and supervisors with their PINs."""

import hashlib
import re
import secrets
from typing import Final, NamedTuple

from contracts.errors import ConfigurationError
from contracts.manifest import pin_hash
from trace_service.orders.queries import SQL
from trace_service.store.connection import Connection

PREFIX: Final = "cfd_"
_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_PIN: Final = re.compile(r"\d{6,12}")


class Station(NamedTuple):
    """A registered device that holds a token, and its site."""

    device: str
    site: str


def issue_token(connection: Connection, device: str) -> str:
    """Return a new token of a device, which cannot be shown again; its earlier one is worthless from now on.

    Raises `ConfigurationError` for a device that is not registered.
    """
    token = PREFIX + secrets.token_urlsafe(32)
    with connection.transaction():
        if connection.execute(SQL["device"], {"device": device}).fetchone() is None:
            raise ConfigurationError(f"no device is called {device!r}", advice="Register it: codefence device add.")
        connection.execute(SQL["revoke_device_token"], {"device": device})
        connection.execute(SQL["insert_device_token"], {"device": device, "token_hash": _hash(token)})
    return token


def token_hash(token: str) -> bytes | None:
    """Return what the database keeps of a token; None for a text that `issue_token` never returned."""
    return _hash(token) if _TOKEN.fullmatch(token) else None


def add_supervisor(connection: Connection, site: str, login: str, name: str, pin: str) -> None:
    """Let somebody release the stations of a site, or give them a new PIN.

    Raises `ConfigurationError` for a PIN that is too easily guessed, or a site that is not known.
    """
    if _PIN.fullmatch(pin) is None or len(set(pin)) < 3 or pin in "01234567890123" or pin in "98765432109876":  # noqa: PLR2004
        raise ConfigurationError("a PIN is 6 to 12 digits, not all alike and not in a row", advice="Choose another.")
    if connection.execute(SQL["site"], {"site": site}).fetchone() is None:
        raise ConfigurationError(f"no site is called {site!r}", advice="Check --site.")
    salt = secrets.token_bytes(16)
    row = {"site": site, "id": login, "name": name, "salt": salt, "pin_hash": bytes.fromhex(pin_hash(pin, salt))}
    connection.execute(SQL["insert_supervisor"], row)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
