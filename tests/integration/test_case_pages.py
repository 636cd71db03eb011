"""A case walked from its alert to its end in the console's pages, by people with different roles."""

import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asking
import httpx
import psycopg
import pytest
from case_forms import browser, photo, send, token
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import BRAND, PASSWORD, Site, add_case, add_person, make_world, running

from cli.main import main
from trace_service.cases.days import run_day
from trace_service.cases.model import Policy
from trace_service.cases.service import set_policy
from trace_service.cases.sync import policy_of
from trace_service.cases.verify import PackError, verify_pack
from trace_service.keys import KeyWrapper
from trace_service.signing import signing_key
from trace_service.store.connection import connect
from trace_service.web.headers import CONTENT_SECURITY_POLICY

ROLES = {"wang": "manager", "chen": "manager", "lin": "analyst", "zhao": "inspector", "he": "viewer"}


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn)
    for login, role in ROLES.items():
        add_person(world, login, role)
    with running(world) as site:
        yield site


@pytest.fixture
def number(site: Site) -> int:
    with connect(site.world.owner_dsn, "test") as connection:
        set_policy(connection, BRAND, Policy(two_person_value=Decimal(1000)), "test")
    return add_case(site.world)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ({"code": "clone", "parameters": {"devices": 1, "cities": ["110000"]}}, ["phone", "city", "scan"]),
        ({"code": "forged", "parameters": {"codes": 1}}, ["code", "scan"]),
        ({"code": "drip", "parameters": {}}, ["case", "scan"]),
    ],
)
def test_one_of_a_thing_is_told_in_the_singular(site: Site, reason: dict[str, object], words: list[str]) -> None:
    with connect(site.world.owner_dsn, "test") as connection:
        query = "UPDATE trace.alert SET cases = 1, scans = 1, reason = %s WHERE id = %s"
        connection.execute(query, (json.dumps(reason), site.world.alert))
    with browser(site, "lin") as client:
        client.get("/language/en")
        page = client.get(f"/alerts/{site.world.alert}").text
    assert re.findall(r"<dd>1</dd><dt>([^<]+)</dt>", page) == words


def test_a_page_counts_every_case_and_says_how_many_it_does_not_draw(site: Site) -> None:
    named = [f"/00/9{place:017d}" for place in range(250)]
    with connect(site.world.owner_dsn, "test") as connection:
        contributions = json.dumps([{"case": case, "nats": 1.0} for case in named])
        connection.execute(
            "UPDATE trace.alert SET reason = jsonb_set(reason::jsonb, '{parameters,contributions}', %s) WHERE id = %s",
            (contributions, site.world.alert),
        )
        connection.execute(
            "INSERT INTO trace.custody_event (brand, unit, biz_step, site, occurred_at, device, boot, seq)"
            " SELECT %s, unit, 'packing', 'factory', now(), 'station-pack', gen_random_uuid(), 1"
            " FROM unnest(%s::text[]) AS unit",
            (BRAND, named),
        )
    number = add_case(site.world)
    cases = len(site.world.cases) + len(named)
    with browser(site, "lin") as client:
        for path in (f"/alerts/{site.world.alert}", f"/cases/{number}"):
            page = client.get(path).text
            assert page.count('class="journey"') == 200
            assert f"{cases} 箱</span>" in page
            assert f"还有 {cases - 200} 箱没有画出" in page
            assert f"{cases} 箱中有" in page, "steps are missed of all cases"
        client.get("/language/en")
        assert f"{cases - 200} further cases are not drawn" in client.get(f"/cases/{number}").text


