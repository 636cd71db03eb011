"""From which probability on a brand calls a scan inside or outside: kept as a history, never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import errors

from contracts.errors import ConfigurationError
from geofence.finding import Policy
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL


def policies(connection: Connection) -> Mapping[str, Policy]:
    """Return the policy of every brand that has set one."""
    return {row.brand: Policy(row.inside_at, row.outside_at) for row in connection.execute(SQL["policies"])}


def set_policy(connection: Connection, brand: str, policy: Policy, by: str) -> None:
    """Record a brand's thresholds; scans that are judged from now on go by them. Raises ConfigurationError."""
    stated = {"brand": brand, "inside_at": policy.inside_at, "outside_at": policy.outside_at, "by": by}
    try:
        connection.execute(SQL["add_policy"], stated)
    except errors.ForeignKeyViolation as error:
        raise ConfigurationError(f"no brand is called {brand!r}", advice="Check --brand.") from error


def policy_history(connection: Connection, brand: str | None) -> Sequence[Any]:
    """Return what a brand, or every brand, has set, the latest first."""
    return connection.execute(SQL["policy_history"], {"brand": brand}).fetchall()
