import re
from collections.abc import Iterator

import asking
import httpx
import psycopg
import pytest
from console_world import BRAND, OTHER_LOGIN, PASSWORD, Site, token, unknown_boot


@pytest.fixture
def api(site: Site) -> Iterator[httpx.Client]:
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site)) as client:
        yield client


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


def test_an_alert_leads_to_the_message_behind_each_scan(site: Site, api: httpx.Client) -> None:
    (alert,) = api.get("/alerts", params={"state": "open"}).json()["alerts"]
    assert (alert["id"], alert["dealer"], alert["city"], alert["cases"]) == (
        site.world.alert,
        "D-CHENGDU",
        "330100",
        14,
    )
    detail = api.get(f"/alerts/{alert['id']}").json()
    assert len(detail["evidence"]) == 14
    assert {journey["case_unit"] for journey in detail["custody"]} == set(site.world.cases)
    for scan in detail["evidence"]:
        traced = api.get(f"/scans/{scan['device']}/{scan['boot']}/{scan['seq']}").json()
        assert traced["scan"]["unit"] == scan["unit"]
        assert traced["scan"]["received_at"]
        assert traced["topic"] == {
            "topic": "v1/market/p13/gateway-market/scan", "site": "market", "partition": 13,
            "device": "gateway-market", "kind": "scan",
        }  # fmt: skip


def test_custody_tells_packing_and_shipping_and_what_is_missing(site: Site, api: httpx.Client) -> None:
    detail = api.get(f"/alerts/{site.world.alert}").json()
    steps = {row["case_unit"]: [event["biz_step"] for event in row["events"]] for row in detail["custody"]}
    assert steps[site.world.cases[0]] == ["packing", "shipping"]
    assert steps[site.world.cases[2]] == ["packing"]


def test_an_alert_is_taken_on_and_closed_with_an_outcome_once(site: Site, api: httpx.Client) -> None:
    path = f"/alerts/{site.world.alert}"
    assert api.post(f"{path}/acknowledge").json()["state"] == "acknowledged"
    assert problem(api.post(f"{path}/acknowledge")) == (409, "STATE_CONFLICT")
    assert problem(api.post(f"{path}/close", json={})) == (422, "INVALID_PARAMETER")
    assert problem(api.post(f"{path}/close", json={"outcome": "retracted"})) == (422, "INVALID_PARAMETER")
    closed = api.post(f"{path}/close", json={"outcome": "confirmed"}).json()
    assert (closed["state"], closed["outcome"], closed["decided_by"]) == ("closed", "confirmed", "demo")
    assert problem(api.post(f"{path}/close", json={"outcome": "confirmed"})) == (409, "STATE_CONFLICT")
    assert api.get("/alerts", params={"state": "open"}).json()["alerts"] == []


def test_stock_and_proposals_are_listed_and_decided(api: httpx.Client) -> None:
    stock = api.get("/stock").json()["stock"]
    assert len(stock) == 8
    assert {"sensed", "ledger", "reorder", "maximum", "confidence"} <= set(stock[0])
    (proposal,) = api.get("/proposals", params={"state": "open"}).json()["proposals"]
    path = f"/proposals/{proposal['id']}"
    assert api.post(f"{path}/approve").json()["state"] == "approved"
    assert problem(api.post(f"{path}/reject")) == (409, "STATE_CONFLICT")


def test_another_brand_sees_nothing_and_cannot_tell_what_exists(site: Site) -> None:
    world = site.world
    scan = scan_path(site)
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site, OTHER_LOGIN)) as rival:
        assert rival.get("/alerts").json()["alerts"] == []
        assert rival.get("/stock").json()["stock"] == []
        assert rival.get("/proposals").json()["proposals"] == []
        for number in (world.alert, 10**9):
            assert problem(rival.get(f"/alerts/{number}")) == (404, "NOT_FOUND")
            assert problem(rival.post(f"/alerts/{number}/acknowledge")) == (404, "NOT_FOUND")
            assert problem(rival.post(f"/alerts/{number}/close", json={"outcome": "confirmed"})) == (404, "NOT_FOUND")
        for number in (world.proposal, 10**9):
            assert problem(rival.post(f"/proposals/{number}/approve")) == (404, "NOT_FOUND")
            assert problem(rival.post(f"/proposals/{number}/reject")) == (404, "NOT_FOUND")
        assert problem(rival.get(scan)) == (404, "NOT_FOUND")
    with psycopg.connect(world.owner_dsn) as connection:
        assert connection.execute("SELECT state FROM trace.alert").fetchall() == [("open",)]
        assert connection.execute("SELECT state FROM trace.proposal").fetchall() == [("open",)]