def test_a_case_is_walked_from_its_alert_to_closed_by_two_persons_with_its_evidence_pack(
    site: Site, number: int, tmp_path: Path
) -> None:
    path = f"/cases/{number}"
    with browser(site, "lin") as lin, browser(site, "zhao") as zhao, browser(site, "wang") as wang:
        assert f'href="{path}"' in lin.get("/cases").text
        assert f'href="{path}"' in lin.get(f"/alerts/{site.world.alert}").text
        assert send(lin, path, "take").status_code == 303
        page = lin.get(path).text
        assert "lin" in page
        for word in ("考虑过的正常原因", "14 次扫码中有 14 次", "什么会改变判断", "流转记录"):
            assert word in page
        # Somebody on the spot finds a bottle.
        due = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
        order = {
            "csrf": token(page),
            "kind": "visit",
            "instructions": "看看货架",
            "place": "拱墅区",
            "assignee": "zhao",
            "due": due,
        }
        refused = lin.post(f"{path}/checks", data=order | {"kind": "test_purchase"})
        assert refused.status_code == 422, "a test purchase names its listing"
        assert lin.post(f"{path}/checks", data=order).status_code == 303
        check = re.search(r'href="(/checks/\d+)"', zhao.get("/checks").text)
        assert check is not None
        form = zhao.get(check[1]).text
        with connect(site.world.owner_dsn, "test") as connection:
            code = connection.execute("SELECT code FROM trace.verdict LIMIT 1").fetchone()
        assert code is not None
        fields = {
            "csrf": token(form),
            "result": "found",
            "code": code[0],
            "note": "三瓶",
            "lat": "30.27",
            "lon": "120.16",
        }
        without = zhao.post(f"/uploads{check[1]}", data={**fields, "code": ""}, files={"files": ("a.jpg", photo())})
        assert without.status_code == 422
        assert "还缺扫到的码" in without.text
        sent = zhao.post(f"/uploads{check[1]}", data=fields, files={"files": ("货架.jpg", photo(), "image/jpeg")})
        assert sent.status_code == 303, sent.text
        # The dealer is asked and answers, with a paper.
        assert send(lin, path, "ask_dealer", text="这批货去了哪里？", deadline=due).status_code == 303
        assert "等经销商答复" in lin.get(path).text
        assert send(lin, path, "record_statement", text="卖给了一家物流公司。").status_code == 303
        upload = {"files": ("statement.pdf", b"%PDF-1.7\n1 0 obj\n", "application/pdf")}
        assert (
            lin.post(f"/uploads/cases/{number}", data={"csrf": token(lin.get(path).text)}, files=upload).status_code
            == 303
        )
        # One proposes, and only another closes.
        assert send(lin, path, "close", outcome="confirmed", text="三家店都有").status_code == 303
        assert "待复核" in lin.get(path).text
        assert send(lin, path, "confirm").status_code == 403
        assert send(wang, path, "confirm").status_code == 303
        page = wang.get(path).text
        assert "已关闭" in page
        assert "确认窜货" in page
        answer = wang.get(f"{path}/pack.zip")
        assert answer.headers["content-type"] == "application/zip"
    _check_pack(site, number, answer.content, tmp_path)


def _check_pack(site: Site, number: int, content: bytes, folder: Path) -> None:
    pack = folder / "case.zip"
    pack.write_bytes(content)
    with connect(site.world.owner_dsn, "test") as connection:
        key = signing_key(connection, KeyWrapper(site.world.settings.key_encryption_key)).public
    found = verify_pack(pack, key)
    assert (found.case, found.brand, found.pinned) == (number, BRAND, True)
    assert found.entries >= 8
    done = CliRunner().invoke(main, ["case", "verify", str(pack), "--json"])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(pack) as opened:
        names = set(opened.namelist())
        evidence = opened.read("evidence.json").decode()
    assert {"alerts.json", "custody.json", "territory.json", "versions.json", "history.json", "checks.json"} <= names
    assert sum(name.startswith("attachments/") for name in names) == 2
    assert evidence.count('"as_evidence"') == 14
    for altered in _altered(pack, folder):
        with pytest.raises(PackError):
            verify_pack(altered, key)
        assert CliRunner().invoke(main, ["case", "verify", str(altered)]).exit_code == 1
    with pytest.raises(PackError):
        verify_pack(pack, bytes(31) + b"\1")


