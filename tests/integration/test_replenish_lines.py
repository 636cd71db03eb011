"""A brand's own stores and products enter replenishment by a table: lines, orders at once, and who decides."""

import base64
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase
from console_world import BRAND, Site

from cli.main import main
from trace_service.replenishment.again import propose_again
from trace_service.store.connection import connect

STORE, GTIN = "S-CHENGDU-01", "09506000134352"
HEAD = "node,sku,reorder,maximum,daily_demand,managed\n"


@pytest.fixture
def table(tmp_path: Path, database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    return tmp_path / "lines.csv"


def load(table: Path, text: str, brand: str = BRAND) -> Result:
    table.write_text(HEAD + text, "utf-8")
    return CliRunner().invoke(main, ["replenish", "lines", "load", str(table), "--brand", brand])


def lines_of(database: TestDatabase) -> dict[str, tuple[int, int, str]]:
    with psycopg.connect(database.owner_dsn) as owner:
        rows = owner.execute("SELECT site, reorder, maximum, managed FROM trace.stock WHERE gtin = %s", [GTIN])
        return {site: (reorder, maximum, managed) for site, reorder, maximum, managed in rows}


def test_a_new_store_has_stock_and_an_order_once_it_is_counted(site: Site, table: Path, database: TestDatabase) -> None:
    assert site.world.proposal
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en)"
            " SELECT 'S-NEW', 'store', dealer, '新店', 'New store' FROM trace.site WHERE id = %s",
            [STORE],
        )
    # A spreadsheet takes the first zero from a code.
    answer = load(table, f"S-NEW,{GTIN.lstrip('0')},10,40,2,vendor\n")
    assert answer.exit_code == 0, answer.output
    assert "1 of 1 are new or changed" in answer.stderr
    assert lines_of(database)["S-NEW"] == (10, 40, "vendor")
    with connect(database.trace_dsn, "test") as connection:
        connection.execute("UPDATE trace.stock SET quantity = 3, certainty = 0.99 WHERE site = 'S-NEW'")
        assert load(table, f"S-NEW,{GTIN},12,40,2,vendor\n").exit_code == 0
        propose_again(connection)
    with psycopg.connect(database.owner_dsn) as owner:
        made = "SELECT kind, state FROM trace.proposal WHERE site = 'S-NEW' ORDER BY id"
        assert owner.execute(made).fetchall() == [("vmi", "open")]
        assert load(table, f"S-NEW,{GTIN},12,40,2,store\n").exit_code == 0
        with connect(database.trace_dsn, "test") as connection:
            propose_again(connection)
        assert owner.execute(made).fetchall() == [("vmi", "withdrawn"), ("order", "open")]
    assert "0 of 1 are new" in load(table, f"S-NEW,{GTIN},12,40,2,store\n").stderr
    shown = CliRunner().invoke(main, ["replenish", "lines", "list", "--brand", BRAND, "--json"])
    assert '{"node": "S-NEW", "sku": "09506000134352", "reorder": 12, "maximum": 40' in shown.stdout


def test_a_brand_with_many_stores_sets_and_changes_all_lines_by_one_table(
    site: Site, table: Path, database: TestDatabase
) -> None:
    stores = 12_000  # more than the database has locks for in one transaction
    assert site.world.proposal
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en) SELECT 'S-MANY-' || number, 'store', dealer,"
            " '店', 'Store' FROM trace.site, generate_series(1, %s) AS number WHERE id = %s",
            [stores, STORE],
        )
    for reorder in (10, 12):
        rows = "".join(f"S-MANY-{number},{GTIN},{reorder},40,2,\n" for number in range(1, stores + 1))
        assert f"{stores:,} of {stores:,} are new or changed" in load(table, rows).stderr
    assert sum(line == (12, 40, "store") for line in lines_of(database).values()) == stores


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            f"S-NOWHERE,{GTIN},1,2,,",
            f"LINES_REFUSED: not the brand's product, or not its dealer's site: S-NOWHERE {GTIN}",
        ),
        (f"{STORE},09506000199999,1,2,,", "not the brand's product"),
        (f"{STORE},{GTIN},5,2,,", "line 3, column maximum"),
        (f"{STORE},{GTIN},-1,2,,", "line 3, column reorder: -1 is out of range"),
        (f"{STORE},{GTIN},1,2,-1,", "line 3, column daily_demand: -1 is below 0"),
        (f"{STORE},{GTIN},1,2,1,us", "line 3, column managed: 'us' is neither store nor vendor"),
        (f"{STORE},9506000134376,1,3,,", f"{STORE} 09506000134376 stands there twice"),
    ],
)
def test_one_wrong_row_changes_nothing(site: Site, table: Path, database: TestDatabase, row: str, words: str) -> None:
    before = lines_of(database)
    assert before[STORE] != (1, 99, "store"), site
    answer = load(table, f"{STORE},09506000134376,1,99,,\n{row}\n")
    assert answer.exit_code == 1
    assert words in answer.output
    assert lines_of(database) == before


def test_a_brand_that_nobody_has_is_said(site: Site, table: Path) -> None:
    assert "no brand is called 'nobody'" in load(table, f"{STORE},{GTIN},1,2,,\n", "nobody").output
    table.write_text(f"node,sku,date,units\n{STORE},{GTIN},2026-09-01,2\n", "utf-8")
    for command in (["run"], ["load", str(table)]):
        answer = CliRunner().invoke(main, ["replenish", *command, "--brand", "nobody"])
        assert answer.exit_code == 1, site
        assert "no brand is called 'nobody'" in answer.output


def test_sales_of_what_no_store_has_are_named(site: Site, table: Path) -> None:
    table.write_text(
        f"node,sku,date,units\n{STORE},{GTIN.lstrip('0')},2026-09-01,2\nS-NOWHERE,{GTIN},2026-09-01,2\n"
        f"{STORE},{GTIN},2026-13-01,2\n",
        "utf-8",
    )
    answer = CliRunner().invoke(main, ["replenish", "load", str(table), "--brand", BRAND])
    assert answer.exit_code == 0, site
    assert "1 of 2 days taken over" in answer.stderr
    assert f"no lines at: S-NOWHERE {GTIN}" in answer.stderr
    assert "line 4, column date" in answer.stderr
