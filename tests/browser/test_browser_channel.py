import pytest
from playwright.sync_api import expect
from visiting import Visit

pytestmark = pytest.mark.browser
BAD = "id,parent,name_zh,kind\nD-1,D-NONE,店,sub\n"
GOOD = "id,parent,name_zh,kind\nD-1,D-WUHOU,武侯一店,sub\n"


def test_a_table_is_checked_mended_and_imported_and_the_dealer_is_in_the_tree(visit: Visit) -> None:
    page = visit("/channel")
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
