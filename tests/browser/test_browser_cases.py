"""Cases and field checks in a real browser: at a desk and on an inspector's phone."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from conftest import TestDatabase
from console_world import BRAND, LOGIN, Site, add_case, add_person, make_world, running
from PIL import Image
from playwright.sync_api import expect
from visiting import Visit

from trace_service.cases.checks import Task, order_check
from trace_service.cases.machine import Actor
from trace_service.domain.roles import Role
from trace_service.store.connection import connect

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn, cases=8)
    add_person(world, "zhao", "inspector", "赵强")
    with running(world) as site:
        yield site


def test_a_case_shows_its_map_and_is_taken_on_and_closed(site: Site, visit: Visit) -> None:
    number = add_case(site.world)
    page = visit("/cases")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/cases/{number}")
    page.locator("#map[data-drawn=true]").wait_for()
    page.get_by_role("button", name="由我负责").click()
    expect(page.locator(".facts .chip-investigating")).to_have_text("调查中")
    page.get_by_text("关闭工单").first.click()
    page.get_by_role("radio", name="确认窜货").check()
    page.locator(".closing button").click()
    expect(page.locator(".facts .chip-closed")).to_have_text("已关闭")
    expect(page.get_by_role("button", name="重新打开")).to_be_visible()


def test_an_open_page_says_that_its_case_has_changed(site: Site, visit: Visit) -> None:
    number = add_case(site.world)
    page = visit(f"/cases/{number}")
    other = visit(f"/cases/{number}")
    other.locator("textarea[name=text]").first.fill("已联系经销商")
    other.get_by_role("button", name="添加备注").click()
    expect(page.locator("a.news")).to_contain_text("这件工单有更新")
    page.locator("a.news").click()
    expect(page.locator("blockquote")).to_have_text("已联系经销商")


def test_an_inspector_reports_from_a_phone_with_photo_and_position(site: Site, visit: Visit) -> None:
    number = add_case(site.world)
    with connect(site.world.owner_dsn, "test") as connection:
        task = Task(
            instructions="看看货架", place="拱墅区", assignee="zhao", due_at=datetime.now(UTC) + timedelta(days=2)
        )
        check = order_check(connection, Actor(BRAND, LOGIN, Role.MANAGER), number, task)
        row = connection.execute("SELECT code FROM trace.verdict LIMIT 1").fetchone()
    assert row is not None
    place = {"latitude": 30.2711, "longitude": 120.1622, "accuracy": 14}
    page = visit("/checks", "zhao", viewport=PHONE, geolocation=place, permissions=["geolocation"])
    page.get_by_role("link", name="到店核查").click()
    page.wait_for_url(f"{site.url}/checks/{check}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_text("找到了").click()
    page.get_by_role("button", name="提交").click()
    # Refused on the phone, before anything is sent: a page that says so would lose the photos.
    expect(page.locator("input[name=code]:invalid")).to_be_focused()
    page.get_by_text("没找到").click()
    expect(page.locator("input[name=code]:invalid")).to_have_count(0)
    page.get_by_text("找到了").click()
    page.locator("input[name=code]").fill(row[0])
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), (120, 90, 60)).save(picture, "JPEG")
    page.locator("input[type=file]").set_input_files(
        {"name": "货架.jpg", "mimeType": "image/jpeg", "buffer": picture.getvalue()}
    )
    page.get_by_role("button", name="用我的位置").click()
    expect(page.locator("input[name=lat]")).to_have_value("30.271100")
    page.get_by_role("button", name="提交").click()
    expect(page.locator(".facts .chip")).to_have_text("已完成")
    desk = visit(f"/cases/{number}")
    desk.locator(".files img").scroll_into_view_if_needed()
    expect(desk.locator(".files img")).to_have_js_property("naturalWidth", 640)
    with connect(site.world.owner_dsn, "test") as connection:
        found = connection.execute("SELECT lon, lat, accuracy_m, device FROM trace.field_check_result").fetchone()
        files = connection.execute("SELECT count(*) AS n FROM trace.case_attachment").fetchone()
    assert found == (120.1622, 30.2711, 14, f"inspector-{BRAND}")
    assert files == (1,)
