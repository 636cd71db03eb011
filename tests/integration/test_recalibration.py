"""Decided cases refit their brand's calibration by themselves; what is adopted judges its alerts from then on."""

import base64
import json
import random
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from psycopg.types.json import Jsonb

from cli.main import main
from trace_service.cases.recalibration import current, recalibrate_due
from trace_service.detection.calibration import Calibration, Evidence, features
from trace_service.store.connection import Connection, connect

SHIPPED = Calibration()


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.owner_dsn, "tests of the calibration") as connection:
        connection.execute("INSERT INTO trace.brand VALUES ('w', '界', 'World'), ('v', '别', 'Other')")
        connection.execute(
            "INSERT INTO trace.dealer (id, brand, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES ('D', 'w', 'D', 'D', 'city', 1, 1, 2)"
        )
        yield connection


def decide(
    connection: Connection, cases: int, confirmed: float, version: str = SHIPPED.version, code: str = "drip"
) -> None:
    """Close cases with one alert each, of which a share was confirmed whatever the evidence."""
    draw = random.Random(cases)
    for number in range(cases):
        nats = draw.uniform(7, 14)
        inputs = features(Evidence(drip=nats, bulk=nats - 1, spread=False, home=0.0))
        parameters = {"features": inputs} if code == "drip" else {}
        reason = {"code": code, "parameters": parameters, "versions": {"calibration": version}}
        outcome = "confirmed" if draw.random() < confirmed else "tourist_or_gift"
        connection.execute(
            "WITH alert AS (INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans,"
            "   reason, probability, claim, number) VALUES ('w', 'drip', 'D', '110100', now(), now(), 4, 4, %(reason)s,"
            "   .9, %(claim)s, %(claim)s) RETURNING id),"
            " file AS (INSERT INTO trace.case_file (brand, kind, dealer, state, outcome, closed_at)"
            "   VALUES ('w', 'destination', 'D', 'closed', %(outcome)s, clock_timestamp()) RETURNING id)"
            " INSERT INTO trace.case_alert (alert, case_id) SELECT alert.id, file.id FROM alert, file",
            {"reason": Jsonb(reason), "claim": f"{version}/{code}/{cases}/{number}", "outcome": outcome},
        )


def test_outcomes_of_a_night_make_a_version_that_only_their_brand_uses(
    connection: Connection, database: TestDatabase
) -> None:
    decide(connection, 20, 0.3)
    with connect(database.trace_dsn, "the service") as service:
        assert recalibrate_due(service) == []
        assert current(service, "w").version == SHIPPED.version
        decide(connection, 150, 0.3)
        assert recalibrate_due(service) == [], "a brand is refitted once a day"
        connection.execute("UPDATE trace.calibration SET recorded_at = recorded_at - interval '1 day'")
        assert recalibrate_due(service) == ["w"]
        fresh = current(service, "w")
        assert current(service, "v").version == SHIPPED.version
    assert fresh.version == f"{SHIPPED.version}.2"
    inputs = features(Evidence(drip=10.0, bulk=9.0, spread=False, home=0.0))
    assert SHIPPED.claim.probability(inputs) > 0.6
    assert fresh.claim.probability(inputs) == pytest.approx(0.3, abs=0.15)
    decisions = connection.execute(
        "SELECT decision, cases, confirmed IS NOT NULL FROM trace.calibration ORDER BY number"
    ).fetchall()
    assert [tuple(row) for row in decisions] == [("few", 20, True), ("adopted", 170, True)]


def test_figures_of_another_version_teach_nothing_and_the_command_says_what_came_of_it(
    connection: Connection, database: TestDatabase
) -> None:
    environment = {
        "TRACE_DATABASE_URL": database.trace_dsn,
        "TRACE_KEY_ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
    }
    none = CliRunner().invoke(main, ["case", "recalibrate", "--brand", "w", "--json"], env=environment)
    assert (none.exit_code, none.stdout) == (0, "")
    decide(connection, 60, 0.3, version="0")
    decide(connection, 45, 0.3, version=f"{SHIPPED.version}.7")
    told = CliRunner().invoke(main, ["case", "recalibrate", "--brand", "w", "--json"], env=environment)
    row = json.loads(told.stdout)
    assert (row["decision"], row["cases"], row["version"]) == ("adopted", 45, f"{SHIPPED.version}.1")
    assert row["loss_after"] < row["loss_before"]


def test_outcomes_of_alerts_on_papers_make_their_own_rate(connection: Connection, database: TestDatabase) -> None:
    decide(connection, 24, 0.3, code="rebind")
    with connect(database.trace_dsn, "the service") as service:
        assert recalibrate_due(service) == ["w"]
        fresh = current(service, "w")
    assert fresh.version == f"{SHIPPED.version}.1"
    assert (fresh.claim, fresh.cell) == (SHIPPED.claim, SHIPPED.cell), "what was not decided on stays as it was shipped"
    assert fresh.on_record["rebind"][0] == pytest.approx(0.45, abs=0.15)
    assert fresh.on_record["forged"] == SHIPPED.on_record["forged"]


def test_a_rate_alone_leaves_the_models_in_force_as_they_are(connection: Connection, database: TestDatabase) -> None:
    decide(connection, 150, 0.3)
    with connect(database.trace_dsn, "the service") as service:
        assert recalibrate_due(service) == ["w"]
        before = current(service, "w")
        # Of these, nothing speaks of the models any more.
        connection.execute("UPDATE trace.alert SET reason = jsonb_set(reason, '{versions,calibration}', '\"0\"')")
        connection.execute("UPDATE trace.calibration SET recorded_at = recorded_at - interval '1 day'")
        decide(connection, 24, 0.3, code="rebind")
        assert recalibrate_due(service) == ["w"]
        after = current(service, "w")
    assert before.claim != SHIPPED.claim
    assert (after.claim, after.cell) == (before.claim, before.cell)
    assert (after.version, after.on_record["rebind"]) != (before.version, before.on_record["rebind"])
