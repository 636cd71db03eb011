"""The stock pages and their interface: one figure, what contradicts it, what to count, the climate."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import asking
import httpx
import psycopg
import pytest
from conftest import TestDatabase
from console_world import BRAND, LOGIN, OTHER_LOGIN, PASSWORD, Site, make_world, running, token

STORE, GTIN = "S-CHENGDU-01", "09506000134352"


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "UPDATE trace.stock SET quantity = 7, certainty = 0.4, ledger = 9, received = true, coming = 6,"
            " backroom = 2 WHERE site = %s AND gtin = %s",
            (STORE, GTIN),
        )
        owner.execute(
            "INSERT INTO trace.stock_finding (brand, site, gtin, kind, quantity, device, boot, seq)"
            " VALUES (%s, %s, %s, 'unexplained_stock', 3, 'till', %s, 1)",
            (BRAND, STORE, GTIN, uuid4()),
        )
        for lot, count in (("L1", 3), ("L2", 6)):
            owner.execute(
                "INSERT INTO trace.stock_unit (site, unit, gtin, lot, present, coming, strange)"
                " SELECT %s, '/01/' || %s || '/21/' || %s || n, %s, '/01/' || %s || '/10/' || %s, true, false, false"
                " FROM generate_series(1, %s) AS n",
                (STORE, GTIN, lot, GTIN, GTIN, lot, count),
            )
        owner.execute(
            "INSERT INTO landing.environment (device, boot, seq, ts, sent_at, received_at, content, site,"
            " temperature_c, humidity, mean_kinetic_c, door_open, alarm)"
            " VALUES ('shelf-01', %s, 1, now(), now(), now(), 0, %s, 11.5, 61, 6.2, true, 'TOO_WARM')",
            (uuid4(), STORE),
        )
    with running(world) as site:
        yield site


def test_programs_get_figure_findings_counts_lots_and_climate_and_a_count_makes_the_books_right(site: Site) -> None:
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site)) as api:
        row = next(each for each in api.get("/stock").json()["stock"] if (each["site"], each["gtin"]) == (STORE, GTIN))
        assert (row["quantity"], row["certainty"], row["backroom"], row["coming"]) == (7, 0.4, 2, 6)
        (finding,) = api.get("/stock/findings").json()["findings"]
        assert (finding["kind"], finding["quantity"]) == ("unexplained_stock", 3)
        counts = api.get("/stock/counts").json()["counts"]
        assert [each["value"] for each in counts] == sorted((each["value"] for each in counts), reverse=True)
        assert (STORE, GTIN) in {(each["site"], each["gtin"]) for each in counts}
        (climate,) = api.get("/stock/climate").json()["climate"]
        assert (climate["alarm"], climate["door_open"], climate["mean_kinetic_c"]) == ("TOO_WARM", True, 6.2)
        place = api.get(f"/stock/{STORE}/{GTIN}").json()
        assert sum(lot["quantity"] for lot in place["lots"]) == 7
        counted = api.post(f"/stock/{STORE}/{GTIN}/count", json={"counted": 5}).json()["stock"]
        assert (counted["quantity"], counted["ledger"], counted["certainty"]) == (5, 5, 0.99)
        for wrong in ({"counted": -1}, {"counted": 10_000_000}, {"counted": "five"}, {}):
            assert api.post(f"/stock/{STORE}/{GTIN}/count", json=wrong).status_code == 422
        assert api.post(f"/stock/{STORE}/04012345000009/count", json={"counted": 1}).status_code == 404
    with psycopg.connect(site.world.owner_dsn) as owner:
        assert owner.execute("SELECT counted, believed, counted_by FROM trace.stock_count").fetchall() == [
            (5, 7, "demo")
        ]
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site, OTHER_LOGIN)) as rival:
        assert rival.get(f"/stock/{STORE}/{GTIN}").status_code == 404
        assert rival.get("/stock/findings").json()["findings"] == []
        assert rival.get("/stock/climate").json()["climate"] == []
        assert rival.post(f"/stock/{STORE}/{GTIN}/count", json={"counted": 1}).status_code == 404


def test_a_person_sees_where_a_figure_comes_from_and_enters_a_count(site: Site) -> None:
    with asking.Client(base_url=site.url, follow_redirects=True, headers={"Origin": site.url}) as browser:
        form = {"login": LOGIN, "password": PASSWORD, "csrf": _csrf(browser.get("/login").text)}
        browser.post("/login", data=form)
        browser.get("/language/en", params={"next": "/stock"})
        listed = browser.get("/stock").text
        for words in ("40% certain", "+ 2 in the backroom", "too warm, 11.5 °C", "Unexplained stock", "Worth counting"):
            assert words in listed
        page = browser.get(f"/stock/{STORE}/{GTIN}").text
        assert "What expires first" in page
        csrf = _csrf(page.partition('id="count"')[2])
        path = f"/stock/{STORE}/{GTIN}/count"
        assert browser.post(path, data={"csrf": "wrong", "counted": "5"}).status_code == 403
        after = browser.post(path, data={"csrf": csrf, "counted": "5"})
        assert "99% certain" in after.text


def test_stock_and_leads_come_in_parts_and_nothing_is_lost_between_them(site: Site) -> None:
    with psycopg.connect(site.world.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.stock_unit (site, unit, gtin, present, coming, strange, sold_at)"
            " SELECT %s, '/01/' || %s || '/21/X' || n, %s, false, false, true, now() - n / 2 * interval '1 minute'"
            " FROM generate_series(1, 7) AS n",
            (STORE, GTIN, GTIN),
        )
        owner.execute(
            "INSERT INTO trace.shipment VALUES ('SO-1', %s, 'dc-east', 'D-HANGZHOU', now() - interval '1 day')",
            (BRAND,),
        )
        owner.execute(
            "INSERT INTO trace.binding (brand, unit, dealer, shipment, valid_from, device, boot, seq)"
            " VALUES (%s, %s, 'D-HANGZHOU', 'SO-1', now() - interval '1 day', 'station', %s, 1)",
            (BRAND, f"/01/{GTIN}/21/X1", uuid4()),
        )
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site)) as api:
        whole = [(row["site"], row["gtin"]) for row in api.get("/stock").json()["stock"]]
        assert _parts(api, "/stock", "stock", 3, lambda row: (row["site"], row["gtin"])) == whole
        assert whole == sorted(whole)
        here = api.get("/stock", params={"site": STORE}).json()["stock"]
        assert {row["site"] for row in here} == {STORE}
        units = _parts(api, "/stock/leads", "leads", 2, lambda row: row["unit"])
        assert sorted(units) == [f"/01/{GTIN}/21/X{n}" for n in range(1, 8)]
        supplied = {row["unit"][-2:]: row["supplied_to"] for row in api.get("/stock/leads").json()["leads"]}
        assert supplied == {"X1": "D-HANGZHOU"} | {f"X{n}": None for n in range(2, 8)}
        for wrong in ({"limit": 0}, {"limit": 501}, {"after": "nowhere"}, {"site": "a b"}):
            assert api.get("/stock", params=wrong).status_code == 422
        assert api.get("/stock/leads", params={"after": "2026-99-99T00:00:00+00:00/01/x"}).status_code == 422
        assert api.get("/stock/leads", params={"after": f"2026-99-99T00:00:00+00:00/01/{GTIN}/21/X"}).status_code == 422
    with asking.Client(base_url=f"{site.url}/api/v1", headers=token(site, OTHER_LOGIN)) as rival:
        assert rival.get("/stock/leads").json() == {"leads": [], "after": None}


def _parts(api: httpx.Client, path: str, key: str, limit: int, name: Callable[[dict[str, Any]], Any]) -> list[Any]:
    found: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        part = api.get(path, params={"limit": limit, **cursor}).json()
        assert len(part[key]) <= limit
        found += map(name, part[key])
        if part["after"] is None:
            return found
        cursor = {"after": part["after"]}


def _csrf(page: str) -> str:
    return page.partition('name="csrf" value="')[2].partition('"')[0]
