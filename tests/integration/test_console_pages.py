import gzip
import json
import re
import threading
import time
from collections.abc import Iterator

import asking
import httpx
import psycopg
import pytest
from console_world import BRAND, LOGIN, PASSWORD, Site
from waiting import PATIENCE, wait_for

from trace_service.web.headers import CONTENT_SECURITY_POLICY
from trace_service.web.live import HEARTBEAT_SECONDS

PAGES = ("/", "/?state=acknowledged", "/?state=closed", "/stock", "/proposals", "/proposals?state=approved", "/devices")


@pytest.fixture
def browser(site: Site) -> Iterator[httpx.Client]:
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as client:
        answer = log_in(client, LOGIN, PASSWORD)
        assert answer.status_code == 303
        yield client


def csrf(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def log_in(client: httpx.Client, login: str, password: str, **more: str) -> httpx.Response:
    form = {"login": login, "password": password, "csrf": csrf(client.get("/login")), **more}
    return client.post("/login", data=form)


def test_pages_send_a_stranger_to_the_log_in_and_back(site: Site) -> None:
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as client:
        answer = client.get("/stock")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fstock")
        assert 'name="next" value="/stock"' in client.get(answer.headers["location"]).text
        assert log_in(client, LOGIN, PASSWORD, next="/stock").headers["location"] == "/stock"
        assert client.get("/stock").is_success
        assert client.get("/", headers={"HX-Request": "true"}).is_success
    partial = asking.get(site.url, headers={"HX-Request": "true"})
    assert (partial.status_code, partial.headers["hx-redirect"]) == (204, "/login")
    stream = asking.get(f"{site.url}/events", headers={"Accept": "text/event-stream"})
    assert stream.status_code == 401


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(site: Site) -> None:
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as client:
        cookies = log_in(client, LOGIN, PASSWORD).headers.get_list("set-cookie")
    (session,) = [cookie for cookie in cookies if cookie.startswith("session=")]
    assert "HttpOnly" in session
    assert "SameSite=lax" in session
    assert len(session.split(";")[0].removeprefix("session=")) >= 43


def test_a_wrong_password_and_an_unknown_login_look_alike(site: Site) -> None:
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as client:
        first, second = log_in(client, LOGIN, "wrong"), log_in(client, "nobody", "wrong")
    assert first.status_code == second.status_code == 401
    hidden = re.compile(r'name="csrf" value="[^"]+"')
    assert hidden.sub("", first.text) == hidden.sub("", second.text)
    assert "账号或密码不对" in first.text


def test_a_log_in_form_from_elsewhere_is_refused(site: Site) -> None:
    form = {"login": LOGIN, "password": PASSWORD}
    with asking.Client(base_url=site.url) as client:
        token = csrf(client.get("/login"))
        assert client.post("/login", data={**form, "csrf": token}).status_code == 403
        evil = {"Origin": "https://evil.example"}
        assert client.post("/login", data={**form, "csrf": token}, headers=evil).status_code == 403
        own = {"Origin": site.url}
        assert client.post("/login", data={**form, "csrf": "x"}, headers=own).status_code == 403
        assert client.post("/login", data={**form, "csrf": token}, headers=own).status_code == 303


def test_no_form_works_without_its_token_or_from_elsewhere(browser: httpx.Client) -> None:
    token = csrf(browser.get("/"))
    data = {"outcome": "confirmed"}
    for path in ("/logout", "/alerts/1/acknowledge", "/alerts/1/close", "/proposals/1/approve"):
        assert browser.post(path, data=data).status_code == 403, path
        assert browser.post(path, data={**data, "csrf": token}, headers={"Origin": "null"}).status_code == 403, path
    assert browser.get("/").is_success


def test_every_page_is_whole_in_both_languages(browser: httpx.Client) -> None:
    for language, tag in (("zh", "zh-CN"), ("en", "en")):
        browser.cookies.set("lang", language)
        for path in PAGES:
            page = browser.get(path)
            assert page.status_code == 200, path
            assert f'<html lang="{tag}">' in page.text
            assert page.text.rstrip().endswith("</html>")


def test_every_answer_carries_the_policy_and_no_page_has_inline_code(site: Site, browser: httpx.Client) -> None:
    paths = [*PAGES, f"/alerts/{site.world.alert}", "/login", "/nowhere", "/api/v1/alerts", "/alerts/x"]
    for path in paths:
        answer = browser.get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", answer.text), path
        for address in re.findall(r"""(?:src|href|action|hx-get|hx-post)=["']([^"']+)""", answer.text):
            assert address.startswith(("/", "#", "data:image/svg+xml")), address


def test_the_alert_page_says_why_and_shows_every_scan(site: Site, browser: httpx.Client) -> None:
    page = browser.get(f"/alerts/{site.world.alert}").text
    assert "发往成都蜀清商贸的 14 箱货在杭州市被扫到 14 次" in page
    assert "正常流通预计只会有 0.31 箱" in page
    assert "在杭州市有权销售的是杭州西泠商贸" in page
    assert len(re.findall(r'href="/scans/gateway-market/', page)) == 14
    assert page.count('class="missing"') == 15  # no case was received, one was never shipped


def test_acting_on_an_alert_moves_it_between_the_tabs(site: Site, browser: httpx.Client) -> None:
    path = f"/alerts/{site.world.alert}"
    token = csrf(browser.get(path))
    assert browser.post(f"{path}/acknowledge", data={"csrf": token}).headers["location"] == path
    assert "成都蜀清商贸" in browser.get("/?state=acknowledged").text
    assert browser.post(f"{path}/close", data={"csrf": token}).status_code == 422
    assert browser.post(f"{path}/close", data={"csrf": token, "outcome": "e_commerce"}).status_code == 303
    again = browser.post(f"{path}/close", data={"csrf": token, "outcome": "confirmed"})
    assert again.status_code == 409
    assert "已经有人处理了" in again.text
    closed = browser.get("/?state=closed").text
    assert "电商发货" in closed


def test_a_proposal_is_decided_in_place(site: Site, browser: httpx.Client) -> None:
    token = csrf(browser.get("/proposals"))
    path = f"/proposals/{site.world.proposal}/approve"
    row = browser.post(path, data={"csrf": token}, headers={"HX-Request": "true"})
    assert row.text.lstrip().startswith("<li")
    assert "已批准" in row.text
    assert "</html>" not in row.text


def test_text_from_the_database_is_never_markup(site: Site, browser: httpx.Client) -> None:
    attack = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("UPDATE trace.dealer SET name_zh = %s, name_en = %s", (attack, attack))
        connection.execute("UPDATE trace.product SET name_zh = %s", (attack,))
        connection.execute("UPDATE trace.site SET name_zh = %s", (attack,))
        connection.execute("UPDATE trace.alert SET city = %s, reason = %s", (attack, json.dumps({"code": attack})))
    for path in ("/", f"/alerts/{site.world.alert}", "/stock", "/proposals", "/devices"):
        text = browser.get(path).text
        assert "<script>alert" not in text, path
        assert "<img" not in text, path


def test_the_queue_keeps_its_queries_few_however_long_it_is(site: Site, browser: httpx.Client) -> None:
    with psycopg.connect(site.world.owner_dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
            " SELECT %s, 'diversion', 'D-CHENGDU', n::text, now(), now(), 3, 3, '{}' FROM generate_series(1, 49) n",
            (BRAND,),
        )

    def needed() -> int:
        before = transactions(site)
        assert browser.get("/").text.count('class="open"') == 50
        return transactions(site) - before

    # The database's own upkeep may come between and counts as well.
    wait_for(lambda: needed() <= 12)


def transactions(site: Site) -> int:
    """Return how many there were in the database, once the servers have reported theirs, which they do by the second.

    It is asked from another database, where asking does not count.
    """
    name = psycopg.conninfo.conninfo_to_dict(site.world.owner_dsn)["dbname"]
    known, settled = -1, 0
    with psycopg.connect(site.world.owner_dsn, dbname="postgres", autocommit=True) as connection:
        while settled < 3:
            query = "SELECT pg_stat_clear_snapshot(), xact_commit FROM pg_stat_database WHERE datname = %s"
            row = connection.execute(query, (name,)).fetchone()
            assert row is not None
            known, settled = row[1], settled + 1 if row[1] == known else 0
            time.sleep(0.7)
    return known


def test_the_map_holds_territory_destination_and_scans(site: Site, browser: httpx.Client) -> None:
    country = browser.get("/api/map/provinces.geojson")
    assert len(country.json()["features"]) == 34
    assert country.headers["content-encoding"] == "gzip"
    again = browser.get("/api/map/provinces.geojson", headers={"If-None-Match": country.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    found = browser.get(f"/api/map/alerts/{site.world.alert}.geojson").json()["features"]
    roles = [each["properties"]["role"] for each in found]
    assert (roles.count("territory"), roles.count("destination"), roles.count("scan")) == (1, 1, 14)
    assert {each["properties"].get("name") for each in found if "name" in each["properties"]} == {"成都市", "杭州市"}


def test_static_files_are_compressed_and_kept(browser: httpx.Client) -> None:
    path = re.search(r'src="(/static/console-[A-Z0-9]+\.js)"', browser.get("/").text)
    assert path is not None
    answer = browser.get(path[1])
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    assert len(gzip.compress(answer.content)) < 20_000


def test_a_change_reaches_an_open_page(site: Site, browser: httpx.Client) -> None:
    heard: list[str] = []

    def listen() -> None:
        with browser.stream("GET", "/events", timeout=PATIENCE) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                heard.append(line)
                if heard.count("event: alert") == 3:
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    wait_for(lambda: "event: refresh" in heard)
    waits = []
    with psycopg.connect(site.world.owner_dsn, autocommit=True) as connection:
        for told in (1, 2, 3):
            began = time.monotonic()
            connection.execute("SELECT pg_notify('console', %s)", (json.dumps({"kind": "alert", "brand": "rival"}),))
            connection.execute("SELECT pg_notify('console', %s)", (json.dumps({"kind": "alert", "brand": BRAND}),))
            wait_for(lambda: heard.count("event: alert") >= told)  # noqa: B023  asked within the round
            waits.append(time.monotonic() - began)
            assert heard.count("event: alert") == told, "a rival's alert is nobody else's news"
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert min(waits) < HEARTBEAT_SECONDS, "it is told as it happens"


def test_the_queue_says_what_is_new_and_leaves_the_rows_alone(site: Site, browser: httpx.Client) -> None:
    found = re.search(r'hx-get="(/alerts/news[^"]+)"', browser.get("/").text)
    assert found is not None
    path = found[1].replace("&amp;", "&")
    assert 'class="news"' not in browser.get(path).text
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("UPDATE trace.alert SET updated_at = now() + interval '1 second'")
        connection.execute(
            "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
            " VALUES (%s, 'diversion', 'D-CHENGDU', '320100', now(), now(), 3, 3, '{}')",
            (BRAND,),
        )
    news = browser.get(path).text
    assert "1 条新内容" in news
    assert "1 条有更新" in news
    assert 'id="count-open" hx-swap-oob="true">2<' in news


def test_language_is_remembered_and_the_switch_leads_back(browser: httpx.Client) -> None:
    answer = browser.get("/language/en", params={"next": "/stock"})
    assert answer.headers["location"] == "/stock"
    assert '<html lang="en">' in browser.get("/stock").text
    assert browser.get("/language/en", params={"next": "//evil.example"}).headers["location"] == "/"
    assert browser.get("/language/fr").status_code == 422


def test_the_browsers_language_counts_until_one_is_chosen(site: Site) -> None:
    def shown(accept: str) -> str:
        return asking.get(f"{site.url}/login", headers={"Accept-Language": accept}).text

    assert '<html lang="en">' in shown("fr;q=0.9, en;q=0.8, zh;q=0.1")
    assert '<html lang="zh-CN">' in shown("zh-TW,en;q=0.5")
    assert '<html lang="zh-CN">' in shown("fr, de;q=x")
    assert '<html lang="zh-CN">' in shown("")