def test_another_brand_finds_no_page_of_ours(site: Site) -> None:
    cookies = {"session": token(site, OTHER_LOGIN)["Authorization"].removeprefix("Bearer ")}
    with asking.Client(base_url=site.url, cookies=cookies) as rival:
        number = site.world.alert
        for path in (f"/alerts/{number}", f"/alerts/{number}/news?since=0", f"/api/map/alerts/{number}.geojson"):
            assert rival.get(path).status_code == 404, path
        assert rival.get(scan_path(site)).status_code == 404
        for path in ("/", "/?state=closed", "/stock", "/proposals", "/devices", "/alerts/news?after=0&since=0"):
            text = rival.get(path).text
            assert not re.search("成都|清源|gateway-market|D-CHENGDU|shelf-0", text), path


def scan_path(site: Site) -> str:
    with psycopg.connect(site.world.owner_dsn) as connection:
        row = connection.execute("SELECT device, boot, seq FROM trace.alert_evidence LIMIT 1").fetchone()
    assert row is not None
    return "/scans/{}/{}/{}".format(*row)


MALFORMED = (
    "/alerts?state=nonsense", "/alerts?before=0", "/alerts?before=1e3", "/alerts?before=99999999999999999999",
    "/alerts/0", "/alerts/-1", "/alerts/x", "/proposals?state=%00", f"/scans/a%00b/{unknown_boot()}/1",
    "/scans/gateway-market/not-a-uuid/1", f"/scans/gateway-market/{unknown_boot()}/-1",
    f"/scans/x';DROP TABLE trace.alert;--/{unknown_boot()}/1",
)  # fmt: skip


def test_malformed_parameters_are_refused_and_not_repeated(api: httpx.Client) -> None:
    for path in MALFORMED:
        answer = api.get(path)
        assert problem(answer) == (422, "INVALID_PARAMETER"), path
        assert "DROP" not in answer.text


def test_unknown_things_are_not_found(api: httpx.Client) -> None:
    assert problem(api.get("/alerts/987654321")) == (404, "NOT_FOUND")
    assert problem(api.get(f"/scans/gateway-market/{unknown_boot()}/1")) == (404, "NOT_FOUND")
    assert problem(api.get("/nothing")) == (404, "NOT_FOUND")
    assert problem(api.put("/stock")) == (405, "METHOD_NOT_ALLOWED")


def test_without_a_session_nothing_is_told(site: Site) -> None:
    with asking.Client(base_url=f"{site.url}/api/v1") as nobody:
        for path in ("/alerts", f"/alerts/{site.world.alert}", "/stock", "/proposals", scan_path(site)):
            assert problem(nobody.get(path)) == (401, "NOT_SIGNED_IN")
        nobody.headers["Authorization"] = "Bearer " + "A" * 43
        assert problem(nobody.get("/alerts")) == (401, "NOT_SIGNED_IN")


def test_a_session_ends_when_it_expires_or_is_ended(site: Site) -> None:
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site)) as client:
        assert client.get("/stock").is_success
        assert client.delete("/session").status_code == 204
        assert problem(client.get("/stock")) == (401, "NOT_SIGNED_IN")
        client.headers.update(token(site))
        with psycopg.connect(site.world.owner_dsn) as connection:
            connection.execute("UPDATE trace.session SET expires_at = now() - interval '1 second'")
        assert problem(client.get("/stock")) == (401, "NOT_SIGNED_IN")
        client.headers.update(token(site))
        with psycopg.connect(site.world.owner_dsn) as connection:
            connection.execute("UPDATE trace.account SET disabled_at = now()")
        assert problem(client.get("/stock")) == (401, "NOT_SIGNED_IN")


