import io

import psycopg
import pytest
from console_world import CITY, Site, add_alert, add_case, fresh_cases
from PIL import Image
from playwright.sync_api import Frame, Page, Route, expect
from visiting import Visit

from trace_service.store.connection import connect

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}


def add_live(site: Site, city: str) -> None:
    cases = fresh_cases(site.world, 5)
    with connect(site.world.owner_dsn, "browser test") as connection, connection.transaction():
        add_alert(connection, cases, city)
        connection.execute("""SELECT pg_notify('console', '{"kind": "alert", "brand": "qingyuan"}')""")


def reload_until_live(page: Page, part: str) -> None:
    """Load the page anew and wait until, once connected, it looked for news by itself."""
    anew: list[Frame] = []  # an answer that the page before was still owed says nothing about this one
    page.once("framenavigated", lambda frame: anew.append(frame))  # noqa: PLW0108  no method of C can be called back
    with page.expect_response(
        lambda answer: bool(anew) and part in answer.url and "hx-request" in answer.request.headers
    ):
        page.reload()


def test_from_the_queue_to_the_reason_the_map_and_the_message(visit: Visit) -> None:
    page = visit()
    page.locator("a.open").click()
    expect(page.locator("h1")).to_have_text("成都蜀清商贸的货出现在杭州市")
    expect(page.locator("main")).to_contain_text("正常流通预计只会有 0.31 箱")
    page.locator("#map[data-drawn=true]").wait_for()
    expect(page.locator("#map canvas")).to_have_count(1)
    picture = Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("RGB")
    colours = picture.getcolors(maxcolors=10**6)
    assert colours is not None
    assert len(colours) > 20
    # Territory and city of discovery are both in sight.
    assert any(red > 150 and green < 90 and blue < 90 for _, (red, green, blue) in colours)
    assert any(red < 60 and 70 < green < 130 and blue > 90 for _, (red, green, blue) in colours)
    page.locator("table.scans a").first.click()
    expect(page.locator("main")).to_contain_text("v1/market/p13/gateway-market/scan")


def test_closing_needs_an_outcome_and_keeps_it(visit: Visit) -> None:
    page = visit()
    page.locator("a.open").click()
    page.get_by_role("button", name="开始处理").click()
    expect(page.locator(".chip-acknowledged")).to_be_visible()
    page.get_by_role("button", name="关闭预警").click()
    expect(page.locator(".chip-acknowledged")).to_be_visible()
    page.get_by_text("确认窜货").click()
    page.get_by_role("button", name="关闭预警").click()
    expect(page.locator(".chip-closed")).to_be_visible()
    expect(page.locator("aside")).to_contain_text("确认窜货")


def test_a_new_alert_arrives_without_reload_and_without_moving_the_rows(visit: Visit, site: Site) -> None:
    page = visit()
    page.evaluate("() => { document.body.dataset.same = 'page' }")
    before = page.locator("tr.row").bounding_box()
    add_live(site, "320100")
    bar = page.locator("a.news")
    expect(bar).to_contain_text("1 条新内容")
    expect(page.locator("tr.row")).to_have_count(1)
    expect(page.locator("#count-open")).to_have_text("2")
    bar.click()
    expect(page.locator("tr.row")).to_have_count(2)
    expect(page.locator("a.news")).to_have_count(0)
    expect(page.locator("tr.row").last).to_contain_text("杭州市")
    assert page.locator("body").get_attribute("data-same") == "page"
    assert before is not None


def test_an_empty_queue_fills_itself(visit: Visit, site: Site) -> None:
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("UPDATE trace.alert SET state = 'closed', outcome = 'unresolved'")
    page = visit()
    expect(page.locator("main")).to_contain_text("没有待处理的预警")
    add_live(site, CITY)
    expect(page.locator("a.open")).to_be_visible()


@pytest.mark.parametrize(("path", "shown"), [("/", "a.open"), ("/cases", "a.open"), ("/proposals", ".proposal")])
def test_what_came_before_an_empty_page_could_listen_is_shown_all_the_same(
    visit: Visit, site: Site, path: str, shown: str
) -> None:
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("UPDATE trace.alert SET state = 'closed', outcome = 'unresolved'")
        connection.execute("UPDATE trace.proposal SET state = 'withdrawn'")
    page = visit("/devices")

    def meanwhile(route: Route) -> None:
        with psycopg.connect(site.world.owner_dsn) as connection:
            connection.execute("UPDATE trace.alert SET state = 'open', outcome = NULL")
            connection.execute("UPDATE trace.proposal SET state = 'open'")
        add_case(site.world)
        route.continue_()

    page.route("**/events", meanwhile, times=1)
    page.goto(site.url + path)
    expect(page.locator(shown)).to_be_visible()


