"""The forms of a case as a browser fills them in and sends them."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import asking
import httpx
from console_world import PASSWORD, Site
from PIL import Image


@contextmanager
def browser(site: Site, login: str) -> Iterator[httpx.Client]:
    with asking.Client(base_url=site.url, headers={"Origin": site.url, "Accept-Language": "zh"}) as client:
        form = client.get("/login").text
        sent = {"login": login, "password": PASSWORD, "csrf": token(form)}
        assert client.post("/login", data=sent).status_code == 303
        yield client


def token(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def send(client: httpx.Client, path: str, action: str, **fields: str) -> httpx.Response:
    page = client.get(path).text
    version = re.search(r'name="version" value="(\d+)"', page)
    base = {"csrf": token(page), "version": version[1] if version else "1", "action": action}
    return client.post(path, data={**base, **fields})


def photo() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (320, 240), (90, 140, 120)).save(target, "JPEG")
    return target.getvalue()
