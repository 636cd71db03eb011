"""Where to look next in a real browser: list and map, both languages, light and dark, a desk and a phone."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from conftest import TestDatabase
from console_world import BRAND, DEALER, Site, add_person, make_world, running
from playwright.sync_api import expect
from psycopg.types.json import Jsonb
from visiting import Visit

from trace_service.inspections import store
from trace_service.inspections.model import Base, Place, Suspicion
from trace_service.store.connection import connect

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
PLACES = (
    ("330600", 30.0, 120.58, 0.4), ("330400", 30.75, 120.76, 0.12), ("330700", 29.08, 119.65, 0.05),
    ("330500", 30.87, 120.1, 0.02), ("330200", 29.87, 121.55, 0.01),
)  # fmt: skip


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn, cases=4)
    add_person(world, "zhao", "inspector", "赵强")
    now = datetime.now(UTC)
    with connect(world.owner_dsn, "test") as connection:
        store.put_base(connection, BRAND, Base(name="杭州", lat=30.27, lon=120.16))
        suspicions = [
            Suspicion(
                dealer=DEALER, city=city, probability=probability, nats=4.0, short=2.0, cases=2,
                last_seen=int(now.timestamp() * 1000) - 3 * 86_400_000,
            )
            for city, _, _, probability in PLACES
        ]  # fmt: skip
        places = [Place(city=city, lat=lat, lon=lon, population=5e6) for city, lat, lon, _ in PLACES]
        seen, known = (Jsonb(msgspec.to_builtins(each)) for each in (suspicions, places))
        row = {"brand": BRAND, "at": now, "suspicions": seen, "places": known, "versions": Jsonb({})}
        connection.execute(store.SQL["put_state"], row)
        store.make_plan(connection, BRAND, now.date(), now)
    with running(world) as site:
        yield site


def test_one_click_sends_an_inspector_where_the_plan_says(visit: Visit) -> None:
    page = visit("/inspections")
    expect(page.locator("h1")).to_have_text("下一步去哪查")
    expect(page.locator("#map[data-drawn=true]")).to_be_visible()
    first = page.locator(".visit").filter(has_text="绍兴")
    expect(first).to_contain_text("窜货概率")
    first.locator("select").select_option("zhao")
    first.locator("button").click()
    page.wait_for_url("**/checks/*")
    expect(page.locator(".check-task")).to_contain_text("绍兴")
    page.goto(page.url.rpartition("/checks/")[0] + "/inspections")
    expect(page.locator(".visit").filter(has_text="绍兴").locator("a.button")).to_contain_text("已派核查")


def test_it_fits_a_phone_and_speaks_english_in_the_dark(visit: Visit) -> None:
    page = visit("/inspections", locale="en-GB", viewport=PHONE, color_scheme="dark")
    expect(page.locator("h1")).to_have_text("Where to look next")
    expect(page.locator(".visit").first).to_contain_text("chance that it ends in an alert")
    expect(page.locator("#map[data-drawn=true]")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
