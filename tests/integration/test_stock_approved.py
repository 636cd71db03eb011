"""What somebody approved is seen where it is missing, and a proposal that ended by itself says so."""

import html
import re
from collections.abc import Iterator

import asking
import httpx
import psycopg
import pytest
from conftest import TestDatabase
from console_world import LOGIN, PASSWORD, Site, make_world, running

from trace_service.replenishment.proposals import Place, Rise, review
from trace_service.store.connection import connect


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    """A store with 4 items, a line of 12 and an order of 36 that is proposed and that last night planned for today."""
    world = make_world(database.owner_dsn, database.trace_dsn)
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "UPDATE trace.stock SET quantity = 4, sensed = 4, ledger = 4, confidence = 1, certainty = 0.9,"
            " received = true, reorder = 12, maximum = 48 FROM trace.proposal WHERE proposal.id = %s"
            " AND stock.site = proposal.site AND stock.gtin = proposal.gtin",
            (world.proposal,),
        )
        owner.execute(
            "INSERT INTO trace.planned_order (brand, site, gtin, order_on, quantity, arrives_on, early_on, model,"
            " occasion, made_at) SELECT brand, site, gtin, today, 36, today + 3, today, 'codefence-2', '',"
            " now() - interval '6 hours'"
            " FROM trace.proposal, LATERAL (SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date AS today) WHERE id = %s",
            (world.proposal,),
        )
    with running(world) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Iterator[httpx.Client]:
    with asking.Client(base_url=site.url, follow_redirects=True, headers={"Origin": site.url}) as browser:
        form = {"login": LOGIN, "password": PASSWORD, "csrf": _csrf(browser.get("/login").text)}
        browser.post("/login", data=form)
        browser.get("/language/en", params={"next": "/stock"})
        yield browser


def test_what_is_approved_and_not_arrived_is_said_and_counted_on(site: Site, browser: httpx.Client) -> None:
    assert _said(browser, _page(site)).count("Approved, not arrived 0") == 1
    approve(site, browser, 6)
    said = _said(browser, _page(site))
    assert "Approved, not arrived 6" in said
    assert "Time to order more than is approved" in said
    assert "6 approved since" in said
    with psycopg.connect(site.world.owner_dsn) as owner:
        owner.execute("UPDATE trace.proposal SET quantity = 36 WHERE id = %s", (site.world.proposal,))
    said = _said(browser, _page(site))
    assert "Approved, not arrived 36" in said
    assert "Enough with what is approved" in said
    assert "36 approved since" in said
    assert "Time to order" not in said
    (row,) = re.findall(
        rf'<tr id="stock-{_page(site)[7:].replace("/", "-")}">.*?</tr>', browser.get("/stock").text, re.DOTALL
    )
    assert "36 approved, not arrived" in row
    assert "Enough with what is approved" in row
    come(site, 40, 36)
    said = _said(browser, _page(site))
    assert "Approved, not arrived 0" in said
    assert "36 approved since" in said


def test_what_was_approved_and_is_late_is_not_counted_on_and_not_forgotten(site: Site, browser: httpx.Client) -> None:
    approve(site, browser, 36)
    with psycopg.connect(site.world.owner_dsn) as owner:
        owner.execute("UPDATE trace.proposal SET decided_at = now() - interval '9 days' WHERE state = 'approved'")
    said = _said(browser, _page(site))
    assert "36 late: no longer counted on" in said
    assert "Time to order" in said
    assert "approved since" not in said


def test_a_shelf_that_was_filled_ends_the_plan_of_the_day_and_the_proposal(site: Site, browser: httpx.Client) -> None:
    assert "not needed any more" not in _said(browser, _page(site))
    come(site, 60, 0)
    assert "not needed any more: there is enough by now" in _said(browser, _page(site))
    said = _said(browser, "/proposals?state=withdrawn")
    assert "no order was needed. There were 60 items, approved ones included." in said
    assert re.search(r"\d, by itself", said)
    browser.get("/language/zh", params={"next": "/stock"})
    assert "自动撤回：当时的库存加上已批准的订货已够" in _said(browser, "/proposals?state=withdrawn")


def approve(site: Site, browser: httpx.Client, quantity: int) -> None:
    form = {
        "decision": "approve",
        "quantity": str(quantity),
        "code": "budget",
        "csrf": _csrf(browser.get("/proposals").text),
    }
    assert browser.post(f"/proposals/{site.world.proposal}/override", data=form).status_code == 200


def come(site: Site, now: int, rise: int) -> None:
    """Let the shelf show so many items, of which so many came at once."""
    with connect(site.world.owner_dsn, "stock tests") as connection, connection.transaction():
        _, _, store, gtin = _page(site).split("/")
        connection.execute(
            "UPDATE trace.stock SET quantity = %s, sensed = %s WHERE site = %s AND gtin = %s", (now, now, store, gtin)
        )
        review(connection, [Place(store, gtin)], [Rise(store, gtin, rise)] if rise else [], None)


def _page(site: Site) -> str:
    with psycopg.connect(site.world.owner_dsn) as owner:
        row = owner.execute("SELECT site, gtin FROM trace.proposal WHERE id = %s", (site.world.proposal,)).fetchone()
    assert row is not None
    return f"/stock/{row[0]}/{row[1]}"


def _said(browser: httpx.Client, path: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", browser.get(path).text)).split())


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]
