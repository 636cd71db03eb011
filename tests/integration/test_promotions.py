"""Promotions entered by program, file and command, and what the nightly run makes of them."""

import base64
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase
from console_world import BRAND, Site, partner

from cli.main import main
from trace_service.replenishment.night.runs import run
from trace_service.store.connection import connect

STORE, GTIN = "S-CHENGDU-01", "09506000134352"
FROM, TO = date(2026, 9, 14), date(2026, 9, 20)


@pytest.fixture
def erp(site: Site) -> Iterator[httpx.Client]:
    with partner(site, "replenish", "/replenishment") as client:
        yield client


def planned(**more: object) -> dict[str, object]:
    return {"gtin": GTIN, "from": FROM.isoformat(), "to": TO.isoformat(), "name": "fair", **more}


def test_a_program_plans_and_cancels_and_the_plan_of_thirty_days_follows(
    erp: httpx.Client, database: TestDatabase
) -> None:
    body = {"promotions": [planned(sites=[STORE], uplift=3.0)]}
    assert erp.post("/promotions", json=body).json() == {"planned": 1}
    assert erp.post("/promotions", json=body).json() == {"planned": 0}
    (standing,) = erp.get("/promotions", params={"since": "2026-09-01"}).json()["promotions"]
    assert (standing["sites"], standing["uplift"], standing["planned_by"]) == ([STORE], 3.0, "api:erp")
    random = Random(1)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("UPDATE trace.stock SET quantity = 40, certainty = 0.95, maximum = 300 WHERE site = %s", (STORE,))
        for back in range(1, 150):
            owner.execute(
                "INSERT INTO trace.demand_day (brand, site, gtin, day, units, source)"
                " VALUES (%s, %s, %s, %s, %s, 'file')",
                (BRAND, STORE, GTIN, date(2026, 9, 2) - timedelta(days=back), random.randint(2, 8)),
            )
    nightly(database)
    answer = erp.get("/plan", params={"site": STORE}).json()
    assert "fair" in {each["occasion"] for each in answer["orders"]}
    with_it = sum(each["quantity"] for each in answer["orders"])
    assert {"before_mid_autumn", "mid_autumn"} <= {each["name"] for each in answer["coming"]}
    assert all(0.5 < each["factor"] < 2 for each in answer["coming"])
    assert erp.delete(f"/promotions/{standing['id']}").status_code == 204
    assert erp.delete(f"/promotions/{standing['id']}").status_code == 404
    nightly(database)
    answer = erp.get("/plan", params={"site": STORE}).json()
    assert "fair" not in {each["occasion"] for each in answer["orders"]}
    assert with_it - sum(each["quantity"] for each in answer["orders"]) > 40


def nightly(database: TestDatabase) -> None:
    with connect(database.trace_dsn, "night") as connection:
        assert run(connection, BRAND, datetime(2026, 9, 1, 20, tzinfo=UTC), 0.95) is not None


WRONG: tuple[dict[str, object], ...] = (
    {"gtin": "04012345000009"}, {"sites": ["S-NOWHERE"]}, {"uplift": 50}, {"to": "2026-09-01"}, {"gtin": "7"},
    {"to": "2028-09-01"}, {"name": "x" * 101}, {"price": 3},
    {"from": "9999-12-31", "to": "9999-12-30"}, {"from": "0001-01-01", "to": "9999-12-31"}, {"name": "a\0b"},
)  # fmt: skip


def test_what_makes_no_sense_is_refused_with_a_code_and_nothing_is_planned(erp: httpx.Client) -> None:
    for wrong in WRONG:
        answer = erp.post("/promotions", json={"promotions": [planned(), planned() | wrong]})
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PARAMETER"), wrong
    assert erp.get("/promotions", params={"since": "2026-01-01"}).json() == {"promotions": []}


def test_a_promotion_at_the_end_of_all_days_stops_no_nightly_run(erp: httpx.Client, database: TestDatabase) -> None:
    body = {"promotions": [planned() | {"from": "9999-12-30", "to": "9999-12-31"}]}
    assert erp.post("/promotions", json=body).json() == {"planned": 1}
    nightly(database)


def promotion(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["replenish", "promotion", command, *arguments, "--brand", BRAND])


@pytest.mark.usefixtures("site")
def test_a_file_is_taken_over_whole_or_not_at_all(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", base64.b64encode(bytes(32)).decode())
    table = tmp_path / "promotions.csv"
    table.write_text(f"sku,from,to,nodes,uplift,name\n{GTIN},2026-09-14,2026-09-20,{STORE},1.8,中秋\n", "utf-8")
    command = ("load", str(table))
    assert promotion(*command).stderr == "1 of 1 planned, the others stand already\n"
    assert promotion(*command).stderr == "0 of 1 planned, the others stand already\n"
    table.write_text(f"sku,from,to\n{GTIN},2026-10-01,2026-10-03\n{GTIN},2026-10-01,soon\n", "utf-8")
    refused = promotion(*command)
    assert refused.exit_code == 1
    assert "line 3, column to" in refused.stderr
    table.write_text(f"sku,from,to\n{GTIN},2026-10-01,2026-10-03\n04012345000009,2026-10-01,2026-10-03\n", "utf-8")
    assert "04012345000009" in promotion(*command).stderr
    listed = promotion("list", "--since", "2026-01-01", "--json").stdout
    assert listed.count("\n") == 1
    assert '"name": "中秋"' in listed
    for wrong, why in (
        (f"sku,from,to,name\n{GTIN},2026-10-01,2026-10-03,".encode() + b"\xff\xff\n", "is no text"),
        (f"sku,from,to,name\n{GTIN},2026-10-01,2026-10-03,{'x' * 200_000}\n".encode(), "field larger"),
        (f"sku,from,to,name\n{GTIN},2026-10-01,2026-10-03,{'x' * 101}\n".encode(), "too long"),
        (f"sku,from,to,name\n{GTIN},2026-10-01,2026-10-03,a\x01b\n".encode(), "no text"),
        (f"sku,from,to\n{GTIN},9999-12-31,9999-12-30\n".encode(), "a day to a year"),
    ):
        table.write_bytes(wrong)
        refused = promotion(*command)
        assert (refused.exit_code, why in refused.stderr) == (1, True), (why, refused.stderr)
