import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from station_bench import Bench, case, sscc
from waiting import PATIENCE

from edge.outbox import Outbox
from edge.station.desk import Desk
from edge.station.dock import Dock
from edge.station.equip import Buttons
from edge.station.kiosk import Kiosk, Screen
from edge.station.verdict import Verdict

pytestmark = pytest.mark.browser


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Outbox(tmp_path / "outbox.db") as outbox:
        yield Bench(tmp_path, outbox)


@pytest.fixture
def page(chromium: Browser, bench: Bench) -> Iterator[Page]:
    screen = Screen("dc", "station-ship", lambda: True, lambda: bench.now)
    dock: Dock = bench.desk.dock
    bench.desk = Desk(dock, bench.outbox.notes(), screen.tell)
    bench.station.equip(bench.desk, lambda _name, _picture: None)
    kiosk = Kiosk(0, screen, Buttons(bench.station, threading.Event()).act)
    kiosk.start()
    bench.station.between()
    complaints: list[str] = []
    page = chromium.new_page(viewport={"width": 1280, "height": 800}, locale="zh-CN")
    page.set_default_timeout(PATIENCE * 1000)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"http://127.0.0.1:{kiosk.port}/")
    yield page
    page.close()
    kiosk.stop()
    assert complaints == []


def test_a_stop_is_released_and_a_difference_signed_at_the_screen(page: Page, bench: Bench) -> None:
    word, why = page.locator("#word"), page.locator("#why")
    bench.begin()
    bench.read(case(1))
    expect(word).to_have_text("正确")
    expect(page.locator(".line").first).to_contain_text("还差 1 箱")
    page.locator("#language").click()
    expect(page.locator(".line").first).to_contain_text("1 case left")
    bench.read(case(8))
    expect(word).to_have_text("BLOCKED")
    expect(why).to_have_text("It must not move: recalled")
    page.locator("#language").click()
    expect(why).to_have_text("禁止移动：召回")
    page.locator("#language").click()
    page.locator("#end").click()
    sign(page, "000000")
    expect(page.locator("#sign-problem")).to_have_text("Wrong name or PIN")
    sign(page, "483920")
    expect(page.locator("#sign")).to_be_hidden()  # keys go to it until then, whatever the screen says already
    expect(word).to_have_text("DONE")
    page.locator("#typed").fill(sscc(2)[4:])
    page.keyboard.press("Enter")
    expect(word).to_have_text("OK")
    page.locator("#end").click()
    expect(word).to_have_text("DIFFERENCE")
    page.locator("#end").click()
    sign(page, "483920")
    expect(page.locator("#sign")).to_be_hidden()
    expect(why).to_have_text("The load is closed")


def test_it_speaks_as_the_browser_does_until_somebody_chooses(page: Page, chromium: Browser) -> None:
    context = chromium.new_context(locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator("#word")).to_have_text("READY")
    other.locator("#language").click()
    expect(other.locator("#word")).to_have_text("待扫码")
    other.reload()
    expect(other.locator("#word")).to_have_text("待扫码")
    context.close()


def test_what_is_no_code_is_told_apart_from_what_was_done_before(page: Page, bench: Bench) -> None:
    bench.begin()
    expect(page.locator("#why")).to_have_text("发货 SO-1")
    page.locator("#typed").fill("nonsense")
    page.keyboard.press("Enter")
    expect(page.locator("#word")).to_have_text("不明")
    expect(page.locator("#why")).to_have_text("输入的不是条码，请核对后再输")
    # A page of before the station was started anew.
    page.route("**/act", lambda route: route.fulfill(json={"error": "reload the page"}), times=1)
    page.locator("#typed").fill(case(1))
    page.keyboard.press("Enter")
    expect(page.locator("#why")).to_have_text("请刷新页面")
    bench.read(case(1))
    expect(page.locator("#word")).to_have_text("正确")
    expect(page.locator("#code")).to_have_text(re.compile("^/00/", re.IGNORECASE))


def sign(page: Page, pin: str) -> None:
    page.locator("input[name=supervisor]").fill("li")
    page.locator("input[name=pin]").fill(pin)
    page.locator("input[name=reason]").fill("checked by hand")
    page.locator("#sign-yes").click()


def test_every_verdict_has_a_word_a_shape_a_colour_and_a_tone_of_its_own(page: Page, bench: Bench) -> None:
    seen: set[tuple[str, str, str]] = set()
    tones: set[str] = set()
    for verdict in Verdict:
        bench.desk.told(verdict, None, bench.station.order, 0)
        expect(page.locator("#verdict")).to_have_attribute("data-verdict", verdict.value)
        colour, ink, size = page.locator("#verdict").evaluate(
            "element => { const style = getComputedStyle(element);"
            " return [style.backgroundColor, style.color, parseFloat(getComputedStyle(word).fontSize)] }"
        )
        assert contrast(colour, ink) >= 4.5, verdict
        assert size > 60, "legible at two metres"
        seen.add((page.locator("#word").inner_text(), page.locator("#shape").inner_html(), colour))
        tones.add(page.evaluate("verdict => JSON.stringify(TONES[verdict])", verdict.value))
    for part in zip(*seen, strict=True):
        assert len(set(part)) >= len(Verdict) - 1, "wrong item and its like may share a colour"
    assert len(tones) == len(Verdict)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two CSS colours as WCAG defines it."""

    def luminance(text: str) -> float:
        parts = [float(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