def _altered(pack: Path, folder: Path) -> Iterator[Path]:
    """Yield the pack with one file changed, one missing, and one added; and half of it."""
    with zipfile.ZipFile(pack) as opened:
        parts = {name: opened.read(name) for name in opened.namelist()}
    evil = {
        "changed": {**parts, "case.json": parts["case.json"].replace(b"confirmed", b"unresolved")},
        "missing": {name: content for name, content in parts.items() if name != "custody.json"},
        "added": {**parts, "extra.txt": b"x"},
        "unsigned": {**parts, "manifest.json": parts["manifest.json"].replace(b'"case"', b'"case" ')},
    }
    for name, files in evil.items():
        target = folder / f"{name}.zip"
        with zipfile.ZipFile(target, "w") as made:
            for path, content in files.items():
                made.writestr(path, content)
        yield target
    half = folder / "half.zip"
    half.write_bytes(pack.read_bytes()[: pack.stat().st_size // 2])
    yield half


@pytest.mark.parametrize("login", ["he", "zhao"])
def test_who_may_only_look_is_offered_nothing_and_changes_nothing(site: Site, number: int, login: str) -> None:
    path = f"/cases/{number}"
    with browser(site, login) as client:
        page = client.get(path).text
        assert 'name="action"' not in page
        sent = {"csrf": token(page), "version": "1"}
        assert client.post(path, data={**sent, "action": "take"}).status_code == 403
        assert client.post(path, data={**sent, "action": "close", "outcome": "confirmed"}).status_code == 403
        assert (
            client.post(f"/uploads/cases/{number}", data=sent, files={"files": ("a.jpg", photo())}).status_code == 403
        )
        assert client.get(f"{path}/pack.zip").status_code == 403
        for other in ("/proposals/1/approve", "/channel/import"):
            assert client.post(other, data=sent).status_code == 403
        headers = {"X-CSRF-Token": sent["csrf"]}
        answer = client.post(f"/api/v1/alerts/{site.world.alert}/close", json={"outcome": "confirmed"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_MISSING")
    with connect(site.world.owner_dsn, "test") as connection:
        row = connection.execute("SELECT state, version FROM trace.case_file").fetchone()
    assert row == ("open", 1)


def test_the_queue_says_which_cases_the_day_is_given_to(site: Site, number: int) -> None:
    now = datetime.now(UTC)
    with connect(site.world.owner_dsn, "test") as connection:
        chosen = run_day(connection, BRAND, policy_of(connection, BRAND), now.date(), now)
    assert number in {each.case for each in chosen}
    with browser(site, "wang") as client:
        page = client.get("/cases?state=open").text
    row = page.partition(f'href="/cases/{number}"')[2].partition("</tr>")[0]
    assert f"{now.year}年{now.month}月{now.day}日的任务" in row


def test_an_alert_in_a_case_cannot_be_closed_past_the_second_person(site: Site, number: int) -> None:
    with browser(site, "wang") as wang:
        page = wang.get(f"/cases/{number}").text
        sent = {"csrf": token(page), "outcome": "unresolved"}
        assert wang.post(f"/alerts/{site.world.alert}/close", data=sent).status_code == 409
        assert wang.post(f"/alerts/{site.world.alert}/acknowledge", data=sent).status_code == 409


def test_forms_of_strangers_and_of_other_brands_do_nothing(site: Site, number: int) -> None:
    path = f"/cases/{number}"
    with browser(site, "wang") as wang:
        sent = {"csrf": token(wang.get(path).text), "version": "1", "action": "take"}
        assert wang.post(path, data=sent, headers={"Origin": "https://evil.example"}).status_code == 403
        assert wang.post(path, data={**sent, "csrf": "x"}).status_code == 403
        files = {"files": ("a.jpg", photo())}
        assert wang.post(f"/uploads{path}", data={"csrf": "x"}, files=files).status_code == 403
        for odd in ({"action": "delete"}, {"version": "0"}, {"outcome": "retracted", "action": "close"}):
            assert wang.post(path, data={**sent, **odd}).status_code == 422
        assert wang.post(path, data={**sent, "action": "close"}).status_code == 422
        page = {"files": ("a.html", b"<script>alert(1)</script>", "image/jpeg")}
        assert wang.post(f"/uploads{path}", data={"csrf": sent["csrf"]}, files=page).status_code == 422
    with browser(site, "rival") as rival:
        for address in (path, f"{path}/pack.zip", f"{path}/attachments/1", f"/api/map{path}.geojson"):
            assert rival.get(address).status_code == 404, address
    assert asking.get(site.url + path).status_code == 303


def test_a_file_is_served_as_what_it_is_and_nothing_in_it_runs(site: Site, number: int) -> None:
    with browser(site, "lin") as lin:
        sent = {"csrf": token(lin.get(f"/cases/{number}").text)}
        files = [("files", ('"><b>.jpg', photo(), "text/html")), ("files", ("p.pdf", b"%PDF-1.4 x", "image/png"))]
        assert lin.post(f"/uploads/cases/{number}", data=sent, files=files).status_code == 303
        page = lin.get(f"/cases/{number}").text
        assert "<b>" not in page
        shown = set(re.findall(r'href="(/cases/\d+/attachments/\d+)"', page))
        answers = [lin.get(each) for each in sorted(shown)]
    assert [each.headers["content-type"] for each in answers] == ["image/jpeg", "application/pdf"]
    assert [each.headers["content-disposition"].partition(";")[0] for each in answers] == ["inline", "attachment"]
    for each in answers:
        assert each.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert each.headers["x-content-type-options"] == "nosniff"


def test_text_of_people_is_never_markup(site: Site, number: int) -> None:
    attack = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    with browser(site, "lin") as lin:
        assert send(lin, f"/cases/{number}", "comment", text=attack).status_code == 303
        due = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
        task = {"kind": "test_purchase", "instructions": attack, "listing": attack, "due": due}
        order = {"csrf": token(lin.get("/cases").text), **task}
        assert lin.post(f"/cases/{number}/checks", data=order).status_code == 303
        for path in (f"/cases/{number}", "/checks", "/checks/1"):
            text = lin.get(path).text
            assert "<script>alert" not in text, path
            assert "<img src=x" not in text, path
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|javascript:", text), path


def test_the_command_line_lists_shows_packs_and_exports(site: Site, number: int, tmp_path: Path) -> None:
    settings = site.world.settings
    environment = {
        "TRACE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TRACE_KEY_ENCRYPTION_KEY": settings.key_encryption_key.get_secret_value(),
    }

    def run(*command: str) -> str:
        done = CliRunner().invoke(main, ["case", *command], env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert f'"id": {number}' in run("list", "--brand", BRAND, "--json")
    assert '"action": "opened"' in run("show", str(number), "--brand", BRAND, "--json")
    assert f'"case": {number}' in run("day", "--brand", BRAND, "--json")
    run("pack", str(number), "--brand", BRAND, "--out", str(tmp_path / "c.zip"))
    assert verify_pack(tmp_path / "c.zip").case == number
    assert '"daily_budget": 3' in run("policy", "--brand", BRAND, "--daily-budget", "3", "--json")
    with browser(site, "lin") as lin:
        send(lin, f"/cases/{number}", "close", outcome="tourist_or_gift")
    with browser(site, "wang") as wang:
        send(wang, f"/cases/{number}", "confirm")
    said = run("outcomes", "--brand", BRAND, "--json")
    assert '"outcome":"tourist_or_gift"' in said
    assert '"selection_probability":1.0' in said
    assert '"expires_at":"' in said
    with psycopg.connect(site.world.owner_dsn) as owner:
        assert owner.execute("SELECT count(*) FROM trace.case_policy").fetchone() == (2,)


def test_a_program_reads_and_decides_by_the_same_rules(site: Site, number: int) -> None:
    def client(login: str) -> httpx.Client:
        answer = asking.post(f"{site.url}/api/v1/session", json={"login": login, "password": PASSWORD})
        headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return asking.Client(base_url=f"{site.url}/api/v1", headers=headers)

    with client("lin") as lin, client("he") as he, client("wang") as wang:
        (listed,) = lin.get("/cases", params={"state": "open"}).json()["cases"]
        assert (listed["id"], listed["version"]) == (number, 1)
        path = f"/cases/{number}/actions"
        take = {"action": "take", "version": 1}
        assert he.post(path, json=take).json()["code"] == "ROLE_MISSING"
        assert lin.post(path, json=take).json()["owner"] == "lin"
        assert lin.post(path, json=take).json()["code"] == "CASE_STATE"
        closed = lin.post(path, json={"action": "close", "version": 2, "outcome": "confirmed"}).json()
        assert (closed["state"], closed["proposed_by"]) == ("proposed", "lin")
        assert lin.post(path, json={"action": "confirm", "version": 3}).status_code == 403
        assert wang.post(path, json={"action": "confirm", "version": 3}).json()["outcome"] == "confirmed"
        detail = wang.get(f"/cases/{number}").json()
        assert [each["action"] for each in detail["history"]] == ["opened", "take", "close", "confirm"]
        assert detail["alerts"] == [site.world.alert]
        for odd in ({"action": "close"}, {"action": "burn", "version": 4}, {**take, "x": 1}):
            assert wang.post(path, json=odd).json()["code"] == "INVALID_PARAMETER"
        assert wang.get("/cases/999999").status_code == 404


def test_a_file_or_a_check_is_not_claimed_by_words_alone(site: Site, number: int) -> None:
    """Nobody reopens a closed case, or fills its history, with a report that never was."""
    path = f"/cases/{number}"
    with connect(site.world.owner_dsn, "test") as connection:
        set_policy(connection, BRAND, Policy(two_person_value=Decimal(10**11)), "test")
    with browser(site, "lin") as lin, browser(site, "zhao") as zhao:
        assert send(lin, path, "take").status_code == 303
        assert send(lin, path, "close", outcome="unresolved").status_code == 303
        csrf = token(zhao.get("/stock").text)
        for action in ("report_check", "attach", "order_check", "cancel_check"):
            claimed = {"csrf": csrf, "version": "3", "action": action, "text": "done"}
            assert zhao.post(path, data=claimed).status_code == 422, action
            asked = {"action": action, "version": 3, "text": "done"}
            headers = {"X-CSRF-Token": token(lin.get("/stock").text)}
            assert lin.post(f"/api/v1{path}/actions", json=asked, headers=headers).status_code == 422, action
        case = lin.get(f"/api/v1{path}").json()
    assert case["case"]["state"] == "closed"
    assert [each["action"] for each in case["history"]][-2:] == ["take", "close"]
