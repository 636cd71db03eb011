"""The station's screen with a case that is right, in Chinese, and stopped by a recalled one, in English.

python tests/browser/station_pictures.py docs/images
"""

import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import expect, sync_playwright
from screenshots import ARGUMENTS, CHROMIUM

sys.path.insert(0, str(Path(__file__).parents[1]))

from station_bench import Bench, case

from edge.outbox import Outbox
from edge.station.desk import Desk
from edge.station.equip import Buttons
from edge.station.kiosk import Kiosk, Screen


def main() -> None:
    """Take both pictures."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as data, Outbox(Path(data) / "outbox.db") as outbox, sync_playwright() as driver:
        bench = Bench(Path(data), outbox)
        screen = Screen("dc", "station-ship", lambda: True, lambda: bench.now)
        bench.desk = Desk(bench.desk.dock, outbox.notes(), screen.tell)
        bench.station.equip(bench.desk, lambda _name, _picture: None)
        kiosk = Kiosk(0, screen, Buttons(bench.station, threading.Event()).act)
        kiosk.start()
        bench.station.between()
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        bench.read("CF/OPERATOR/OP-7/NIGHT")
        bench.begin()
        for name, locale, code, word in (("zh", "zh-CN", case(1), "正确"), ("en", "en-GB", case(8), "BLOCKED")):
            page = browser.new_page(viewport={"width": 1280, "height": 800}, locale=locale)
            bench.read(code)
            page.goto(f"http://127.0.0.1:{kiosk.port}/")
            expect(page.locator("#word")).to_have_text(word)
            page.screenshot(path=folder / f"kiosk-{name}.png")
            page.close()
        browser.close()
        kiosk.stop()


if __name__ == "__main__":
    main()
