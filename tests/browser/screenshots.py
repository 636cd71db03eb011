"""Take pictures of a running console: those of README and docs, or every page in every form for a critical eye.

Pictures of alerts show a generated world: `engine_console.py` takes them.

python tests/browser/screenshots.py http://127.0.0.1:8080 var/demo/password docs/images
python tests/browser/screenshots.py http://127.0.0.1:8080 var/demo/password docs/images --only stock --only proposal
python tests/browser/screenshots.py http://127.0.0.1:8080 var/demo/password some/folder --all
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LARGEST_BYTES = 200_000


class Shot(NamedTuple):
    """One picture: which page, in which form."""

    name: str
    path: str
    language: str
    scheme: str = "light"
    width: int = 1440
    height: int = 900
    whole: bool = False


README = [
    Shot("stock-en", "/stock", "en"),
    Shot("stock-zh", "/stock", "zh"),
    Shot("proposal-en", "/proposals", "en", height=620),
    Shot("proposal-zh", "/proposals", "zh", height=620),
]
PAGES = {
    "login": "/login",
    "alerts": "/",
    "closed": "/?state=closed",
    "alert": "alert",
    "scan": "scan",
    "stock": "/stock",
    "proposals": "/proposals",
    "devices": "/devices",
    "error": "/nowhere",
}


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("password_file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", action="append", default=[], help="Only pictures whose name begins so.")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    password = chosen.password_file.read_text("utf-8").strip()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        shots = every_form() if chosen.all else README
        for shot in (each for each in shots if each.name.startswith(tuple(chosen.only) or "")):
            with signed_in(browser, chosen.url, password, shot) as page:
                take(page, chosen.url, shot, chosen.folder / f"{shot.name}.png")
        browser.close()


def every_form() -> Iterator[Shot]:
    """Yield every page in two languages, two schemes and two widths."""
    for name, path in PAGES.items():
        for language, scheme, width in (
            ("zh", "light", 1440), ("en", "dark", 1440), ("zh", "dark", 390), ("en", "light", 390),
        ):  # fmt: skip
            yield Shot(f"{name}-{language}-{scheme}-{width}", path, language, scheme, width, 860, whole=True)


@contextmanager
def signed_in(browser: Browser, url: str, password: str, shot: Shot, login: str = "demo") -> Iterator[Page]:
    """Yield a page of a signed-in browser in the shot's form; the log-in page's own shot stays signed out."""
    context = browser.new_context(
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.scheme == "dark" else "light",
        locale="zh-CN" if shot.language == "zh" else "en-GB",
        timezone_id="Asia/Shanghai",
    )
    page = context.new_page()
    page.goto(f"{url}/login")
    if shot.path != "/login":
        page.locator("input[name=login]").fill(login)
        page.locator("input[name=password]").fill(password)
        page.locator("main button").click()
        page.wait_for_url(f"{url}/")
    yield page
    context.close()


def take(page: Page, url: str, shot: Shot, target: Path) -> None:
    """Open the shot's page, wait for its map, and save the picture."""
    if shot.path in {"alert", "scan"}:
        page.goto(f"{url}/")
        page.locator("a.open").first.click()
        page.locator("#map[data-drawn=true]").wait_for()
        if shot.path == "scan":
            page.locator("table.scans a").first.click()
            page.locator("dl.lines").first.wait_for()
    else:
        page.goto(url + shot.path)
    save(page, target, whole=shot.whole)


def save(page: Page, target: Path, *, whole: bool = False) -> None:
    """Save a picture of a page within LARGEST_BYTES."""
    page.wait_for_timeout(400)
    page.screenshot(path=target, full_page=whole)
    if target.stat().st_size > LARGEST_BYTES:
        # Flat colours and text: a palette is a third of the size and looks the same.
        Image.open(target).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
