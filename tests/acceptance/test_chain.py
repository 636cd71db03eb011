"""The whole chain on real parts: label photos and shelf weights in, an alert and a proposal out over HTTP."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running_system import CODEFENCE, System, start, wait_for

from contracts.gs1 import parse

pytestmark = pytest.mark.timeout(1200)

PARTS = (
    "station-pack",
    "broker",
    "worker",
    "shelf-01",
    "ingest",
    "postgres",
    "station-ship",
    "market",
    "shelf-controllers",
    "console",
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # As root the database lies where its account may reach it, outside the test's own folder.
    link = tmp_path / "var" / "postgres"
    if link.is_symlink():
        shutil.rmtree(link.resolve())


def test_killing_every_process_once_changes_nothing_in_the_end(home: Path) -> None:
    system = start(home / "var")
    try:
        for part in PARTS:
            system.kill(part)
        _wait_until_told(system)
        wait_for(lambda: system.get("/proposals")["proposals"], "a proposal")
        _goods_are_where_the_truth_says(system)
        _every_message_is_stored_once(system)
        _one_alert_names_the_diverter(system)
        _proposals_rest_on_messages(system)
    finally:
        code = system.stop()
    assert code == 0, (home / "up.log").read_text("utf-8")


def test_an_honest_market_raises_no_alert_and_a_stopped_one_resumes(home: Path) -> None:
    system = start(home / "var", "--no-attack")
    try:
        _wait_until_told(system)
        wait_for(lambda: system.get("/proposals")["proposals"], "a proposal")
        foreign = system.rows("SELECT count(*) FROM trace.verdict WHERE place = 'outside'")[0][0]
        assert foreign > 10, "an honest market has travellers"
        assert system.get("/alerts")["alerts"] == []
        proposals = {proposal["id"] for proposal in system.get("/proposals")["proposals"]}
    finally:
        assert system.stop() == 0
    system = start(home / "var", "--no-sim")
    try:
        assert proposals <= {proposal["id"] for proposal in system.get("/proposals")["proposals"]}
        second = subprocess.run(
            [CODEFENCE, "up", "--var", home / "var", "--port", "1"], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "already running" in second.stderr
    finally:
        assert system.stop() == 0


def test_a_port_in_use_is_named_with_a_remedy(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = subprocess.run(
            [CODEFENCE, "up", "--var", home / "var", "--port", port], capture_output=True, text=True, check=False
        )
    assert found.returncode == 1
    assert f"port {port}" in found.stderr
    assert "--port" in found.stderr


def _wait_until_told(system: System) -> None:
    """Wait until the stations are through with the print job, consumers have scanned, and nothing waits."""
    cases = len(system.world("market.json")["cases"])
    wait_for(lambda: system.rows("SELECT count(*) FROM trace.binding")[0][0] >= cases, "all cases to be shipped")
    wait_for(
        lambda: system.rows("SELECT count(*) FROM trace.verdict WHERE activity = 'consumer'")[0][0] >= 130,
        "consumers to scan",
    )
    wait_for(lambda: system.rows("SELECT count(*) FROM landing.work")[0][0] == 0, "the worker to catch up")


def _goods_are_where_the_truth_says(system: System) -> None:
    market = system.world("market.json")
    recipients = {order["id"]: order["to"] for order in market["orders"]}
    bound = {(parse(case["label"]).key, recipients[case["order"]]) for case in market["cases"]}
    packed = {(parse(item).key, parse(case["label"]).key) for case in market["cases"] for item in case["items"]}
    assert set(system.rows("SELECT unit, dealer FROM trace.binding WHERE valid_to IS NULL")) == bound
    assert set(system.rows("SELECT child, parent FROM trace.containment WHERE valid_to IS NULL")) == packed
    assert system.rows("SELECT reason, detail FROM trace.quarantine") == []


def _every_message_is_stored_once(system: System) -> None:
    assert system.rows("SELECT reason, detail FROM landing.dead_letter") == []
    balance = system.rows(_BALANCE)
    assert len(balance) > len(PARTS) / 2
    assert [row for row in balance if row[2] != row[3]] == []
    # A photo that was read twice because its station died in between is one scan all the same.
    doubled = "SELECT code, activity FROM landing.scan WHERE device LIKE 'station-%' GROUP BY 1, 2 HAVING count(*) > 1"
    assert system.rows(doubled) == []
    lacking = (
        "SELECT s.device, s.seq FROM landing.scan s LEFT JOIN trace.verdict v USING (device, boot, seq)"
        " LEFT JOIN landing.queued w USING (device, boot, seq) WHERE v.device IS NULL AND w.device IS NULL"
    )
    assert system.rows(lacking) == []


# One statement, since events go on arriving: for every device and start, what is stored against what was taken in.
_BALANCE = """
    WITH stored AS (
        SELECT device, boot, count(*) FROM (
            SELECT device, boot FROM landing.scan UNION ALL SELECT device, boot FROM landing.stock UNION ALL
            SELECT device, boot FROM landing.environment UNION ALL SELECT device, boot FROM landing.status
        ) AS events GROUP BY 1, 2
    ), received AS (
        SELECT device, boot, sum(upper(part) - lower(part))::bigint AS count
        FROM landing.received, unnest(ranges) AS part GROUP BY 1, 2
    )
    SELECT device, boot, stored.count, received.count FROM stored FULL JOIN received USING (device, boot)
"""


def _one_alert_names_the_diverter(system: System) -> None:
    diversion = system.world("truth.json")["attacks"][0]
    wait_for(lambda: system.get("/alerts")["alerts"], "the alert")
    alerts = system.get("/alerts")["alerts"]
    assert [(alert["dealer"], alert["city"]) for alert in alerts] == [
        (diversion["dealer"], diversion["destinations"][0]["adcode"])
    ]
    wait_for(lambda: len(_cases_of(_detail(system, alerts))) >= 12, "the alert to rest on what was scanned")
    detail = _detail(system, alerts)
    diverted = {f"/00/{case}" for case in diversion["cases"]}
    cases = _cases_of(detail)
    assert cases <= diverted
    journeys = {
        journey["case_unit"]: [event["biz_step"] for event in journey["events"]] for journey in detail["custody"]
    }
    assert all(journeys[case][:2] == ["packing", "shipping"] for case in cases)
    for scan in detail["evidence"]:
        traced = system.get(f"/scans/{scan['device']}/{scan['boot']}/{scan['seq']}")
        assert traced["topic"]["topic"].startswith("v1/market/p")
        assert traced["scan"]["received_at"]


def _detail(system: System, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    detail: dict[str, Any] = system.get(f"/alerts/{alerts[0]['id']}")
    return detail


def _cases_of(detail: dict[str, Any]) -> set[str]:
    return {scan["case_unit"] for scan in detail["evidence"]}


def _proposals_rest_on_messages(system: System) -> None:
    orphans = (
        "SELECT p.id FROM trace.proposal p LEFT JOIN landing.stock s USING (device, boot, seq) WHERE s.device IS NULL"
    )
    assert system.rows(orphans) == []
