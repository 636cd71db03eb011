"""What each database role may do to which table: the strangers' role reads a short list, and facts are only added."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from conftest import TestDatabase

PUBLIC = {
    "trace.batch", "trace.brand", "trace.channel_version", "trace.custody_content", "trace.custody_event",
    "trace.dealer", "trace.lookup", "trace.master_key", "trace.product", "trace.public_link", "trace.site",
    "trace.territory", "trace.verdict",
}  # fmt: skip
# What was observed, found, planned or decided: rows are added, and nobody who serves may change or remove them.
ONLY_ADDED = {
    "trace.observation", "trace.calibration", "trace.lead_review", "trace.lead_selection", "trace.inspection_base",
    "trace.inspection_plan", "trace.custody_event", "trace.field_check_result", "landing.scan", "landing.stock",
}  # fmt: skip


@pytest.fixture
def owner(database: TestDatabase) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.owner_dsn) as owner:
        yield owner


def may(owner: psycopg.Connection[Any], role: str, rights: str) -> set[str]:
    """The tables of which a role has any of some rights, on any column."""
    rows = owner.execute(
        "SELECT format('%%s.%%s', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname IN ('trace', 'landing') AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition"
        " AND (has_table_privilege(%(role)s, pg_class.oid, %(rights)s) OR CASE WHEN %(columns)s <> '' THEN"
        " has_any_column_privilege(%(role)s, pg_class.oid, %(columns)s) ELSE false END)",
        {"role": role, "rights": rights, "columns": ", ".join(each for each in rights.split(", ") if each in COLUMNS)},
    )
    return {row[0] for row in rows}


COLUMNS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")


def test_strangers_read_a_short_list_and_write_down_what_they_asked(owner: psycopg.Connection[Any]) -> None:
    assert may(owner, "codefence_public", "SELECT") == PUBLIC
    assert may(owner, "codefence_public", "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER") == {"trace.lookup"}


def test_ingest_sees_nothing_of_what_follows_from_its_rows(owner: psycopg.Connection[Any]) -> None:
    rights = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
    assert not {each for each in may(owner, "codefence_ingest", rights) if each.startswith("trace.")}


def test_facts_are_added_and_never_changed_by_who_serves(owner: psycopg.Connection[Any]) -> None:
    known = may(owner, "codefence_trace", "SELECT")
    assert known >= ONLY_ADDED
    for role in ("codefence_trace", "codefence_public", "codefence_ingest"):
        assert not may(owner, role, "UPDATE, DELETE, TRUNCATE") & ONLY_ADDED, role
        assert not may(owner, role, "TRUNCATE, REFERENCES, TRIGGER"), role


def test_what_acts_with_its_owners_rights_is_for_who_needs_it(owner: psycopg.Connection[Any]) -> None:
    rows = owner.execute(
        "SELECT proname, role FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace,"
        " unnest(ARRAY['codefence_public', 'codefence_ingest', 'codefence_trace']) AS role"
        " WHERE nspname IN ('trace', 'landing') AND prosecdef AND prorettype <> 'trigger'::regtype"
        " AND has_function_privilege(role, pg_proc.oid, 'EXECUTE')"
    )
    assert set(rows) == {
        ("expire", "codefence_ingest"), ("expire_letters", "codefence_ingest"), ("inspect", "codefence_trace"),
    }  # fmt: skip
