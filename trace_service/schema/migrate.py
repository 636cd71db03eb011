"""Brings a database to the present schema: ordered migrations, each in its own transaction, under lock time-outs."""

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from contracts.errors import StartError
from trace_service.schema import timescale

_LOCK = 0x436F6465  # any constant: two migrations at once wait for one another

_BOOKKEEPING = """
    CREATE TABLE IF NOT EXISTS public.schema_migration (
        name       text PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class Roles(NamedTuple):
    """Passwords of the two least-privileged roles that ingest and the trace service log in as."""

    ingest: str
    trace: str


def migrate(dsn: str, roles: Roles, *, until: str = "") -> list[str]:
    """Apply what is missing, up to and including migration `until` (default: all); return the names applied.

    `dsn` must belong to the database's owner. A database that a later version has changed, or one that was changed by
    hand so that a migration fails, raises `StartError`; a lock not had within 10 s raises `LockNotAvailable`. Either
    leaves the database as it was.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '10s'; SET client_min_messages = 'warning'")
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        connection.execute(_BOOKKEEPING)
        done = {name for (name,) in connection.execute("SELECT name FROM public.schema_migration")}
        _check_known(done)
        wanted = [file for file in migrations() if not until or file.name <= until]
        applied = [_apply(connection, file) for file in wanted if file.name not in done]
        _make_roles(connection, roles)
        if not until:
            connection.execute(_read(_folder() / "grants.sql"))
            timescale.use(connection)
        return applied


def _check_known(done: set[str]) -> None:
    """Refuse a database that has what this version does not know: going on would mix two schemas."""
    unknown = sorted(done - {file.name for file in migrations()})
    if unknown:
        raise StartError(
            f"the database was changed by another version of Codefence ({unknown[0]})",
            advice="Start that version, or begin anew with another folder: codefence up --var FOLDER.",
        )


def pending(connection: psycopg.Connection) -> list[str]:
    """Return the names of migrations that this database still lacks."""
    if connection.execute("SELECT to_regclass('public.schema_migration')").fetchone() == (None,):
        return [file.name for file in migrations()]
    done = {name for (name,) in connection.execute("SELECT name FROM public.schema_migration")}
    return [file.name for file in migrations() if file.name not in done]


def migrations() -> Sequence[Traversable]:
    """Return the migration files in the order in which they apply."""
    files = (_folder() / "migrations").iterdir()
    return sorted((file for file in files if file.name.endswith(".sql")), key=lambda file: file.name)


def _folder() -> Traversable:
    return resources.files(__package__)


def _read(file: Traversable) -> LiteralString:
    # The file ships with this package; it is as literal as the code.
    return file.read_text("utf-8")


def _apply(connection: psycopg.Connection, file: Traversable) -> str:
    try:
        with connection.transaction():
            connection.execute("SET LOCAL statement_timeout = '10min'")
            connection.execute(_read(file))
            connection.execute("INSERT INTO public.schema_migration (name) VALUES (%s)", (file.name,))
    except psycopg.ProgrammingError as error:
        raise StartError(
            f"migration {file.name} does not fit the database: {error.diag.message_primary}",
            advice="Something else has changed its schema; restore a backup, or begin anew with another folder.",
        ) from error
    return file.name


def _make_roles(connection: psycopg.Connection, roles: Roles) -> None:
    for role, password in (("codefence_ingest", roles.ingest), ("codefence_trace", roles.trace)):
        exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is not None
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if exists else "CREATE ROLE {} LOGIN PASSWORD {}")
        connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
    # Nobody logs in as it: the service steps down to it before it answers strangers.
    if connection.execute("SELECT FROM pg_roles WHERE rolname = 'codefence_public'").fetchone() is None:
        connection.execute("CREATE ROLE codefence_public NOLOGIN")
    connection.execute("GRANT codefence_public TO codefence_trace")
