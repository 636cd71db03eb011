"""A case that the engine raised, from its alert to closed by two persons with its evidence pack; and leads."""

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asking
import httpx
import pytest
from click.testing import CliRunner
from console_world import PASSWORD, Site
from engine_world import BRAND, MANAGER, SECOND

from cli.main import main
from trace_service.cases.days import run_day
from trace_service.cases.model import Policy
from trace_service.cases.outcomes import outcomes
from trace_service.cases.service import set_policy
from trace_service.cases.sync import policy_of
from trace_service.cases.verify import PackError, verify_pack
from trace_service.detection.cell import Cell
from trace_service.detection.observations import BENIGN_DAYS
from trace_service.store.connection import Connection, connect


@pytest.fixture(scope="module")
def site(engine_site: Site) -> Site:
    return engine_site


@pytest.fixture
def connection(site: Site) -> Iterator[Connection]:
    with connect(site.world.owner_dsn, "tests of engine cases") as connection:
        yield connection


@contextmanager
def signed_in(site: Site, login: str) -> Iterator[httpx.Client]:
    headers = {"Origin": site.url, "Accept-Language": "zh"}
    with asking.Client(base_url=site.url, headers=headers) as client:
        token = re.search(r'name="csrf" value="([^"]*)"', client.get("/login").text)
        fields = {"login": login, "password": PASSWORD, "csrf": token[1] if token else ""}
        assert client.post("/login", data=fields).status_code == 303
        yield client


@contextmanager
def program(site: Site) -> Iterator[httpx.Client]:
    answer = asking.post(f"{site.url}/api/v1/session", json={"login": MANAGER, "password": PASSWORD})
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    with asking.Client(base_url=f"{site.url}/api/v1", headers=headers) as client:
        yield client


def send(client: httpx.Client, path: str, **fields: str) -> int:
    page = client.get(path).text
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    version = re.search(r'name="version" value="(\d+)"', page)
    assert token is not None
    base = {"csrf": token[1]} | ({"version": version[1]} if version else {})
    return client.post(path, data=base | fields).status_code


def drips(connection: Connection) -> list[tuple[int, int]]:
    """Return alerts of flow, each of a case of its own: what one test does to an alert is in no other's pack."""
    rows = connection.execute(
        "SELECT min(alert.id), case_id FROM trace.alert JOIN trace.case_alert ON alert = alert.id"
        " WHERE alert.state <> 'closed' AND reason ->> 'code' IN ('drip', 'bulk') GROUP BY case_id ORDER BY 1"
    )
    return [(int(row[0]), int(row[1])) for row in rows]