def test_stock_follows_the_shelf(visit: Visit, site: Site) -> None:
    page = visit("/stock")
    row = page.locator("table.stock tbody tr").first
    expect(row.locator("strong")).to_have_text("9")
    reload_until_live(page, "/stock")
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("UPDATE trace.stock SET sensed = 47 WHERE sensed = 9")
        connection.execute("""SELECT pg_notify('console', '{"kind": "stock", "brand": "qingyuan"}')""")
    expect(row.locator("strong")).to_have_text("47")
    expect(row.locator("svg.meter")).to_have_class("meter")


def test_a_proposal_is_approved_in_place(visit: Visit) -> None:
    page = visit("/proposals")
    page.evaluate("() => { document.body.dataset.same = 'page' }")
    page.get_by_role("button", name="批准").click()
    expect(page.locator(".proposal .chip-approved")).to_be_visible()
    assert page.locator("body").get_attribute("data-same") == "page"


def test_a_decision_about_another_quantity_is_refused_in_words_and_can_be_made_again(visit: Visit, site: Site) -> None:
    page = visit("/proposals")
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("UPDATE trace.proposal SET quantity = 42")
    page.get_by_role("button", name="批准").click()
    expect(page.locator(".proposal [role=alert]")).to_contain_text("您的操作尚未生效")
    expect(page.locator(".proposal .big")).to_contain_text("42")
    page.get_by_role("button", name="批准").click()
    expect(page.locator(".proposal .chip-approved")).to_be_visible()
    expect(page.locator(".proposal [role=alert]")).to_have_count(0)


def test_the_language_switch_changes_the_page_and_stays(visit: Visit) -> None:
    page = visit("/stock")
    page.get_by_role("link", name="English").click()
    expect(page.locator("h1")).to_have_text("Stock")
    page.get_by_role("link", name="Alerts").click()
    expect(page.locator("th[scope=row]").first).to_contain_text("found in Hangzhou")


def test_the_keyboard_walks_opens_and_explains(visit: Visit, site: Site) -> None:
    add_live(site, "320100")
    page = visit()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(page.locator("a.open").first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("a.open").last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("杭州市")
    page.wait_for_load_state()  # the heading is there before the script that hears the keys
    page.keyboard.press("u")
    expect(page.locator("tr.row")).to_have_count(2)


def test_a_page_whose_session_ended_leads_to_the_log_in_by_itself(visit: Visit, site: Site) -> None:
    page = visit()
    reload_until_live(page, "/alerts/news")
    with psycopg.connect(site.world.owner_dsn) as connection:
        connection.execute("DELETE FROM trace.session")
        connection.execute("""SELECT pg_notify('console', '{"kind": "alert", "brand": "qingyuan"}')""")
    expect(page.locator("input[name=login]")).to_be_visible()


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
def test_nothing_scrolls_sideways_on_a_phone(visit: Visit, site: Site, language: str) -> None:
    page = visit("/", viewport=PHONE, locale=language)
    for path in ("/", f"/alerts/{site.world.alert}", "/stock", "/proposals", "/devices", "/login", "/?state=closed"):
        page.goto(site.url + path)
        for journey in page.locator("details.journey").all()[:1]:
            journey.locator("summary").click()
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= PHONE["width"], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(visit: Visit, site: Site, scheme: str) -> None:
    page = visit("/", color_scheme=scheme)
    for path in ("/", f"/alerts/{site.world.alert}", "/stock", "/proposals", "/devices", "/login"):
        page.goto(site.url + path)
        assert page.evaluate(FAINT_TEXT) == [], path


FAINT_TEXT = """() => {
  const channel = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const parse = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number);
    return [...found.slice(0, 3), found[3] ?? 1];
  };
  const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parse(getComputedStyle(each).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest("#map, dialog, [hidden]")) continue;
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !element.getClientRects().length) continue;
    const [one, two] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
    const contrast = (one + 0.05) / (two + 0.05);
    if (contrast < 4.5) faint.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""
