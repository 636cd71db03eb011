"""The console's stock page as an open browser has it: live events, and the table fetched again at each."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import httpx

_ROW: Final = r'id="stock-%s-%s".*?<strong>([\d,]+)</strong>'
_CSRF: Final = re.compile(r'name="csrf" value="([^"]+)"')


class StockPage:
    """What the page has shown for one site and product, with the moment of each showing."""

    def __init__(self, site: str, gtin: str) -> None:
        self._row = re.compile(_ROW % (site, gtin), re.DOTALL)
        self.shown: list[tuple[float, int]] = []

    def look(self, client: httpx.Client) -> None:
        """Fetch the table as the page's script does."""
        found = self._row.search(client.get("/stock", headers={"hx-request": "true"}).text)
        if found is not None:
            self.shown.append((time.time(), int(found[1].replace(",", ""))))

    def wait(self, units: int, since: float, seconds: float = 10.0) -> float | None:
        """Return when the page first showed a figure after a moment; None if it never did."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for at, figure in list(self.shown):
                if at >= since and figure == units:
                    return at
            time.sleep(0.002)
        return None


@contextmanager
def open_page(url: str, login: str, password: str, place: tuple[str, str]) -> Iterator[StockPage]:
    """Log in and follow the live events until the block ends."""
    with httpx.Client(base_url=url, timeout=30, headers={"Origin": url}) as client:
        csrf = _CSRF.search(client.get("/login").text)
        client.post("/login", data={"login": login, "password": password, "csrf": csrf[1] if csrf else ""})
        page = StockPage(*place)
        page.look(client)
        stop = threading.Event()
        thread = threading.Thread(target=_follow, args=(client, page, stop), daemon=True)
        thread.start()
        try:
            yield page
        finally:
            stop.set()


def _follow(client: httpx.Client, page: StockPage, stop: threading.Event) -> None:
    own = httpx.Client(base_url=client.base_url, cookies=client.cookies, timeout=httpx.Timeout(60.0))
    # The console ends before the page does.
    with suppress(httpx.TransportError), own, own.stream("GET", "/events") as answer:
        for line in answer.iter_lines():
            if stop.is_set():
                return
            if line == "event: stock":
                page.look(own)  # the other one may be closed by now
