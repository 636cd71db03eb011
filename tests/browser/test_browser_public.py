"""The page for consumers in a real browser, without script, on a phone and wide, in both languages and schemes."""

from itertools import product

import psycopg
import pytest
from console_world import BRAND, Site
from playwright.sync_api import Browser, expect
from waiting import PATIENCE

from contracts.gs1 import item_key
from contracts.tc20 import Tc20
from trace_service.keys import KeyWrapper

pytestmark = pytest.mark.browser
HEADINGS = {
    "zh-CN": {"item": "已登记的产品", "guess": "暂时无法核实", "box": "物流标签"},
    "en-GB": {"item": "Registered product", "guess": "We could not verify this code", "box": "Shipping label"},
}


def paths(site: Site) -> dict[str, str]:
    keys = KeyWrapper(site.world.settings.key_encryption_key)
    with psycopg.connect(site.world.owner_dsn, autocommit=True) as database:
        row = database.execute(
            "SELECT gtin, epoch, upper(counters) - 1, wrapped"
            " FROM trace.batch JOIN trace.master_key USING (brand, epoch)"
            " WHERE brand = %s AND commissioned_at IS NOT NULL LIMIT 1",
            (BRAND,),
        ).fetchone()
        assert row is not None
        gtin, epoch, counter, wrapped = row
        database.execute(
            "INSERT INTO trace.public_link (brand, link_type, target, title) VALUES"
            " (%s, 'gs1:instructions', 'https://brand.example/i', '使用说明 Instructions')",
            (BRAND,),
        )
    serial = Tc20(keys.unwrap(wrapped), BRAND, epoch).issue(gtin, counter)
    return {"item": item_key(gtin, serial), "guess": f"/01/{gtin}/21/HELLO", "box": "/00/095060000000000015"}


def test_the_page_reads_well_everywhere(chromium: Browser, site: Site) -> None:
    found = paths(site)
    for locale, scheme, width in product(HEADINGS, ("light", "dark"), (360, 1280)):
        context = chromium.new_context(
            locale=locale,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 740},
            java_script_enabled=False,
        )
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        for name, path in found.items():
            page.goto(site.url + path)
            expect(page.locator("h1")).to_have_text(HEADINGS[locale][name])
            box = page.locator("main").bounding_box()
            assert box is not None
            assert box["width"] <= width
            links = page.locator("header a, nav a").all()
            assert len(links) == (2 if name == "item" else 1)
            for link in links:
                target = link.bounding_box()
                assert target is not None
                assert target["height"] >= 44, "a thumb has to hit it"
                assert target["x"] + target["width"] <= width
        context.close()


def test_the_reader_changes_the_language_without_script(chromium: Browser, site: Site) -> None:
    context = chromium.new_context(locale="zh-CN", java_script_enabled=False)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    path = paths(site)["item"]
    page.goto(site.url + path)
    page.locator("header a").click()
    page.wait_for_url(site.url + path)
    expect(page.locator("h1")).to_have_text("Registered product")
    assert page.locator("html").get_attribute("lang") == "en"
    context.close()
