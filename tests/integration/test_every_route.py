"""Every route of the application: nothing without a log-in, nothing of another brand, no change by who may not."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final, LiteralString

import asking
import psycopg
import pytest
from conftest import fresh_database
from console_world import BRAND, LOGIN, OTHER_LOGIN, add_case, add_person, make_world, running, token
from psycopg.sql import SQL, Identifier
from route_house import OURS, House, Route, ask, draft_file, furnished, signed_in

from cli.embedded.postgres import Database
from trace_service.store.connection import connect
from trace_service.tokens import SCOPES, add_token

# What strangers may ask: the log-in, how the service is, and what a label's code says.
OPEN: Final = {"/login", "/language/{language}", "/healthz", "/readyz", "/metrics", "/api/v1/session"}
# 429: so many wrong tokens that no more are looked at.
REFUSED: Final = {401, 403, 429}
# What a viewer may post: questions, and the end of the own session.
ASKED: Final = {
    "/logout", "/api/v1/territories/proposals/report", "/api/v1/geofence/check", "/api/v1/geofence/explain",
    "/api/v1/geofence/check/batch",
}  # fmt: skip
ROLES: Final[Mapping[str, set[str]]] = {
    "viewer": set(), "inspector": {"/uploads/checks/{number}", "/leads/{number}"},
}  # fmt: skip
# Names in these addresses are a brand's own, or everybody's: another brand's are other things.
NAMED_BY_ANYBODY: Final = (
    "/api/v1/trip-sites/", "/api/v1/trip-routes/", "/api/v1/channel/export/", "/channel/template/",
)  # fmt: skip
SCOPE_OF: Final = {
    "orders": "orders", "channel": "channel", "check": "check", "codes": "epcis", "territories": "channel",
    "geofence": "check", "trips": "trips", "trip-sites": "trips", "trip-routes": "trips", "replenishment": "replenish",
}  # fmt: skip


@pytest.fixture(scope="module")
def house(postgres: Database, migrated_template: str) -> Iterator[House]:
    with fresh_database(postgres, migrated_template) as database:
        world = make_world(database.owner_dsn, database.trace_dsn)
        case = add_case(world)
        for login in (*ROLES, "analyst"):
            add_person(world, login, login)
        with connect(database.owner_dsn, "test") as connection:
            wanted: dict[str, tuple[str, tuple[str, ...]]] = {"ours": (BRAND, SCOPES), "rival": ("rival", SCOPES)}
            wanted |= {f"but {each}": (BRAND, tuple(set(SCOPES) - {each})) for each in SCOPES}
            tokens = {
                name: add_token(connection, brand, f"t{number}", scopes, timedelta(days=1))
                for number, (name, (brand, scopes)) in enumerate(wanted.items())
            }
        with running(world) as site:
            yield furnished(site, case, tokens)


def kept(house: House) -> dict[str, str]:
    """Return a digest of every table, what belongs to the other brand left out."""
    columns = "SELECT table_schema, table_name FROM information_schema.columns WHERE column_name = 'brand'"
    tables = (
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        " AND table_schema IN ('trace', 'landing') AND table_name NOT IN ('session', 'lookup', 'partner_token')"
    )
    with psycopg.connect(house.site.world.owner_dsn) as connection:
        of_brands = set(connection.execute(columns).fetchall())
        found = {}
        for schema, table in connection.execute(tables).fetchall():
            only: LiteralString = " WHERE brand IS DISTINCT FROM 'rival'" if (schema, table) in of_brands else ""
            digest = SQL("SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} AS t").format(
                Identifier(schema, table)
            )
            row = connection.execute(digest + SQL(only)).fetchone()
            found[f"{schema}.{table}"] = str(row and row[0])
        return found


def changing(house: House) -> list[Route]:
    return [each for each in house.routes if each.method not in {"GET", "HEAD"} and each.path not in OPEN]


def test_a_stranger_is_let_in_nowhere(house: House) -> None:
    before, wrong = kept(house), []
    with asking.Client(base_url=house.site.url, headers={"Origin": house.site.url}) as nobody:
        for route in house.routes:
            if route.path in OPEN:
                continue
            answer = ask(nobody, house, route)
            sent_away = answer.headers.get("location", "").startswith("/login") or "hx-redirect" in answer.headers
            if answer.status_code not in REFUSED and not sent_away:
                wrong.append((route, answer.status_code))
    assert len(house.routes) > 120
    assert not wrong, wrong
    assert kept(house) == before


def test_another_brand_reads_and_changes_nothing_of_ours(house: House) -> None:
    before, wrong = kept(house), []
    bearers = [token(house.site, OTHER_LOGIN)]
    bearers.append({"Authorization": f"Bearer {house.tokens['rival']}"})
    with signed_in(house.site, OTHER_LOGIN) as (browser, csrf):
        clients = [(browser, csrf)]
        clients += [(asking.Client(base_url=house.site.url, headers=each), "") for each in bearers]
        for client, proof in clients:
            # What is put is their own under the same name: last, so that nothing else finds it.
            for route in sorted(house.routes, key=lambda each: each.method == "PUT"):
                pages = client is browser
                if route.path in OPEN or route.path == "/events" or route.path.startswith("/api/v1/") == pages:
                    continue
                answer = ask(client, house, route, proof)
                away = answer.headers.get("location", "").startswith("/login")
                numbered = (
                    "{" in route.path
                    and not away
                    and route.method != "PUT"
                    and not route.path.startswith(NAMED_BY_ANYBODY)
                )
                told = answer.is_success and route.method == "GET" and OURS.search(answer.text)
                if told or (numbered and answer.status_code < 400) or answer.status_code >= 500:
                    wrong.append((route, answer.status_code, told and told[0]))
        for client, _ in clients[1:]:
            client.close()
    assert not wrong, wrong
    assert kept(house) == before


@pytest.mark.parametrize("role", ROLES)
def test_who_may_only_look_changes_nothing(house: House, role: str) -> None:
    before, wrong = kept(house), []
    with (
        signed_in(house.site, role) as (browser, csrf),
        asking.Client(base_url=house.site.url, headers=token(house.site, role)) as bearer,
    ):
        for route in changing(house):
            if route.path in ASKED | ROLES[role]:
                continue
            for client, proof in ((browser, csrf), (bearer, "")):
                answer = ask(client, house, route, proof)
                if answer.status_code not in REFUSED:
                    wrong.append((route, answer.status_code))
        assert browser.get(f"/cases/{house.case}/pack.zip").status_code == 403
    assert not wrong, wrong
    assert kept(house) == before


def test_an_analyst_publishes_nothing(house: House) -> None:
    with signed_in(house.site, "analyst") as (browser, csrf):
        page = browser.post(f"/territories/drafts/{house.draft}/publish", data={"csrf": csrf})
        program = browser.post(
            f"/api/v1/territories/drafts/{house.draft}/publish", json={}, headers={"X-CSRF-Token": csrf}
        )
    assert (page.status_code, program.status_code) == (403, 403)


def test_a_form_of_another_site_changes_nothing(house: House) -> None:
    before, wrong = kept(house), []
    with signed_in(house.site, LOGIN) as (browser, csrf):
        for route in changing(house):
            if route.path in ASKED - {"/logout"}:
                continue
            unproven = ask(browser, house, route)
            browser.headers["Origin"] = "https://evil.example"
            foreign = ask(browser, house, route, csrf)
            browser.headers["Origin"] = house.site.url
            if {unproven.status_code, foreign.status_code} - REFUSED:
                wrong.append((route, unproven.status_code, foreign.status_code))
        assert browser.get("/stock").status_code == 200, "still signed in"
    assert not wrong, wrong
    assert kept(house) == before


def test_a_token_opens_what_its_scope_names(house: House) -> None:
    asked, wrong = set(), []
    for scope in SCOPES:
        headers = {"Authorization": f"Bearer {house.tokens[f'but {scope}']}"}
        with asking.Client(base_url=house.site.url, headers=headers) as partner:
            for route in house.routes:
                family = route.path.removeprefix("/api/v1/").partition("/")[0]
                if SCOPE_OF.get(family) == scope and route.path.startswith("/api/v1/"):
                    asked.add(family)
                    answer = ask(partner, house, route)
                    if answer.status_code != 403:
                        wrong.append((scope, route, answer.status_code))
    assert asked == set(SCOPE_OF)
    assert not wrong, wrong


NUL, DEEP = "a\0b", "[" * 5_000


def test_hostile_bodies_are_refused_and_break_nothing(house: House) -> None:
    nested = '{"type":"FeatureCollection","features":[{"type":"Feature","geometry":null,"properties":{"dealer":"D",'
    nested += '"a":' + '{"a":' * 600 + "1" + "}" * 600 + "}}]}"
    wkt = "dealer,valid_from,wkt\nD-CHENGDU,2026-03-01," + "GEOMETRYCOLLECTION(" * 6000 + "POINT(1 1)" + ")" * 6000
    named = {"type": "FeatureCollection", "features": [draft_file()["features"][0] | {"id": NUL}]}
    api, case = "/api/v1", house.case
    with signed_in(house.site, LOGIN) as (mine, csrf):
        proof = {"X-CSRF-Token": csrf, "Content-Type": "application/json"}
        answers = {
            "deep": mine.post(f"{api}/geofence/check", content=DEEP, headers=proof),
            "deep action": mine.post(f"{api}/cases/{case}/actions", content=DEEP, headers=proof),
            "deep batch": mine.post(f"{api}/geofence/check/batch", content=DEEP, headers=proof),
            "nested batch": mine.post(f"{api}/geofence/check/batch", content=nested, headers=proof),
            "nested draft": mine.post(f"{api}/territories/proposals/report", content=nested, headers=proof),
            "wkt": mine.post(f"{api}/territories/proposals/report", content=wkt, headers=proof),
            "nul text": mine.post(
                f"{api}/cases/{case}/actions", json={"action": "comment", "version": 1, "text": NUL}, headers=proof
            ),
            "nul form": mine.post(
                f"/cases/{case}", data={"csrf": csrf, "action": "comment", "version": "1", "text": NUL}
            ),
            "nul task": mine.post(
                f"/cases/{case}/checks", data={"csrf": csrf, "instructions": NUL, "due": "2030-01-01"}
            ),
            "nul id": mine.post(f"{api}/territories/proposals/report", json=named, headers={"X-CSRF-Token": csrf}),
            "nul file": mine.post(
                "/territories/upload", data={"csrf": csrf}, files={"file": (NUL, json.dumps(draft_file()))}
            ),
        }
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code >= 500} == {}
    assert answers["deep action"].json()["code"] == "INVALID_PARAMETER"
    assert answers["nul text"].status_code == 422


def test_what_people_write_is_text_on_every_page(house: House) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    with signed_in(house.site, LOGIN) as (mine, csrf):
        said = {"csrf": csrf, "action": "comment", "version": "1", "text": evil}
        assert mine.post(f"/cases/{house.case}", data=said).status_code == 303
        task = {"csrf": csrf, "instructions": evil, "place": evil, "due": "2030-01-01"}
        assert mine.post(f"/cases/{house.case}/checks", data=task).status_code == 303
        properties = draft_file()["features"][0]["properties"] | {"product_line": evil}
        feature = {"type": "Feature", "id": evil, "geometry": None, "properties": properties}
        drafted = json.dumps({"type": "FeatureCollection", "features": [feature]})
        sent = mine.post("/territories/upload", data={"csrf": csrf}, files={"file": (f"{evil}.json", drafted)})
        pages = [
            f"/cases/{house.case}",
            "/checks",
            "/territories",
            sent.headers["location"],
            f"/territories?line={evil}",
        ]
        texts = {path: mine.get(path).text for path in pages}
    for path, text in texts.items():
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "alert(1)" in text, "it is shown, as text"


def test_a_file_of_a_case_is_what_its_bytes_say(house: House) -> None:
    with signed_in(house.site, LOGIN) as (mine, csrf):
        page = b"<html><script>alert(1)</script></html>"
        refused = mine.post(
            f"/uploads/cases/{house.case}", data={"csrf": csrf}, files={"files": ("a.png", page, "image/png")}
        )
        assert refused.status_code == 422
        name = "../../../etc/passwd\r\nSet-Cookie: a=b.html"
        polyglot = b"%PDF-1.7\n" + page
        taken = mine.post(
            f"/uploads/cases/{house.case}", data={"csrf": csrf}, files={"files": (name, polyglot, "text/html")}
        )
        assert taken.status_code == 303
        with psycopg.connect(house.site.world.owner_dsn) as connection:
            row = connection.execute("SELECT max(id) FROM trace.case_attachment").fetchone()
        assert row is not None
        answer = mine.get(f"/cases/{house.case}/attachments/{row[0]}")
        pack = zipfile.ZipFile(io.BytesIO(mine.get(f"/cases/{house.case}/pack.zip").content))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert "set-cookie" not in answer.headers
    assert "/" not in answer.headers["content-disposition"]
    assert all(".." not in each and each.count("/") <= 1 for each in pack.namelist())
