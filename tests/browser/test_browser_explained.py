"""An alert that the engine raised, and a lead, in a real browser: both languages, dark, and on a phone."""

import pytest
from console_world import Site
from engine_world import MANAGER
from playwright.sync_api import expect
from visiting import Visit

from trace_service.store.connection import connect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(engine_site: Site) -> Site:
    return engine_site


def an_alert(site: Site) -> tuple[int, int]:
    with connect(site.world.owner_dsn, "test") as connection:
        row = connection.execute(
            "SELECT alert.id, case_id FROM trace.alert JOIN trace.case_alert ON alert = alert.id"
            " WHERE reason ->> 'code' = 'bulk' AND alert.state <> 'closed' ORDER BY alert.cases DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_an_alert_says_what_was_considered_and_what_would_change_it(site: Site, visit: Visit) -> None:
    alert, case = an_alert(site)
    page = visit(f"/alerts/{alert}", MANAGER, locale="en-GB", color_scheme="dark")
    page.locator("#map[data-drawn=true]").wait_for()
    expect(page.locator(".figures").first).to_contain_text("probability")
    expect(page.locator(".counted table").first).to_be_hidden()
    page.get_by_text("How the evidence was counted").click()
    expect(page.locator(".counted")).to_contain_text("they are not added")
    expect(page.locator("#change .wishes li").first).to_contain_text("the alert is taken back")
    expect(page.locator("#considered .explanations").first).to_contain_text("Travel and visits")
    expect(page.locator("#considered")).to_contain_text("Not applicable")
    page.get_by_text("Basis, and how to compute it again").click()
    expect(page.locator(".command")).to_have_text(f"codefence case reproduce {case} --brand w")
    expect(page.locator(".basis")).to_contain_text("as the alert says")
    page.goto(f"{site.url}/language/zh?next=/cases/{case}")
    # The case may have other findings of the dealer before this one.
    finding = page.locator(".finding").filter(has=page.locator(f'a[href="/alerts/{alert}"]'))
    change = finding.locator("details").filter(has=page.locator(".wishes")).first
    if change.get_attribute("open") is None:
        change.locator("summary").first.click()
    expect(finding.locator(".wishes").first).to_contain_text("预警自动撤回")
    folded = finding.locator(".explanations").filter(has_text="同一个买家、同一场宴席").first
    expect(folded).to_be_hidden()
    finding.get_by_text("考虑过的正常原因").click()
    finding.get_by_text("没有迹象，或不适用").click()
    expect(folded).to_be_visible()


def test_on_paper_an_alert_is_unfolded_and_has_nothing_to_press(site: Site, visit: Visit) -> None:
    alert, _ = an_alert(site)
    page = visit(f"/alerts/{alert}", MANAGER, locale="en-GB")
    counted = page.locator(".counted table").first
    expect(counted).to_be_hidden()
    page.emulate_media(media="print")
    expect(counted).to_be_visible()
    expect(page.locator("header.bar")).to_be_hidden()
    expect(page.locator("main button").filter(visible=True)).to_have_count(0)


def test_on_a_phone_nothing_runs_over_the_edge(site: Site, visit: Visit) -> None:
    alert, case = an_alert(site)
    page = visit(f"/alerts/{alert}", MANAGER, locale="zh-CN", viewport={"width": 390, "height": 844})
    for path in (f"/alerts/{alert}", f"/cases/{case}", "/leads", "/leads?about=other"):
        page.goto(site.url + path)
        for closed in page.locator("main details:not(.journey)").all():
            closed.evaluate("each => { each.open = true }")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_a_lead_accuses_nobody_and_is_reviewed(site: Site, visit: Visit) -> None:
    with connect(site.world.owner_dsn, "test") as connection:
        row = connection.execute("SELECT id, near FROM trace.lead WHERE ended IS NULL ORDER BY id LIMIT 1").fetchone()
    assert row is not None
    page = visit(f"/leads?about={'near' if row.near else 'other'}", MANAGER, locale="zh-CN")
    page.locator(f'a.open[href="/leads/{row.id}"]').click()
    expect(page.locator(".outcome")).to_contain_text("这是线索，不是预警")
    if row.near:
        expect(page.locator("main")).to_contain_text("箱货在")
    page.get_by_role("radio", name="无法判断").or_(page.locator("input[value=unresolved]")).first.check()
    page.get_by_role("button", name="记录结果").click()
    expect(page.locator("main")).to_contain_text("已有人查看并记录结果")
