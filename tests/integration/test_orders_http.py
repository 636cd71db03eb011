"""Orders over HTTP as an ERP uses them, and stations that fetch manifests and post reports, on a running service."""

import base64
import http.client
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asking
import httpx
import pytest
from click.testing import CliRunner
from console_world import BRAND, Site, partner, token
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from waiting import PATIENCE

from cli.main import main
from contracts.messages import Activity
from contracts.stations import Note, NoteKind, encode_notes
from edge.manifest import ManifestStore
from edge.outbox import Outbox
from edge.sources.source import now_ms
from edge.station.desk import Desk
from edge.station.dock import NOTE, Dock, Tools
from edge.station.kiosk import Kiosk, Screen
from edge.station.order import Order
from edge.station.sync import Line, Sync
from trace_service.keys import KeyWrapper
from trace_service.orders.access import add_supervisor, issue_token
from trace_service.signing import signing_key
from trace_service.store.connection import connect
from trace_service.tokens import add_token
from trace_service.web.database import Database

GTIN = "09506000134352"
BODY = {"dealer": "D-NANJING", "from_site": "dc-east", "lines": [{"line": 1, "gtin": GTIN, "quantity": 2}]}


@pytest.fixture
def erp(site: Site) -> Iterator[httpx.Client]:
    with partner(site, "orders") as client:
        yield client


def test_an_erp_places_changes_cancels_and_is_told_what_it_did_wrong(erp: httpx.Client) -> None:
    assert erp.put("/orders/ERP-1", json=BODY).status_code == 201
    again = erp.put("/orders/ERP-1", json=BODY)
    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    assert erp.put("/orders/ERP-1", json=BODY | {"version": 2, "due": "2026-12-24"}).json()["outcome"] == "changed"
    stale = erp.put("/orders/ERP-1", json=BODY)
    assert (stale.status_code, stale.json()["code"]) == (409, "ORDER_VERSION")
    assert erp.get("/orders/ERP-1").json()["order"]["due"] == "2026-12-24"
    counted = erp.get("/orders/ERP-1/reconciliation").json()
    assert (counted["agrees"], counted["lines"][0]["difference"]) == (False, -12)
    early = erp.post("/orders/ERP-1/acknowledge")
    assert (early.status_code, early.json()["code"]) == (409, "ORDER_STATE")
    assert erp.post("/orders/ERP-1/cancel", json={"reason": "typo"}).json()["state"] == "cancelled"
    assert erp.post("/orders/ERP-1/acknowledge").json()["acknowledged_at"]
    assert [each["id"] for each in erp.get("/orders?state=cancelled").json()["orders"]] == ["ERP-1"]


