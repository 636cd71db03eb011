"""Territories and the geofence over HTTP: GeoJSON in and out, drafts, rights, batches that go on."""

import json
from collections.abc import Iterator
from typing import Any

import asking
import httpx
import psycopg
import pytest
from conftest import fresh_database
from console_world import BRAND, OTHER_LOGIN, PASSWORD, Site, make_world, running, token

from cli.embedded.postgres import Database
from trace_service.accounts import add_account
from trace_service.store.connection import connect

API = "/api/v1"
CHENGDU, HANGZHOU = (104.07, 30.67), (120.15, 30.27)


@pytest.fixture(scope="module")
def site(postgres: Database, migrated_template: str) -> Iterator[Site]:
    with fresh_database(postgres, migrated_template) as database:
        world = make_world(database.owner_dsn, database.trace_dsn)
        with connect(database.owner_dsn, "test") as connection:
            profile = {"brand": BRAND, "name": "林", "role": "analyst", "language": "zh"}
            add_account(connection, "analyst", PASSWORD, profile)
        with running(world) as site:
            yield site


def client(site: Site, login: str = "demo") -> httpx.Client:
    return asking.Client(base_url=f"{site.url}{API}", headers=token(site, login))


@pytest.fixture(scope="module")
def api(site: Site) -> Iterator[httpx.Client]:
    with client(site) as made:
        yield made


def point(place: tuple[float, float], **properties: object) -> dict[str, Any]:
    asked = {"dealer": "D-CHENGDU", "accuracy_m": 30, **properties}
    return {"type": "Feature", "geometry": {"type": "Point", "coordinates": list(place)}, "properties": asked}


def proposal(dealer: str, *adcodes: str, **stated: object) -> dict[str, Any]:
    properties = {"dealer": dealer, "adcodes": list(adcodes), "valid_from": "2026-03-01", **stated}
    return {"type": "Feature", "id": "f1", "geometry": None, "properties": properties}


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def test_one_position_is_judged_and_explained_with_a_map(api: httpx.Client) -> None:
    asked = {"dealer": "D-CHENGDU", "position": {"lon": HANGZHOU[0], "lat": HANGZHOU[1], "accuracy_m": 40}}
    found = api.post("/geofence/check", json=asked).json()
    assert (found["verdict"], found["p_inside"], found["owner_atom"][:4]) == ("outside", 0.0, "3301")
    assert found["legal_dealers"] == ["D-EAST", "D-HANGZHOU", "D-ZHEJIANG"]
    assert found["nearest_legal"] == {"dealer": "D-HANGZHOU", "metres": 0.0}
    assert found["territory"] > 0
    shown = api.post("/geofence/explain", json=asked).json()
    roles = [each["properties"]["role"] for each in shown["map"]["features"]]
    assert roles == ["position", "error", "error", "territory", "legal", "legal", "legal"]
    own = shown["map"]["features"][3]
    assert own["geometry"] is None, "nothing of it lies around"
    early = api.post("/geofence/check", json={**asked, "at": "2020-01-01T00:00:00Z"}).json()
    assert (early["verdict"], early["territory"]) == ("uncertain", None)


def test_a_batch_answers_each_row_and_goes_on_after_bad_ones(api: httpx.Client) -> None:
    bad = [point((200, 1)), point(CHENGDU, accuracy_m=-1), point(CHENGDU, crs="mars"), {"type": "Feature"}, 7]
    features = [point(CHENGDU), *bad, point(HANGZHOU), {**point(CHENGDU), "geometry": None}]
    text = json.dumps(collection(*features))
    found = api.post("/geofence/check/batch", content=text).json()["features"]
    assert [each["properties"].get("verdict") for each in found] == ["inside", *[None] * 5, "outside", "no_location"]
    errors = [each["properties"]["error"] for each in found[1:6]]
    assert "lon" in errors[0]
    assert "accuracy_m" in errors[1]
    assert "crs" in errors[2]
    assert errors[4] == "no Feature"
    assert api.post("/geofence/check/batch", content="[]").status_code == 422
    nan = text.replace("104.07", "NaN", 1)
    assert "error" in api.post("/geofence/check/batch", content=nan).json()["features"][0]["properties"]


