import psycopg
import pytest
from conftest import TestDatabase
from psycopg import errors, sql

from cli.embedded.postgres import Database, create_database
from contracts.errors import StartError
from trace_service.schema.migrate import Roles, migrate, migrations, pending

ROLES = Roles(ingest="ingest-of-tests", trace="trace-of-tests")
SCHEMA = (
    (
        "SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable, collation_name"
        " FROM information_schema.columns WHERE table_schema IN ('landing', 'trace', 'public') ORDER BY 1, 2, 3"
    ),
    "SELECT schemaname, indexname, indexdef FROM pg_indexes WHERE schemaname IN ('landing', 'trace') ORDER BY 1, 2",
    (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace IN ('landing'::regnamespace, 'trace'::regnamespace) ORDER BY 1, 2"
    ),
    (
        "SELECT relname, relkind, relacl::text FROM pg_class"
        " WHERE relnamespace IN ('landing'::regnamespace, 'trace'::regnamespace) ORDER BY 1, 2, 3"
    ),
    "SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL ORDER BY 1, 2",
)


def schema(dsn: str) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(dsn) as connection:
        return [connection.execute(query).fetchall() for query in SCHEMA]


def test_migrated_step_by_step_with_rows_in_it_a_database_equals_a_fresh_one(
    postgres: Database, database: TestDatabase
) -> None:
    create_database(postgres.dsn(), "stepwise")
    dsn = postgres.dsn("stepwise")
    names = [file.name for file in migrations()]
    assert names == sorted(names)
    for number, name in enumerate(names):
        assert migrate(dsn, ROLES, until=name) == [name]
        if number == 0:
            with psycopg.connect(dsn) as connection:
                connection.execute("INSERT INTO landing.device (id, site, kind) VALUES ('d-1', 's-1', 'station')")
                connection.execute("INSERT INTO landing.received (device, boot) VALUES ('d-1', gen_random_uuid())")
    assert migrate(dsn, ROLES) == []
    assert schema(dsn) == schema(database.owner_dsn)
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM landing.received").fetchone() == (1,)
        assert pending(connection) == []


def test_an_unmigrated_database_says_what_it_lacks(postgres: Database) -> None:
    create_database(postgres.dsn(), "empty")
    with psycopg.connect(postgres.dsn("empty")) as connection:
        assert pending(connection) == [file.name for file in migrations()]


def test_a_database_of_another_version_is_refused_and_stays_as_it_was(postgres: Database) -> None:
    create_database(postgres.dsn(), "foreign")
    dsn, first = postgres.dsn("foreign"), migrations()[0].name
    migrate(dsn, ROLES, until=first)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("INSERT INTO public.schema_migration (name) VALUES ('9999_later.sql')")
        with pytest.raises(StartError, match=r"another version of Codefence \(9999_later.sql\)"):
            migrate(dsn, ROLES)
        owner.execute("DELETE FROM public.schema_migration WHERE name = '9999_later.sql' OR name = %s", (first,))
    with pytest.raises(StartError, match=f"migration {first} does not fit the database: .*already exists"):
        migrate(dsn, ROLES)


def test_passwords_change_with_the_next_migration(postgres: Database, database: TestDatabase) -> None:
    with psycopg.connect(database.owner_dsn) as owner:
        name = owner.info.dbname
    other = Roles(ingest="another-one", trace=ROLES.trace)
    try:
        migrate(database.owner_dsn, other)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(database.ingest_dsn)
    finally:
        migrate(postgres.dsn(name), ROLES)
    psycopg.connect(database.ingest_dsn).close()


TRACE_TABLES = ("verdict", "custody_event", "alert", "account", "master_key", "session", "quarantine")


@pytest.mark.parametrize("table", TRACE_TABLES)
def test_ingest_reads_nothing_of_the_trace_service(database: TestDatabase, table: str) -> None:
    statement = sql.SQL("SELECT * FROM trace.{}").format(sql.Identifier(table))
    with psycopg.connect(database.ingest_dsn) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trace.custody_event SET occurred_at = now()",
        "DELETE FROM trace.custody_event",
        "TRUNCATE trace.custody_event",
        "ALTER TABLE trace.custody_event ADD COLUMN extra text",
        "DROP TABLE trace.verdict",
        "DELETE FROM trace.verdict",
        "DELETE FROM trace.verdict_superseded",
        "UPDATE trace.verdict_superseded SET place = 'inside'",
        "DELETE FROM trace.alert",
        "DELETE FROM trace.quarantine",
        "DELETE FROM trace.binding",
        "UPDATE trace.territory SET adcodes = '{510000}'",
        "UPDATE trace.master_key SET state = 'active'",
        "UPDATE trace.account SET brand = 'other'",
        "UPDATE landing.scan SET code = ''",
        "DELETE FROM landing.scan",
        "CREATE TABLE trace.mine (id int)",
    ],
)
def test_the_trace_service_cannot_rewrite_what_is_evidence(database: TestDatabase, statement: str) -> None:
    with psycopg.connect(database.trace_dsn) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)  # type: ignore[call-overload]