@pytest.mark.parametrize(
    ("number", "body", "status", "code"),
    [
        ("ERP-1", BODY | {"dealer": "D-NOBODY"}, 422, "ORDER_INVALID"),
        ("ERP-1", BODY | {"lines": []}, 422, "INVALID_PARAMETER"),
        ("ERP-1", BODY | {"lines": BODY["lines"] * 2}, 422, "INVALID_PARAMETER"),
        ("ERP-1", BODY | {"lines": [{"line": 1, "gtin": GTIN, "quantity": 0}]}, 422, "INVALID_PARAMETER"),
        ("ERP-1", BODY | {"surprise": 1}, 422, "INVALID_PARAMETER"),
        ("no%20name", BODY, 422, "INVALID_PARAMETER"),
    ],
)
def test_a_bad_order_is_refused_in_words(
    erp: httpx.Client, number: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = erp.put(f"/orders/{number}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_without_the_scope_or_with_another_brands_token_there_is_nothing(site: Site, erp: httpx.Client) -> None:
    erp.put("/orders/ERP-1", json=BODY)
    with connect(site.world.owner_dsn, "test") as connection:
        other = add_token(connection, "rival", "erp", ["orders"], timedelta(days=1))
        narrow = add_token(connection, BRAND, "shop", ["check"], timedelta(days=1))
    for given, status in ((other, 404), (narrow, 403), ("nonsense", 401)):
        answer = asking.get(f"{site.url}/api/v1/orders/ERP-1", headers={"Authorization": f"Bearer {given}"})
        assert answer.status_code == status
    pages = asking.get(f"{site.url}/orders/ERP-1", headers=token(site, "rival"))
    assert pages.status_code == 404


class Post:
    """A station's line to the running service, with its manifest and its outbox."""

    def __init__(self, site: Site, folder: Path, outbox: Outbox) -> None:
        with connect(site.world.owner_dsn, "test") as connection:
            add_supervisor(connection, "dc-east", "LI", "李", "483920")
            self.token = issue_token(connection, "station-ship")
            public = signing_key(connection, KeyWrapper(site.world.settings.key_encryption_key)).public
        self.store = ManifestStore(folder, "dc-east", Ed25519PublicKey.from_public_bytes(public), now_ms)
        self.sync = Sync(Line(site.url, self.token), self.store, outbox, lambda: None)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "station" / "outbox.db") as outbox:
        yield outbox


def test_a_station_fetches_its_manifest_and_its_reports_arrive_once(
    site: Site, erp: httpx.Client, tmp_path: Path, outbox: Outbox
) -> None:
    post = Post(site, tmp_path / "station", outbox)
    erp.put("/orders/ERP-1", json=BODY)
    post.sync.refresh(10)
    assert post.store.current is not None
    order = post.store.current.order("ERP-1")
    assert order is not None
    assert (order.dealer, order.lines[0].items) == ("D-NANJING", 12)
    version = post.store.version
    note = Note(id=uuid.uuid4().hex, at=now_ms(), kind=NoteKind.LOAD_BEGUN, order="ERP-1")
    outbox.add([], {NOTE + note.id: json.dumps({"id": note.id, "at": note.at, "kind": note.kind, "order": "ERP-1"})})
    post.sync.start()
    post.sync.stop()
    assert outbox.notes() == {}, "what the service has taken is forgotten"
    headers = {"Authorization": f"Bearer {post.token}"}
    again = asking.post(f"{site.url}/api/v1/stations/notes", content=encode_notes([note]), headers=headers)
    assert again.json() == {"ids": [note.id], "refused": []}
    history = erp.get("/orders/ERP-1").json()["history"]
    assert [each["state"] for each in history] == ["open", "loading"]
    unchanged = asking.get(f"{site.url}/api/v1/stations/manifest?since={post.store.version}", headers=headers)
    assert unchanged.status_code in {200, 204}
    assert post.store.version >= version


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_an_orders_page_shows_what_stations_report_whatever_they_put_in_it(
    site: Site, erp: httpx.Client, tmp_path: Path, outbox: Outbox, language: str
) -> None:
    post = Post(site, tmp_path / "station", outbox)
    erp.put("/orders/ERP-1", json=BODY)
    details: list[dict[str, Any]] = [{}, {"missing": "x", "extra": 5, "damaged": {}}, {"reason": ["<script>"]}]
    found = [
        Note(id=uuid.uuid4().hex, at=now_ms(), kind=kind, order="ERP-1", operator="<script>", detail=detail)
        for kind in NoteKind
        if kind is not NoteKind.LOAD_CLOSED
        for detail in details
    ]
    headers = {"Authorization": f"Bearer {post.token}"}
    assert asking.post(f"{site.url}/api/v1/stations/notes", content=encode_notes(found), headers=headers).is_success
    with connect(site.world.owner_dsn, "test") as connection:
        refused = json.dumps({"refused": {"code": "X", "reason": "<script> is why", "note": "{}"}})
        connection.execute("UPDATE trace.station_event SET body = %s WHERE id = %s", [refused, found[0].id])
    signed_in = token(site) | {"Accept-Language": language}
    page = asking.get(f"{site.url}/orders/ERP-1", headers=signed_in)
    assert page.status_code == 200
    assert page.text.count("&lt;script&gt; is why") == 1, "what could not be carried out says so"
    assert "<script>" not in page.text
    assert asking.get(f"{site.url}/orders?state=loading", headers=signed_in).text.count("/orders/ERP-1") == 1
    with connect(site.world.owner_dsn, "test") as connection:
        connection.execute("UPDATE trace.outbound_order SET state = 'cancelled' WHERE id <> 'ERP-1'")
    unasked = asking.get(f"{site.url}/orders", headers=signed_in).text
    assert "/orders/ERP-1" in unasked, "the page opens on a state that has orders"
    refused = asking.get(f"{site.url}/orders/ERP-1/document.pdf", headers=signed_in)
    assert refused.status_code == 409


def test_a_stations_address_asks_for_its_token_and_bounds_what_it_reads(
    site: Site, tmp_path: Path, outbox: Outbox
) -> None:
    post = Post(site, tmp_path / "station", outbox)
    url = f"{site.url}/api/v1/stations"
    assert asking.get(f"{url}/manifest", headers={"Authorization": "Bearer cfd_guess"}).status_code == 401
    assert asking.get(f"{url}/manifest", headers=token(site)).status_code == 401, "a person is no station"
    headers = {"Authorization": f"Bearer {post.token}"}
    assert asking.post(f"{url}/notes", content=b"[" * 600_000, headers=headers).status_code == 422
    assert asking.post(f"{url}/notes", content=b'[{"id": "x"}]', headers=headers).status_code == 422


def test_a_devices_token_is_good_until_the_next_or_its_end_and_guessing_is_slowed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(given: str) -> int:
        headers = {"Authorization": f"Bearer {given}"}
        return asking.post(f"{site.url}/api/v1/stations/notes", content=b"[]", headers=headers).status_code

    with connect(site.world.owner_dsn, "test") as connection:
        first, neighbour = issue_token(connection, "station-ship"), issue_token(connection, "station-pack")
        assert (ask(first), ask(neighbour)) == (200, 200)
        second = issue_token(connection, "station-ship")
        kept = connection.execute("SELECT string_agg(device_token::text, ' ') FROM trace.device_token").fetchone()
        assert second not in str(kept), "the database holds no token"
        assert (ask(first), ask(second)) == (401, 200)
        asked: list[str] = []
        really = Database.one

        async def counted(self: Database, query: str, row: type[Any], parameters: dict[str, object]) -> object:
            asked.append(query)
            return await really(self, query, row, parameters)

        monkeypatch.setattr(Database, "one", counted)
        assert [ask(wrong) for wrong in ("x", "cfd_", second + "x", second[:-1], "cfp_" + second[4:])] == [401] * 5
        assert asked == [], "a text that is no token costs no look-up"
        stale = [ask(first) for _ in range(20)]
        assert (stale[0], stale[-1], len(asked)) == (401, 429, stale.count(401)), "slowed before the database is asked"
        guesses = [ask(f"cfd_{number:043}") for number in range(40)]
        assert guesses[-1] == 429
        assert (ask(second), ask(neighbour)) == (200, 200), "stations behind the same address go on"
        connection.execute("UPDATE landing.device SET retired_at = now() WHERE id = 'station-ship'")
        assert (ask(second), ask(neighbour)) == (401, 200)


def test_the_commands_name_every_wrong_row_and_do_all_or_nothing(site: Site, tmp_path: Path) -> None:
    good = "order,version,dealer,from_site,line,gtin,quantity,unit\nCSV-1,1,D-NANJING,dc-east,1,{0},3,case\n"
    bad = good + "CSV-2,1,D-NANJING,dc-east,1,{0},0,case\nCSV-1,1,D-CHENGDU,dc-east,2,{0},1,case\n"
    environment = {
        "TRACE_DATABASE_URL": site.world.settings.database_url.get_secret_value(),
        "TRACE_KEY_ENCRYPTION_KEY": site.world.settings.key_encryption_key.get_secret_value(),
    }

    def run(*arguments: str) -> Any:  # noqa: ANN401
        return CliRunner().invoke(main, ["orders", *arguments], env=environment)

    file = tmp_path / "orders.csv"
    file.write_text(bad.format(GTIN), encoding="utf-8")
    refused = run("import", str(file), "--brand", BRAND)
    assert refused.exit_code == 1
    for said in ("ORDERS_FILE", "row 3 (CSV-2): lines.0.quantity", "row 4 (CSV-1): dealer differs from row 2"):
        assert said in refused.output
    file.write_text(good.format(GTIN), encoding="utf-8")
    assert run("import", str(file), "--brand", BRAND, "--dry-run").exit_code == 0
    assert run("show", "CSV-1", "--brand", BRAND).exit_code == 1, "a dry run leaves nothing behind"
    assert run("import", str(file), "--brand", BRAND).exit_code == 0
    shown = json.loads(run("show", "csv-1", "--brand", BRAND, "--json").stdout)
    assert (shown["lines"][0]["items"], shown["state"]) == (18, "open")
    assert "ORDER_STATE" in run("document", "CSV-1", "--brand", BRAND, "--out", str(tmp_path / "d.pdf")).output
    assert run("manifest", "dc-east", "--out", str(tmp_path / "manifest.bin")).exit_code == 0
    key = base64.b64decode(run("key").stdout)
    store = ManifestStore(tmp_path, "dc-east", Ed25519PublicKey.from_public_bytes(key), now_ms)
    assert store.load() is None
    assert store.current is not None
    assert store.current.order("CSV-1") is not None


class TestKiosk:
    @pytest.fixture
    def kiosk(self, tmp_path: Path) -> Iterator[tuple[Kiosk, list[Any]]]:
        acted: list[Any] = []
        screen = Screen("dc-east", "station-ship", lambda: True, now_ms)
        store = ManifestStore(tmp_path, "dc-east", Ed25519PublicKey.from_public_bytes(bytes(32)), now_ms)
        dock = Dock(Tools(store, Ed25519PublicKey.from_public_bytes(bytes(32)), None, True, now_ms, lambda: None), {})  # noqa: FBT003
        Desk(dock, {}, screen.tell).redraw(Order(Activity.OBSERVE))
        kiosk = Kiosk(0, screen, lambda asked: acted.append(asked) or "OK")  # type: ignore[func-returns-value]
        kiosk.start()
        yield kiosk, acted
        kiosk.stop()

    def test_only_its_own_page_on_this_machine_can_act(self, kiosk: tuple[Kiosk, list[Any]]) -> None:
        server, acted = kiosk
        url = f"http://127.0.0.1:{server.port}"
        page = asking.get(url)
        assert "script-src 'self'" in page.headers["content-security-policy"]
        given = page.text.split('kiosk-token" content="')[1].split('"')[0]
        headers = {"Origin": url, "X-Kiosk-Token": given}
        asked = {"do": "undo"}
        assert asking.post(f"{url}/act", json=asked).status_code == 403
        elsewhere = headers | {"Origin": "http://evil.example"}
        assert asking.post(f"{url}/act", json=asked, headers=elsewhere).status_code == 403
        assert asking.post(f"{url}/act", json=asked, headers=headers | {"X-Kiosk-Token": "guess"}).status_code == 403
        assert asking.get(url, headers={"Host": "evil.example"}).status_code == 403, "a name that was pointed here"
        assert asking.post(f"{url}/act", content=b"x" * 5000, headers=headers).status_code == 413
        assert acted == []
        assert "not understood" in asking.post(f"{url}/act", content=b'{"do": 1}', headers=headers).json()["error"]
        assert asking.post(f"{url}/act", json=asked, headers=headers).json() == {"said": "OK"}
        assert acted == [asked]

    def test_the_state_comes_by_itself(self, kiosk: tuple[Kiosk, list[Any]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", kiosk[0].port, timeout=PATIENCE)
        connection.request("GET", "/events")
        line = connection.getresponse().readline()
        connection.close()
        state = json.loads(line.removeprefix(b"data: "))
        assert (state["device"], state["manifest"], state["stopped"]) == ("station-ship", None, None)