def test_the_database_holds_no_token_that_works(site: Site) -> None:
    given = token(site)["Authorization"].removeprefix("Bearer ")
    with psycopg.connect(site.world.owner_dsn) as connection:
        rows = connection.execute("SELECT token_hash, csrf FROM trace.session").fetchall()
    assert rows
    for digest, csrf in rows:
        for stolen in (digest.hex(), csrf):
            headers = {"Authorization": f"Bearer {stolen}"}
            assert asking.get(f"{site.url}/api/v1/stock", headers=headers).status_code == 401
    assert all(given.encode() not in (digest, csrf.encode()) for digest, csrf in rows)


def test_guessing_a_password_is_stopped(site: Site) -> None:
    guess = {"login": "demo", "password": "wrong"}
    answers = [asking.post(f"{site.url}/api/v1/session", json=guess) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    right = asking.post(f"{site.url}/api/v1/session", json={"login": "demo", "password": PASSWORD})
    assert problem(right) == (429, "TOO_MANY_ATTEMPTS")


def test_a_cookie_alone_changes_nothing(site: Site) -> None:
    cookies = {"session": token(site)["Authorization"].removeprefix("Bearer ")}
    path = f"/api/v1/alerts/{site.world.alert}/acknowledge"
    with asking.Client(base_url=site.url, cookies=cookies) as client:
        assert client.get("/api/v1/stock").is_success
        assert problem(client.post(path)) == (403, "FORGED_REQUEST")
        assert problem(client.post(path, headers={"Origin": site.url})) == (403, "FORGED_REQUEST")
        with psycopg.connect(site.world.owner_dsn) as connection:
            row = connection.execute("SELECT csrf FROM trace.session").fetchone()
        assert row is not None
        foreign = {"Origin": "https://evil.example", "X-CSRF-Token": row[0]}
        assert problem(client.post(path, headers=foreign)) == (403, "FORGED_REQUEST")
        assert client.post(path, headers={"Origin": site.url, "X-CSRF-Token": row[0]}).is_success


def test_the_openapi_document_describes_what_is_served(site: Site, api: httpx.Client) -> None:
    document = asking.get(f"{site.url}/api/openapi.json").json()
    paths = set(document["paths"])
    assert {"/api/v1/session", "/api/v1/alerts", "/api/v1/stock", "/api/v1/proposals"} <= paths
    assert all(path.startswith("/api/v1/") for path in paths)
    assert asking.get(f"{site.url}/docs").status_code == 404
    assert (
        api.get("/alerts").json()["alerts"][0].keys() == document["components"]["schemas"]["Alert"]["properties"].keys()
    )


def test_health_readiness_and_metrics(site: Site) -> None:
    assert asking.get(f"{site.url}/healthz").json() == {"status": "ok"}
    assert asking.get(f"{site.url}/readyz").json() == {"status": "ready"}
    token(site)
    text = asking.get(f"{site.url}/metrics").text
    assert 'codefence_logins_total{result="ok"} 1.0' in text
    assert 'route="/api/v1/session"' in text or 'route="/session"' in text
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("DELETE FROM public.schema_migration WHERE name LIKE '0002%'")
    answer = asking.get(f"{site.url}/readyz")
    assert problem(answer) == (503, "BUSY")
    assert "0002_trace.sql" in answer.json()["detail"]


def test_lists_go_on_where_they_stopped(site: Site, api: httpx.Client) -> None:
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute(
            "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
            " SELECT %s, 'diversion', 'D-CHENGDU', n::text, now(), now(), 3, 3, '{}' FROM generate_series(1, 60) n",
            (BRAND,),
        )
    first = api.get("/alerts").json()
    rest = api.get("/alerts", params={"before": first["before"]}).json()
    numbers = [alert["id"] for alert in first["alerts"] + rest["alerts"]]
    assert len(set(numbers)) == 61
    assert numbers == sorted(numbers, reverse=True)
    assert rest["before"] is None
