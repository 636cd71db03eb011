import base64
import json
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase

from contracts.gs1 import parse
from trace_service.cli.group import trace


class Run(Protocol):
    def __call__(self, *arguments: str, stdin: str = "") -> Result: ...


KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def run(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_OWNER_URL", database.owner_dsn)
    monkeypatch.setenv("TRACE_INGEST_PASSWORD", "ingest-of-tests")
    monkeypatch.setenv("TRACE_TRACE_PASSWORD", "trace-of-tests")
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", KEY)

    def invoke(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(trace, list(arguments), input=stdin)

    return invoke


def test_each_run_prints_new_codes_and_cases_for_the_same_registered_brand(
    database: TestDatabase, run: Run, tmp_path: Path
) -> None:
    jobs = []
    for name in ("first.json", "second.json"):
        result = run("demo", "--out", str(tmp_path / "var" / name))
        assert result.exit_code == 0, result.output
        jobs.append(json.loads((tmp_path / "var" / name).read_text("utf-8")))
    first, second = jobs
    assert (first["run"], second["run"]) == ("R0001", "R0002")
    codes = [parse(text).key for job in jobs for case in job["cases"] for text in (case["label"], *case["items"])]
    assert len(codes) == len(set(codes)) == 2 * 90 * 7
    with psycopg.connect(database.owner_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM trace.dealer").fetchone() == (18,)
        assert connection.execute("SELECT max(level) FROM trace.dealer").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM trace.territory").fetchone() == (17,)


def test_the_print_job_gives_one_dealer_enough_cases_to_divert(run: Run, tmp_path: Path) -> None:
    run("demo", "--out", str(tmp_path / "market.json"))
    job = json.loads((tmp_path / "market.json").read_text("utf-8"))
    counts = {order["to"]: sum(case["order"] == order["id"] for case in job["cases"]) for order in job["orders"]}
    assert counts["D-CHENGDU"] >= 24
    assert min(counts.values()) >= 12
    assert {dealer["id"] for dealer in job["dealers"]} == set(counts)
    assert all(len(case["items"]) == 6 for case in job["cases"])
    assert all(any(place["adcode"].startswith(d["adcodes"][0]) for place in job["places"]) for d in job["dealers"])


def test_a_dealers_subtree_is_the_range_between_its_order_keys(
    database: TestDatabase, run: Run, tmp_path: Path
) -> None:
    run("demo", "--out", str(tmp_path / "market.json"))
    with psycopg.connect(database.trace_dsn) as connection:
        below = connection.execute(
            "SELECT array_agg(d.id ORDER BY d.lft) FROM trace.dealer d JOIN trace.dealer top"
            " ON d.lft BETWEEN top.lft AND top.rgt WHERE top.id = 'D-SICHUAN'"
        ).fetchone()
    assert below == (["D-SICHUAN", "D-CHENGDU", "D-WUHOU", "D-WUHOU-DINING"],)


def test_migrate_can_be_run_again(run: Run) -> None:
    result = run("migrate")
    assert result.exit_code == 0, result.output
    assert "up to date" in result.output


def test_an_account_gets_an_argon2id_hash_and_a_short_password_is_refused(
    database: TestDatabase, run: Run, tmp_path: Path
) -> None:
    run("demo", "--out", str(tmp_path / "market.json"))
    refused = run("account", "add", "ann", "--brand", "qingyuan", stdin="short\n")
    assert refused.exit_code == 1
    assert "Choose 12 or more" in refused.output
    assert run("account", "add", "ann", "--brand", "qingyuan", stdin="long enough to pass\n").exit_code == 0
    written = ("account", "add", "bo", "--brand", "qingyuan", "--role", "inspector")  # as its help has it
    assert run(*written, stdin="long enough to pass\n").exit_code == 0
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute("SELECT login, role, password_hash FROM trace.account ORDER BY login").fetchall()
    assert [row[:2] for row in rows] == [("ann", "analyst"), ("bo", "inspector")]
    assert rows[0][2].startswith("$argon2id$")


def test_masters_of_another_key_encryption_key_are_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("demo", "--out", str(tmp_path / "market.json")).exit_code == 0
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", base64.b64encode(bytes([1] * 32)).decode())
    result = run("demo", "--out", str(tmp_path / "market.json"))
    assert result.exit_code == 1
    assert "TRACE_KEY_ENCRYPTION_KEY" in result.output


def test_a_missing_setting_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACE_DATABASE_URL")
    result = run("demo", "--out", str(tmp_path / "market.json"))
    assert result.exit_code == 1
    assert "TRACE_DATABASE_URL" in result.output
