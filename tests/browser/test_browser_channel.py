from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import TestDatabase
from console_world import LOGIN, PASSWORD, Site, make_world, running
from playwright.sync_api import Page, expect, sync_playwright
from screenshots import ARGUMENTS, CHROMIUM

pytestmark = pytest.mark.browser
BAD = "id,parent,name_zh,kind\nD-1,D-NONE,店,sub\n"
GOOD = "id,parent,name_zh,kind\nD-1,D-WUHOU,武侯一店,sub\n"


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    with running(make_world(database.owner_dsn, database.trace_dsn)) as site:
        yield site


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}: apt-get install chromium fonts-noto-cjk")
    complaints: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_context(locale="zh-CN", timezone_id="Asia/Shanghai").new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"{site.url}/login?next=/channel")
        page.locator("input[name=login]").fill(LOGIN)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main button").click()
        page.wait_for_url(f"{site.url}/channel")
        yield page
        browser.close()
    assert complaints == []


def test_a_table_is_checked_mended_and_imported_and_the_dealer_is_in_the_tree(page: Page) -> None:
    page.get_by_role("link", name="导入表格").click()
    chosen = page.locator("input[type=file]")
    chosen.set_input_files({"name": "dealers.csv", "mimeType": "text/csv", "buffer": BAD.encode()})
    page.get_by_role("button", name="仅检查").click()
    expect(page.locator("#report")).to_contain_text("没有上级经销商“D-NONE”")
    expect(page.locator("#report")).to_contain_text("第 2 行")
    assert chosen.evaluate("field => field.files.length") == 1, "the files stay chosen"
    chosen.set_input_files({"name": "dealers.csv", "mimeType": "text/csv", "buffer": GOOD.encode()})
    page.get_by_role("button", name="仅检查").click()
    expect(page.locator("#report")).to_contain_text("尚未导入")
    page.get_by_role("button", name="导入", exact=True).click()
    expect(page.locator("#report")).to_contain_text("已导入")
    page.get_by_role("navigation").get_by_role("link", name="渠道").first.click()
    page.get_by_label("名称或编号").fill("武侯一店")
    page.get_by_role("button", name="查看", exact=True).click()
    expect(page.locator(".tree li")).to_have_count(1)
    page.get_by_role("link", name="武侯一店").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("武侯一店")
    expect(page.locator(".crumb")).to_contain_text("成都武侯经销部")
