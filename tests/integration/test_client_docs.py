import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from conftest import TestDatabase
from console_world import LOGIN, PASSWORD, Site, make_world, running

from contracts.webhooks import sign
from trace_service.channel.importer import Job, import_files, installed_map
from trace_service.client import ApiError, Client, UnreachableError
from trace_service.client.transport import Patience
from trace_service.store.connection import connect
from trace_service.tokens import SCOPES, add_token

ROOT = Path(__file__).parents[2]
FACTORY = (
    "id,kind,name_zh,name_en,gln,lon,lat,adcode\n"
    "factory,factory,宜宾灌装厂,Yibin bottling plant,9506000134307,104.64,28.77,511502\n"
)
SECRET = "whsec_of_the_example"


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn)
    with connect(database.trace_dsn, "tests") as connection:
        job = Job("tests", installed_map(), operator=True)
        plan = import_files(connection, "qingyuan", [("sites.csv", FACTORY.encode())], job)
        assert plan.sound, plan.problems
    with running(world) as site:
        yield site


@pytest.fixture
def partner(database: TestDatabase, site: Site) -> str:
    del site  # the brand is there
    with connect(database.trace_dsn, "tests") as connection:
        return add_token(connection, "qingyuan", "erp", SCOPES, timedelta(days=1))


def test_the_examples_of_the_page_run(site: Site, partner: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    world: dict[str, Any] = {
        "URL": site.url, "TOKEN": partner, "LOGIN": LOGIN, "PASSWORD": PASSWORD, "SECRET": SECRET,
    }  # fmt: skip
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), world)  # noqa: S102  the page's own examples
    shown = capsys.readouterr().out
    assert world["ruling"].verdict == "allowed"
    assert world["verdicts"] == ["allowed", "unknown"]
    assert "404" in shown
    assert world["job"].success, world["job"].errors
    assert [event["eventID"] for event in world["found"]] == ["urn:uuid:6d0b9a2e-5c3f-4a57-9f3b-0d6a1f7b2c11"]
    assert "D-CHENGDU 330100 14 14" in shown
    body = msgspec.json.encode(
        {"id": uuid4(), "topic": "order.created", "brand": "b", "created_at": "2026-01-01T00:00:00Z", "data": {"a": 1}}
    )
    header = {"codefence-signature": sign(SECRET, body, int(time.time()))}
    assert world["answer"](body, header) == 204
    assert world["answer"](body + b" ", header) == 400
    world["codefence"].close()


def test_a_safe_request_is_repeated_and_another_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    waited: list[float] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(503, headers={"Retry-After": "3"}, json={"code": "BUSY", "detail": "later", "advice": ""})

    class Served(httpx.Client):
        def __init__(self, **more: Any) -> None:  # noqa: ANN401  httpx's own
            super().__init__(**more, transport=httpx.MockTransport(serve))

    monkeypatch.setattr("trace_service.client.transport.httpx.Client", Served)
    monkeypatch.setattr("trace_service.client.transport.time.sleep", waited.append)
    with Client("https://console.example", "cfp_x", patience=Patience(3, 0.01)) as client:
        with pytest.raises(ApiError) as refused:
            client.orders.get("SO-1")
        assert (refused.value.status, refused.value.problem) == (503, "BUSY")
        assert asked == ["GET"] * 3
        assert waited == [3.0, 3.0]
        with pytest.raises(ApiError):
            client.orders.cancel("SO-1")
        assert asked[3:] == ["POST"]


def test_silence_and_strangers_are_told_apart(site: Site) -> None:
    with Client("http://127.0.0.1:9", "x", patience=Patience(2, 0.01)) as nobody, pytest.raises(UnreachableError):
        nobody.orders.get("SO-1")
    with Client(site.url, "x") as stranger, pytest.raises(ApiError) as refused:
        stranger.orders.get("SO-1")
    assert (refused.value.status, refused.value.problem) == (401, "NOT_SIGNED_IN")


def test_the_client_is_imported_without_any_server_package() -> None:
    code = textwrap.dedent(
        """
        import sys

        class Wall:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {"psycopg", "fastapi", "pydantic", "numpy", "jinja2", "starlette"}:
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Wall())
        import trace_service.client
        """
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
