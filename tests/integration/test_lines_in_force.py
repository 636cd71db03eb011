"""One shelf, one truth: whoever shows or uses a place's demand and lines means the same ones."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import asking
import psycopg
import pytest
from conftest import TestDatabase
from console_world import BRAND, LOGIN, PASSWORD, Site, make_world, running, token
from test_console_pages import log_in

from trace_service.replenishment.night.runs import run
from trace_service.sql import load_queries
from trace_service.store.connection import connect
from trace_service.tokens import add_token

STORE, OWN, CONFIGURED = "S-CHENGDU-01", "09506000134352", "09506000134376"
TONIGHT = datetime(2026, 9, 1, 20, tzinfo=UTC)
TODAY = date(2026, 9, 2)


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn)
    random = Random(1)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("DELETE FROM trace.proposal")
        owner.execute(
            "UPDATE trace.stock SET quantity = 25, sensed = 25, certainty = 0.4, confidence = 1, daily_demand = 1,"
            " reorder = 30, maximum = 300"
        )
        for back in range(1, 150):
            owner.execute(
                "INSERT INTO trace.demand_day (brand, site, gtin, day, units, source)"
                " VALUES (%s, %s, %s, %s, %s, 'file')",
                (BRAND, STORE, OWN, TODAY - timedelta(days=back), random.randint(4, 10)),
            )
    with running(world) as site:
        yield site


def night(site: Site) -> None:
    with connect(site.world.settings.database_url.get_secret_value(), "night") as connection:
        assert run(connection, BRAND, TONIGHT, 0.95) is not None


def here(rows: list[dict[str, Any]], gtin: str) -> dict[str, Any]:
    (row,) = [each for each in rows if (each["site"], each["gtin"]) == (STORE, gtin)]
    return row


def test_stock_proposals_counts_and_lines_tell_of_the_same_demand_and_lines(site: Site, database: TestDatabase) -> None:
    night(site)
    with connect(database.trace_dsn, "test") as connection:
        partner = {"Authorization": f"Bearer {add_token(connection, BRAND, 'erp', ['replenish'], timedelta(days=1))}"}
    base = f"{site.url}/api/v1"
    proposals = asking.get(f"{base}/replenishment/proposals", params={"state": "open"}, headers=partner).json()
    lines = asking.get(f"{base}/replenishment/lines", headers=partner).json()["lines"]
    stock = asking.get(f"{base}/stock", headers=token(site)).json()["stock"]
    counts = asking.get(f"{base}/stock/counts", headers=token(site)).json()["counts"]
    orders = [each for each in proposals["proposals"] if each["kind"] == "order"]
    for gtin, model in ((OWN, "codefence-2"), (CONFIGURED, "lines-1")):
        row, line, order = here(stock, gtin), here(lines, gtin), here(orders, gtin)
        said = order["reason"]["parameters"]
        assert order["model"] == row["model"] == line["model"] == model
        assert said["daily_demand"] == round(row["daily_demand"], 3) == round(line["daily_demand"], 3)
        assert here(counts, gtin)["daily_demand"] == row["daily_demand"]
        assert (said["reorder"], said["maximum"]) == (row["reorder"], row["maximum"])
        assert (line["warning"], line["maximum"]) == (row["reorder"], row["maximum"])
        assert (row["proposal"], row["proposed"]) == (order["id"], order["quantity"])
    assert 5 < here(stock, OWN)["daily_demand"] < 9
    assert (here(stock, CONFIGURED)["daily_demand"], here(stock, CONFIGURED)["reorder"]) == (1, 30)


def test_what_a_count_is_worth_is_the_same_on_the_stock_page_and_as_a_proposal(
    site: Site, database: TestDatabase
) -> None:
    night(site)
    counts = asking.get(f"{site.url}/api/v1/stock/counts", headers=token(site)).json()["counts"]
    with psycopg.connect(database.owner_dsn) as owner:
        proposed = owner.execute(
            "SELECT site, gtin, (reason #>> '{parameters,value}')::float FROM trace.proposal WHERE kind = 'count'"
        ).fetchall()
    assert len(proposed) > 1
    shown = {(each["site"], each["gtin"]): each["value"] for each in counts}
    for store, gtin, value in proposed:
        assert value == pytest.approx(shown[store, gtin], rel=0.001)


def test_a_shelf_lasts_as_long_on_the_stock_page_as_its_proposal_says_and_the_plan_is_beside_it(site: Site) -> None:
    night(site)
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        log_in(browser, LOGIN, PASSWORD)
        for language, lasts in (("en", r"lasts (about [\d.]+ days)"), ("zh", r"还能卖(约 [\d.]+ 天)")):
            browser.get(f"/language/{language}", params={"next": "/stock"})
            listed = browser.get("/stock").text
            row = listed.partition(f'id="stock-{STORE}-{OWN}"')[2].partition("</tr>")[0]
            link = re.search(r'href="(/proposals\?before=\d+)#(proposal-\d+)"', row)
            assert link is not None
            card = browser.get(link[1]).text.partition(f'id="{link[2]}"')[2].partition("</li>")[0]
            told = re.search(lasts, card)
            assert told is not None
            assert told[1] in row
        page = browser.get(f"/stock/{STORE}/{OWN}").text
        assert "149 天销售记录" in page
        assert "未来 30 天订货计划" in page
        assert "预设值" in browser.get(f"/stock/{STORE}/{CONFIGURED}").text


@pytest.mark.parametrize(
    ("uplift", "zh", "en"), [(3.0, "比平日多卖约", "more than usual"), (0.2, "少卖", "fewer than")]
)
def test_a_promotion_says_on_every_page_why_another_quantity_is_ordered(
    site: Site, database: TestDatabase, uplift: float, zh: str, en: str
) -> None:
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.promotion (brand, gtin, sites, first_day, last_day, uplift, name, planned_by)"
            " VALUES (%s, %s, '{}', %s, %s, %s, '<b>开学季', 'ann')",
            (BRAND, OWN, TODAY + timedelta(days=2), TODAY + timedelta(days=6), uplift),
        )
        owner.execute("UPDATE trace.stock SET quantity = 5, sensed = 5 WHERE site = %s AND gtin = %s", (STORE, OWN))
    night(site)
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        log_in(browser, LOGIN, PASSWORD)
        for path in ("/proposals", f"/stock/{STORE}/{OWN}"):
            browser.get("/language/zh", params={"next": "/"})
            chinese = browser.get(path).text
            assert zh in chinese
            assert "因&lt;b&gt;开学季（2026年9月4日起）" in chinese
            browser.get("/language/en", params={"next": "/"})
            assert en in browser.get(path).text


def test_of_stock_that_nobody_knows_no_page_says_that_it_is_time_to_order(site: Site, database: TestDatabase) -> None:
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("UPDATE trace.stock SET quantity = NULL, sensed = NULL, ledger = 0, received = false")
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        log_in(browser, LOGIN, PASSWORD)
        browser.get("/language/en", params={"next": "/"})
        listed = browser.get("/stock").text
    assert "not known" in listed
    assert "Time to order" not in listed
    assert "Enough" not in listed


@pytest.mark.usefixtures("site")
def test_what_needs_ordering_is_shown_before_what_nobody_knows(database: TestDatabase) -> None:
    with connect(database.owner_dsn, "test") as owner:
        owner.execute("UPDATE trace.stock SET quantity = NULL, sensed = NULL, ledger = 0, received = false")
        (low,) = owner.execute("SELECT site, gtin FROM trace.stock ORDER BY site DESC, gtin DESC LIMIT 1").fetchall()
        owner.execute("UPDATE trace.stock SET quantity = 5 WHERE site = %s AND gtin = %s", low)
    with connect(database.trace_dsn, "test") as connection:
        query = load_queries("trace_service.web")["stock_urgent"]
        shown = connection.execute(query, {"brand": BRAND, "limit": 1}).fetchall()
    assert [(row.site, row.gtin) for row in shown] == [low]
