"""People at browsers, signed in to the console; nothing that a browser complains of goes by unseen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from console_world import LOGIN, PASSWORD
from playwright.sync_api import Browser, BrowserContext, Page
from waiting import PATIENCE

Visit = Callable[..., Page]


@contextmanager
def visiting(chromium: Browser, url: str) -> Iterator[Visit]:
    """Yield what opens a path of the console as somebody, each time in a browser of its own.

    A complaint of a browser, the policy's included, and a request to another host fail the test in the end.
    """
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def visit(path: str = "/", login: str = LOGIN, **options: object) -> Page:
        options = {"locale": "zh-CN", "timezone_id": "Asia/Shanghai"} | options
        context = chromium.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request", lambda request: None if request.url.startswith((url, "data:")) else wrong.append(request.url)
        )
        page.goto(f"{url}/login?next={path}")
        page.locator("input[name=login]").fill(login)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main button").click()
        page.wait_for_url(url + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not wrong, wrong
