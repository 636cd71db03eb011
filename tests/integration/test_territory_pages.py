"""The console's pages of territories: maps and tables of any day, drafts, and who may decide about them."""

import json
import re
from collections.abc import Iterator

import asking
import httpx
import psycopg
import pytest
from conftest import fresh_database
from console_world import BRAND, OTHER_LOGIN, PASSWORD, Site, make_world, running, token

from cli.embedded.postgres import Database
from trace_service.accounts import add_account
from trace_service.store.connection import connect

RING = [[118.6, 31.9], [119.0, 31.9], [119.0, 32.2], [118.6, 32.2], [118.6, 31.9]]


@pytest.fixture(scope="module")
def site(postgres: Database, migrated_template: str) -> Iterator[Site]:
    with fresh_database(postgres, migrated_template) as database:
        world = make_world(database.owner_dsn, database.trace_dsn)
        with connect(database.owner_dsn, "test") as connection:
            profile = {"brand": BRAND, "name": "林", "role": "analyst", "language": "en"}
            add_account(connection, "analyst", PASSWORD, profile)
        with running(world) as site:
            yield site


def browser(site: Site, login: str = "demo", language: str = "en") -> httpx.Client:
    cookies = {"session": token(site, login)["Authorization"].removeprefix("Bearer ")}
    headers = {"Accept-Language": language, "Origin": site.url}
    return asking.Client(base_url=site.url, cookies=cookies, headers=headers)


@pytest.fixture(scope="module")
def page(site: Site) -> Iterator[httpx.Client]:
    with browser(site) as client:
        yield client


def draft(*adcodes: str, dealer: str = "D-CHENGDU", ring: list[list[float]] | None = None) -> str:
    geometry = {"type": "Polygon", "coordinates": [ring]} if ring else None
    properties = {"dealer": dealer, "adcodes": list(adcodes), "valid_from": "2026-03-01"}
    feature = {"type": "Feature", "geometry": geometry, "properties": properties}
    return json.dumps({"type": "FeatureCollection", "features": [feature]})


def upload(page: httpx.Client, text: str, name: str = "spring.geojson") -> httpx.Response:
    csrf = csrf_of(page.get("/territories").text)
    return page.post("/territories/upload", data={"csrf": csrf}, files={"file": (name, text.encode())})


def csrf_of(text: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found
    return found[1]


def test_the_map_shows_every_territory_of_the_day_as_a_link_and_as_a_row(page: httpx.Client) -> None:
    answer = page.get("/territories")
    text = answer.text
    assert "17 dealers have a territory" in text
    assert text.count('<path class="area"') == 17
    assert text.count('<a href="/territories/dealers/D-CHENGDU">') == 2
    assert "style=" not in text, "the policy forbids it"
    assert len(answer.content) < 250_000
    assert "No territories on this day" in page.get("/territories", params={"at": "2020-01-01"}).text
    first = page.get("/territories", params={"step": 0}).text
    assert "17 dealers have a territory on 1 Jan 2024" in first


def test_a_dealers_page_shows_its_place_its_versions_and_its_gaps(page: httpx.Client, site: Site) -> None:
    text = page.get("/territories/dealers/D-SICHUAN").text
    assert text.count(" chosen") == 1
    assert "counties" in text
    assert "belong to none of its dealers" in text
    assert "registered" in text
    assert page.get("/territories/dealers/D-NOBODY").status_code == 404
    with browser(site, language="zh") as chinese:
        assert "四川省代理" in chinese.get("/territories/dealers/D-SICHUAN").text
    with browser(site, OTHER_LOGIN) as rival:
        assert rival.get("/territories/dealers/D-SICHUAN").status_code == 404


def test_a_draft_is_uploaded_tried_and_published_by_a_manager_alone(page: httpx.Client, site: Site) -> None:
    made = upload(page, draft("510100", ring=RING))
    assert made.status_code == 303
    where = made.headers["location"]
    text = page.get(where).text
    assert "both have" in text
    assert text.count('class="drawn"') == 1
    tried = page.post(f"{where}/simulate", data={"csrf": csrf_of(text)}).text
    assert "Verdicts that would change" in tried
    with browser(site, "analyst") as analyst:
        theirs = analyst.get(where).text
        assert "Publishing takes the role manager" in theirs
        csrf = csrf_of(theirs)
        assert analyst.post(f"{where}/publish", data={"csrf": csrf}).status_code == 403
    assert page.post(f"{where}/publish", data={"csrf": "forged"}).status_code == 403
    assert page.post(f"{where}/publish", data={"csrf": csrf_of(text)}).status_code == 409
    accepted = {"csrf": csrf_of(text), "accept": ["overlap", "beyond_parent"], "rejudge": "yes"}
    assert page.post(f"{where}/publish", data=accepted).status_code == 303
    after = page.get(where).text
    assert "published" in after
    assert "/publish" not in after
    history = page.get("/territories/dealers/D-CHENGDU").text
    assert f'<a href="{where}">draft</a>' in history
    with psycopg.connect(site.world.owner_dsn) as owner:
        owner.execute("UPDATE trace.territory SET exclusive = false WHERE draft IS NOT NULL")
    assert "not what was recorded" in page.get("/territories/dealers/D-CHENGDU").text


def test_a_file_with_a_broken_feature_is_shown_with_the_reason_and_not_stored(page: httpx.Client) -> None:
    crossing = [[118, 31], [119, 32], [119, 31], [118, 32], [118, 31]]
    refused = upload(page, draft(ring=crossing), "broken<b>.geojson")
    assert refused.status_code == 422
    assert "crosses itself" in refused.text
    assert "broken&lt;b&gt;.geojson" in refused.text
    assert "broken" not in page.get("/territories").text
    assert upload(page, "no file at all").status_code == 422
    dropped = upload(page, draft("510100"), "drop.geojson").headers["location"]
    csrf = csrf_of(page.get(dropped).text)
    assert page.post(f"{dropped}/drop", data={"csrf": csrf}).headers["location"] == "/territories"
    assert "dropped" in page.get(dropped).text
