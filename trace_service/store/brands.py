"""Brands by their names, as commands are given them."""

from contracts.errors import ConfigurationError
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL


def is_brand(connection: Connection, name: str) -> bool:
    """Say whether a brand is called so."""
    return "\0" not in name and connection.execute(SQL["brand_known"], {"brand": name}).fetchone() is not None


def require_brand(connection: Connection, brand: str) -> None:
    """Raise `ConfigurationError` where nobody is called so."""
    if not is_brand(connection, brand):
        raise ConfigurationError(f"no brand is called {brand!r}", advice="Check --brand.")
