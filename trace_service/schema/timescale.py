"""What this server's TimescaleDB can do, and the use that is made of it; nothing of it is ever required.

Debian's build, and every other under the Apache licence, has hypertables. Only the Community build compresses old
chunks and keeps continuous aggregates. Its functions exist in both and raise in the one, so that the licence decides.
"""

from importlib import resources
from typing import Final, LiteralString, NamedTuple

import psycopg
import structlog

_COMMUNITY: Final = "timescale"
_BLOCK: Final = "-- step: "
_DONE: Final = """
SELECT format('compress %s.%s', hypertable_schema, hypertable_name) FROM timescaledb_information.hypertables
WHERE compression_enabled
UNION ALL
SELECT format('continuous %s.%s', view_schema, view_name) FROM timescaledb_information.continuous_aggregates
"""

log = structlog.get_logger(__name__)


class Build(NamedTuple):
    """A TimescaleDB as it is installed in a database."""

    version: str
    license: str

    @property
    def is_community(self) -> bool:
        """Whether it offers compression and continuous aggregates."""
        return self.license == _COMMUNITY


def build_of(connection: psycopg.Connection) -> Build | None:
    """Return the build that a database uses; None on plain PostgreSQL."""
    found = connection.execute(
        "SELECT extversion, current_setting('timescaledb.license', true) FROM pg_extension"
        " WHERE extname = 'timescaledb'"
    ).fetchone()
    return Build(found[0], found[1] or "") if found else None


def use(connection: psycopg.Connection) -> Build | None:
    """Use what the server offers, as the database's owner and in autocommit mode; what was done before is left alone.

    Hypertables must succeed where the extension can be had. Compression and aggregates may fail: the log says so, and
    everything works without them.
    """
    offered = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    if offered is None:
        return None
    connection.execute(_read("timescale.sql"))
    build = build_of(connection)
    if build is not None and build.is_community:
        use_community(connection)
    return build


def use_community(connection: psycopg.Connection) -> dict[str, str]:
    """Compress old chunks and keep an aggregate; return the steps that failed, each with its SQLSTATE."""
    failed: dict[str, str] = {}
    done = {name for (name,) in connection.execute(_DONE)}
    for name, statements in _steps():
        if name in done:
            continue
        try:
            for statement in statements:
                connection.execute(statement)
        except psycopg.Error as error:
            failed[name] = error.sqlstate or ""
            log.warning(
                "TimescaleDB does not offer this here; everything works without it",
                action="schema.timescale",
                step=name,
                error=str(error).strip(),
            )
    return failed


def _steps() -> list[tuple[str, list[LiteralString]]]:
    """Return the named steps of community.sql, each as single statements: procedures refuse to run among others."""
    blocks = _read("community.sql").split(_BLOCK)[1:]
    steps = []
    for block in blocks:
        name, _, text = block.partition("\n")
        statements = [statement for part in text.split(";\n") if (statement := part.strip())]
        steps.append((name.strip(), statements))
    return steps


def _read(name: str) -> LiteralString:
    # The file ships with this package; it is as literal as the code.
    return (resources.files(__package__) / name).read_text("utf-8")
