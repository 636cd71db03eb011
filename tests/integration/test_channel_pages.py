import io
import re
from collections.abc import Iterator

import asking
import httpx
import pytest
from console_world import OTHER_LOGIN, Site, token
from openpyxl import load_workbook

DEALERS = "经销商编号,上级编号,中文名称,类型,生效日期\n"
HEADERS = {"Accept-Language": "en"}


def browser(site: Site, login: str = "demo") -> httpx.Client:
    cookies = {"session": token(site, login)["Authorization"].removeprefix("Bearer ")}
    return asking.Client(base_url=site.url, cookies=cookies, headers={**HEADERS, "Origin": site.url})


@pytest.fixture
def page(site: Site) -> Iterator[httpx.Client]:
    with browser(site) as client:
        yield client


def send(page: httpx.Client, act: str, text: str, name: str = "dealers.csv") -> httpx.Response:
    found = re.search(r'name="csrf" value="([^"]+)"', page.get("/channel/import").text)
    assert found
    return page.post(
        "/channel/import", data={"csrf": found[1], "act": act}, files={"files": (name, text.encode(), "text/csv")}
    )


def test_the_tree_shows_every_dealer_and_a_search_its_chain(page: httpx.Client) -> None:
    text = page.get("/channel").text
    assert text.count("/channel/dealers/D-") == 18
    assert "depth-4" in text
    found = page.get("/channel", params={"q": "wuhou dist"}).text
    assert found.count("/channel/dealers/D-") == 1
    assert "D-QINGYUAN › D-SOUTHWEST › D-SICHUAN › D-CHENGDU" in found
    assert "No dealer found" in page.get("/channel", params={"q": "<script>"}).text
    assert "城市" not in text


def test_a_move_is_seen_from_its_day_on_and_by_what_was_known(page: httpx.Client) -> None:
    checked = send(page, "check", DEALERS + "D-WUHOU,D-CHONGQING,成都武侯经销部,county,2026-03-01\n")
    assert "1 change would be made" in checked.text
    done = send(page, "import", DEALERS + "D-WUHOU,D-CHONGQING,成都武侯经销部,county,2026-03-01\n")
    assert "Imported: 1 change." in done.text
    before = page.get("/channel/dealers/D-WUHOU", params={"at": "2026-02-28"}).text
    assert "Chengdu Shuqing" in before.split("<h1>")[0]
    after = page.get("/channel/dealers/D-WUHOU", params={"at": "2026-03-01", "known": ""}).text
    assert "Chongqing Yuyuan" in after.split("<h1>")[0]
    assert "demo" in after
    assert "parent" in after
    unknown_then = page.get("/channel/dealers/D-WUHOU", params={"at": "2026-03-01", "known": "2020-01-01"}).text
    assert "Chengdu Shuqing" in unknown_then.split("<h1>")[0]
    assert page.get("/channel/dealers/D-NOBODY").status_code == 404


def test_problems_are_shown_by_file_row_and_column_in_both_languages(page: httpx.Client) -> None:
    bad = DEALERS + "D-1,D-NONE,店,sub,\nD 2,,店,sub,\n"
    text = send(page, "import", bad).text
    assert "2 errors; nothing was changed" in text or "1 error; nothing was changed" in text
    assert "BAD_ID" in text
    assert "row 3" in text
    page.headers["Accept-Language"] = "zh"
    assert "第 3 行" in send(page, "check", bad).text
    assert "不是有效的编号" in send(page, "check", bad).text


def test_tables_come_only_from_our_own_page_and_within_limits(page: httpx.Client, site: Site) -> None:
    files = {"files": ("dealers.csv", b"x", "text/csv")}
    assert page.post("/channel/import", data={"csrf": "wrong"}, files=files).status_code == 403
    assert page.post("/channel/import", data={"csrf": ""}, files=files).status_code == 403
    page.headers["Origin"] = "https://elsewhere.example"
    assert page.post("/channel/import", files=files).status_code == 403
    page.headers["Origin"] = site.url
    big = page.post("/channel/import", content=iter([b"of unknown length"]))
    assert big.status_code == 422


def test_another_brand_sees_none_of_our_dealers(site: Site) -> None:
    with browser(site, OTHER_LOGIN) as rival:
        assert "D-CHENGDU" not in rival.get("/channel").text
        assert rival.get("/channel/dealers/D-CHENGDU").status_code == 404


def test_templates_come_in_the_readers_language(page: httpx.Client) -> None:
    assert page.get("/channel/template/dealers.csv").content.decode("utf-8-sig").startswith("id,parent,name_zh")
    page.headers["Accept-Language"] = "zh"
    book = load_workbook(io.BytesIO(page.get("/channel/template/channel.xlsx").content))
    assert book.sheetnames == ["产品", "包装", "经销商", "合同", "网点", "人员", "设备"]
    assert page.get("/channel/template/secrets.csv").status_code == 404
