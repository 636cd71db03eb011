"""Accounts of the console: argon2id hashes, one account a person."""

from argon2 import PasswordHasher, Type

from contracts.errors import ConfigurationError
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL

# OWASP's second recommendation: 19 MiB, two passes, one lane.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
SHORTEST_PASSWORD = 12


def add_account(connection: Connection, login: str, password: str, profile: dict[str, str]) -> None:
    """Add an account or give it a new password; `profile` has brand, name, role and language.

    Raises `ConfigurationError` for a short password, and for a login that another brand uses.
    """
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigurationError(
            f"the password has {len(password)} characters", advice=f"Choose {SHORTEST_PASSWORD} or more."
        )
    row = {"login": login, "password_hash": HASHER.hash(password), **profile}
    if connection.execute(SQL["insert_account"], row).fetchone() is None:
        raise ConfigurationError(f"the login {login!r} is taken", advice="Choose another login.")
