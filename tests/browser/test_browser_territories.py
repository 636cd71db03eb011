"""The map of territories in a real browser: drawn without a complaint of the policy, and led through by links."""

import pytest
from playwright.sync_api import expect
from visiting import Visit

pytestmark = pytest.mark.browser
DRAFT = "dealer,adcodes,valid_from\nD-CHENGDU,510100 511400,2026-03-01\n"


def test_from_the_map_to_a_dealer_and_from_a_file_to_a_publication(visit: Visit) -> None:
    page = visit("/territories", viewport={"width": 390, "height": 844})
    expect(page.locator(".nav [aria-current]")).to_be_in_viewport(ratio=1)
    shapes = page.locator("svg.territories .area")
    expect(shapes).to_have_count(17)
    colours = {shapes.nth(number).evaluate("shape => getComputedStyle(shape).fill") for number in range(17)}
    assert len(colours) == 6, "the styles were not found"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("svg.territories a", has=page.locator("title", has_text="成都蜀清商贸")).dispatch_event("click")
    expect(page.get_by_role("heading", level=1)).to_have_text("成都蜀清商贸")
    expect(page.locator("svg.territories .chosen")).to_have_count(1)
    page.locator(".crumb a").click()
    chosen = {"name": "spring.csv", "mimeType": "text/csv", "buffer": DRAFT.encode()}
    page.locator("input[type=file]").set_input_files(chosen)
    page.get_by_role("button", name="上传为草稿").click()
    expect(page.locator("main")).to_contain_text("取代成都蜀清商贸此前的记录")
    expect(page.locator(".remarks tbody th").first).to_have_text("第 2 行")
    page.get_by_role("button", name="用过往扫码试算").click()
    expect(page.locator("#simulation")).to_contain_text("结论会改变")
    page.get_by_role("button", name="发布").click()
    expect(page.locator(".facts .chip").first).to_have_text("已发布")