def test_territories_at_a_time_come_as_geojson(api: httpx.Client) -> None:
    answer = api.get("/territories", params={"dealer": "D-CHENGDU"})
    assert answer.headers["content-type"] == "application/geo+json"
    (feature,) = answer.json()["features"]
    assert feature["properties"]["adcodes"] == ["510100"]
    coarse = api.get("/territories", params={"dealer": "D-CHENGDU", "tolerance": 0.01})
    assert len(coarse.content) < len(answer.content) / 2
    assert len(api.get("/territories", params={"tolerance": 0.05}).json()["features"]) == 17
    assert api.get("/territories", params={"at": "2020-01-01T00:00:00Z"}).json()["features"] == []
    assert api.get("/territories", params={"at": "yesterday"}).status_code == 422
    rows = api.get("/territories/versions", params={"dealer": "D-CHENGDU"}).json()
    assert [(row["source"], row["sound"]) for row in rows] == [("registered", True)]


def test_a_draft_is_stored_reported_simulated_refused_published_and_seen(site: Site, api: httpx.Client) -> None:
    wide = collection(proposal("D-CHENGDU", "510100", "330100"))
    tried = api.post("/territories/proposals/report", json=wide).json()
    assert not tried["sound"]
    made = api.post("/territories/proposals/draft", params={"name": "春季"}, json=wide)
    assert made.status_code == 201
    number = made.json()["draft"]
    assert api.get(f"/territories/drafts/{number}").json()["features"][0]["properties"]["dealer"] == "D-CHENGDU"
    assert api.get(f"/territories/drafts/{number}/report").json()["remarks"] == made.json()["remarks"]
    simulated = api.post(f"/territories/drafts/{number}/simulate", json={}).json()
    (place,) = simulated["places"]
    assert (place["city"], place["before"], place["after"]) == ("330100", "outside", "inside")
    assert simulated["changed"] == place["scans"] > 0
    with client(site, "analyst") as analyst:
        refused = analyst.post(f"/territories/drafts/{number}/publish", json={})
        assert (refused.status_code, refused.json()["code"]) == (403, "ROLE_MISSING")
    against = api.post(f"/territories/drafts/{number}/publish", json={})
    assert (against.status_code, against.json()["code"]) == (409, "TERRITORY_DRAFT_REFUSED")
    assert {each["code"] for each in against.json()["remarks"]} == {"overlap", "beyond_parent"}
    accepted = {"accept": ["overlap", "beyond_parent"], "rejudge": True}
    done = api.post(f"/territories/drafts/{number}/publish", json=accepted).json()
    asked = {"dealer": "D-CHENGDU", "position": {"lon": HANGZHOU[0], "lat": HANGZHOU[1], "accuracy_m": 40}}
    today = api.post("/geofence/check", json=asked).json()
    assert (today["verdict"], today["territory"]) == ("inside", done["territories"][0])
    before = api.post("/geofence/check", json={**asked, "known_at": "2026-03-05T00:00:00Z"}).json()
    assert before["verdict"] == "outside"
    again = api.post(f"/territories/drafts/{number}/publish", json=accepted)
    assert (again.status_code, again.json()["code"]) == (409, "STATE_CONFLICT")
    assert api.get("/territories/drafts").json()[0]["state"] == "published"
    with psycopg.connect(site.world.owner_dsn) as owner:
        assert owner.execute("SELECT count(*) > 0 FROM trace.reevaluation").fetchone() == (True,)


def test_another_brand_sees_nothing_of_it(site: Site, api: httpx.Client) -> None:
    made = api.post(
        "/territories/proposals/draft", params={"name": "x"}, json=collection(proposal("D-WUHOU", "510107"))
    )
    number = made.json()["draft"]
    with client(site, OTHER_LOGIN) as rival:
        assert rival.get("/territories").json()["features"] == []
        assert rival.get("/territories/drafts").json() == []
        assert rival.get(f"/territories/drafts/{number}").status_code == 404
        assert rival.post(f"/territories/drafts/{number}/publish", json={}).status_code == 404
        assert rival.post("/geofence/check", json={"dealer": "D-CHENGDU"}).json()["legal_dealers"] == []
    assert asking.get(f"{site.url}{API}/territories").status_code == 401
    assert api.post(f"/territories/drafts/{number}/drop").status_code == 204


def test_what_no_draft_can_be_made_of_is_refused(api: httpx.Client) -> None:
    url = "/territories/proposals/draft?name=x"
    for content in (b"", b"{}", b"[" * 100_000, b'{"features": 7}', b"dealer,shape\nD-1,x\n", b"\xff\xfe"):
        answer = api.post(url, content=content)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PARAMETER"), content[:40]
    crossing = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    answer = api.post(url, json=collection({**proposal("D-CHENGDU"), "geometry": crossing}))
    (remark,) = answer.json()["remarks"]
    assert (answer.status_code, remark["where"]) == (422, "feature 0 (f1)")
    assert "crosses itself" in remark["message"]
    large = api.post(url, content=iter([b"x" * 100]))
    assert large.status_code == 413