def test_a_case_of_the_engine_is_closed_by_two_persons_and_its_pack_says_why(
    site: Site, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_policy(connection, BRAND, Policy(two_person_value=Decimal(0), benign_days=90), "test")
    alert, case = drips(connection)[0]
    with signed_in(site, MANAGER) as lin, signed_in(site, SECOND) as zhou:
        page = lin.get(f"/alerts/{alert}").text
        for said in (
            "考虑过的正常原因",
            "旅游、探亲、带货",
            "什么会改变判断",
            "预警自动撤回",
            "95% 区间",
            "与预警一致",
        ):
            assert said in page
        assert f"codefence case reproduce {case} --brand w" in page
        path = f"/cases/{case}"
        assert send(lin, path, action="take") == 303
        assert send(lin, path, action="close", outcome="tourist_or_gift", text="三位客人带走的") == 303
        assert "等另一位主管复核" in lin.get(path).text
        assert send(lin, path, action="confirm") == 409  # nobody is the second person to himself
        assert send(zhou, path, action="confirm") == 303
        assert connection.execute("SELECT outcome FROM trace.case_file WHERE id = %s", (case,)).fetchone() == (
            "tourist_or_gift",
        )
        pack = tmp_path / "case.zip"
        pack.write_bytes(lin.get(f"{path}/pack.zip").content)
    # The engine hears of it, and for how long it holds.
    row = connection.execute("SELECT body FROM trace.observation_inbox WHERE kind = 'reviewed'").fetchone()
    assert row is not None
    assert (row.body["confirmed"], row.body["benign_days"]) == (False, 90)
    assert verify_pack(pack).case == case
    with zipfile.ZipFile(pack) as opened:
        told = json.loads(opened.read("explanations.json"))
        stored = {each["id"]: each for each in json.loads(opened.read("alerts.json"))}
    assert told[0]["agrees"]
    assert {each["code"] for each in told[0]["changes"]} >= {"cases_out", "paper", "surge"}
    assert stored[alert]["material"]["parts"]
    monkeypatch.setenv("TRACE_DATABASE_URL", site.world.settings.database_url.get_secret_value())
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", site.world.settings.key_encryption_key.get_secret_value())
    result = CliRunner().invoke(main, ["case", "reproduce", str(case), "--brand", BRAND, "--json"])
    assert result.exit_code == 0, result.output
    figures = [json.loads(line) for line in result.stdout.splitlines()]
    assert {each["name"] for each in figures} >= {"nats", "threshold", "probability", "expected"}
    assert all(each["agrees"] for each in figures)


def test_a_pack_whose_figures_do_not_follow_is_refused(site: Site, connection: Connection, tmp_path: Path) -> None:
    *others, (alert, case) = drips(connection)
    assert len(others) >= 3, "other tests take packs of the first three"
    stored = connection.execute(
        "SELECT reason #>> '{parameters,nats}' FROM trace.alert WHERE id = %s", (alert,)
    ).fetchone()
    assert stored is not None
    alter = "UPDATE trace.alert SET reason = jsonb_set(reason, '{parameters,nats}', %s) WHERE id = %s"
    connection.execute(alter, ("40", alert))
    with signed_in(site, MANAGER) as lin:
        content = lin.get(f"/cases/{case}/pack.zip").content
        assert "不一致" in lin.get(f"/alerts/{alert}").text
    connection.execute(alter, (stored[0], alert))  # its case may hold an alert of another test
    pack = tmp_path / "altered.zip"
    pack.write_bytes(content)
    with pytest.raises(PackError, match="nats of alert"):
        verify_pack(pack)


def test_forged_and_copied_codes_accuse_no_dealer_and_show_where_which_phone_was(
    site: Site, connection: Connection
) -> None:
    rows = connection.execute(
        "SELECT DISTINCT ON (kind) kind, id, case_id FROM trace.alert JOIN trace.case_alert ON alert = alert.id"
        " WHERE kind IN ('forged', 'clone') ORDER BY kind, scans DESC"
    ).fetchall()
    found = {row.kind: row for row in rows}
    with signed_in(site, MANAGER) as lin:
        clone, forged = (lin.get(f"/alerts/{found[kind].id}").text for kind in ("clone", "forged"))
        for page in (clone, forged):
            assert "手机 1" in page
            assert "按网络地址" in page
            assert "授权区域" not in page.partition("<main")[2].partition("</ul>")[0]
        assert "流转记录" in clone
        assert "流转记录" not in forged, "what nobody issued was never in custody"
        drawn = lin.get(f"/api/map/alerts/{found['clone'].id}.geojson").json()["features"]
        assert {each["properties"]["role"] for each in drawn} == {"scan"}
        assert "<h1>伪造或复制的码" in lin.get(f"/cases/{found['clone'].case_id}").text


def test_pages_of_an_alert_that_another_version_kept_say_so_and_its_pack_holds(
    site: Site, connection: Connection, tmp_path: Path
) -> None:
    (newer, case), (damaged, _) = drips(connection)[2:4]
    keep = "UPDATE trace.alert SET material = %s WHERE id = %s"
    connection.execute(keep, ('{"form": 99, "cells": "in some other way"}', newer))
    with signed_in(site, MANAGER) as lin, program(site) as api:
        for path in (f"/alerts/{newer}", f"/cases/{case}"):
            page = lin.get(path)
            assert page.status_code == 200
            assert "由更新版本的程序保存" in page.text
        assert "可信度" in lin.get(f"/alerts/{newer}").text, "what was stated stays"
        said = api.get(f"/alerts/{newer}/explanation").json()["explanation"]
        assert (said["kept"], said["recomputed"], said["changes"]) == ("newer", None, [])
        pack = tmp_path / "newer.zip"
        pack.write_bytes(lin.get(f"/cases/{case}/pack.zip").content)
        assert newer in verify_pack(pack).unchecked
        connection.execute(keep, ('{"rule": "city", "parts": "gone"}', damaged))
        assert "可能已损坏或被改动" in lin.get(f"/alerts/{damaged}").text
        assert api.get(f"/alerts/{damaged}/explanation").json()["explanation"]["kept"] == "damaged"


def test_what_an_alert_says_is_answered_over_http_without_positions(site: Site, connection: Connection) -> None:
    alert, _ = drips(connection)[1]
    with program(site) as api:
        said = api.get(f"/alerts/{alert}/explanation").json()["explanation"]
        assert said["agrees"]
        assert {each["code"] for each in said["considered"]} >= {"travel", "surge", "one_buyer", "late_paper", "outage"}
        assert "material" not in api.get(f"/alerts/{alert}").json()["alert"]
        assert api.get("/alerts/999999/explanation").status_code == 404


def test_leads_are_listed_drawn_with_the_chance_stored_and_reviewed_into_outcomes(
    site: Site, connection: Connection
) -> None:
    with program(site) as api:
        kept = api.get("/leads").json()["leads"]
        assert kept, "the world has no lead"
        assert all(each["ended"] is None for each in kept)
        figures = {"nats": 5.1, "threshold": 7.0, "features": [1, 5, 0, 5, 0, 0]}
        reason = json.dumps({"code": "drip", "parameters": figures, "versions": {"calibration": "1"}})
        for number in range(40):  # just below the threshold, each somewhere else
            connection.execute(
                "INSERT INTO trace.lead (brand, claim, kind, near, city, cases, strength, probability, reason)"
                " VALUES ('w', %s, 'drip', true, '330100', 3, 0.73, 0.4, %s)",
                (f"flow/x/{number}", reason),
            )
        near = api.get("/leads", params={"near": "true"}).json()["leads"]
        assert len(near) >= 40
        assert [each["strength"] for each in near] == sorted((each["strength"] for each in near), reverse=True)
        policy = policy_of(connection, BRAND).model_copy(update={"daily_budget": 40, "audit_share": 0.25})
        now = datetime.now(UTC)
        drawn: list[int] = []
        for day in range(10):
            chosen = run_day(connection, BRAND, policy, date(2026, 3, 1) + timedelta(days=day), now)
            drawn += [each.lead for each in chosen if each.lead is not None]
            assert run_day(connection, BRAND, policy, date(2026, 3, 1) + timedelta(days=day), now) == []
        rows = connection.execute("SELECT lead, probability FROM trace.lead_selection ORDER BY day").fetchall()
        ours = connection.execute("SELECT id FROM trace.lead WHERE claim LIKE 'flow/x/%'").fetchall()
        mine = [each for each in dict.fromkeys(drawn) if each in {row.id for row in ours}]
        assert sorted(drawn) == sorted(row.lead for row in rows)
        assert 40 <= len(drawn) <= 160  # a quarter of forty a day, over ten days
        assert {row.probability for row in rows} == {10 / len(near)}
        assert (
            api.post(f"/leads/{mine[0]}/review", json={"outcome": "confirmed", "note": "货架上有"}).status_code == 200
        )
        assert api.post(f"/leads/{mine[0]}/review", json={"outcome": "confirmed"}).status_code == 409
        (learned,) = [each for each in outcomes(connection, BRAND) if each["case"] == -mine[0]]
        assert learned["confirmed"]
        assert learned["selection_probability"] == pytest.approx(10 / len(near))
        assert learned["alerts"][0]["reason"]["parameters"]["features"] == [1, 5, 0, 5, 0, 0]
    with signed_in(site, MANAGER) as lin:
        assert "线索不是指控" in lin.get("/leads").text
        page = lin.get(f"/leads/{mine[-1]}").text
        assert "不足以要求经销商解释" in page
        assert send(lin, f"/leads/{mine[-1]}", outcome="tourist_or_gift", note="探亲带的") == 303


def test_a_benign_answer_holds_as_long_as_the_brand_says_and_no_longer() -> None:
    cell = Cell("d", 0)
    cell.settle(confirmed=False, benign_until=BENIGN_DAYS * 86_400_000)
    assert cell.allowed(BENIGN_DAYS * 86_400_000 - 1) == 3.0
    assert cell.allowed(BENIGN_DAYS * 86_400_000) == 1.0
