"""Brands by their names, as commands are given them."""

from contracts.errors import ConfigurationError
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL


def require_brand(connection: Connection, brand: str) -> None:
    """Raise `ConfigurationError` where nobody is called so."""
    if "\0" in brand or connection.execute(SQL["brand_known"], {"brand": brand}).fetchone() is None:
        raise ConfigurationError(f"no brand is called {brand!r}", advice="Check --brand.")
