"""The demo brand with an alert, stock and proposals, written as the worker would leave them, and a running console."""

import base64
import json
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asking
import httpx
import psycopg
import uvicorn
from pydantic import SecretStr
from waiting import PATIENCE, wait_for

from trace_service.accounts import add_account
from trace_service.app import create_app
from trace_service.cases.sync import follow_alerts
from trace_service.demo import run_demo
from trace_service.keys import KeyWrapper
from trace_service.settings import TraceSettings
from trace_service.store.connection import connect
from trace_service.tokens import add_token
from trace_service.web.build_assets import ensure_assets

BRAND, DEALER, CITY, CITY_POINT = "qingyuan", "D-CHENGDU", "330100", (120.16, 30.27)
LOGIN, PASSWORD = "demo", "correct horse battery"
OTHER_LOGIN = "rival"
BOOT = UUID("6f1d2c3b-4a59-4687-9f10-2b3c4d5e6f70")


@dataclass(frozen=True)
class World:
    """What the tests know of the database."""

    owner_dsn: str
    settings: TraceSettings
    alert: int
    proposal: int
    cases: list[str]


@dataclass(frozen=True)
class Site:
    """A running console."""

    url: str
    world: World


def make_world(owner_dsn: str, trace_dsn: str, *, cases: int = 14) -> World:
    """Fill a migrated database; the rows are as the worker writes them."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with connect(owner_dsn, "console tests") as connection:
        job = run_demo(connection, KeyWrapper(SecretStr(key)), "id.codefence.example")
        connection.execute("INSERT INTO trace.brand VALUES ('rival', '他牌', 'Rival')")
        profile = {"name": "陈静", "role": "manager", "language": "zh"}
        add_account(connection, LOGIN, PASSWORD, {"brand": BRAND, **profile})
        add_account(connection, OTHER_LOGIN, PASSWORD, {"brand": "rival", **profile})
        mine = [case for case in job["cases"] if _order(job, case) == DEALER][:cases]
        with connection.transaction():
            alert = add_alert(connection, mine)
            proposal = _add_stock(connection)
        units = [f"/00/{case['sscc']}" for case in mine]
    settings = TraceSettings(database_url=SecretStr(trace_dsn), key_encryption_key=SecretStr(key))
    return World(owner_dsn, settings, alert, proposal, units)


def add_alert(connection: psycopg.Connection[Any], cases: list[Mapping[str, Any]], city: str = CITY) -> int:
    """Add an alert with one consumer scan a case; the third case has no shipment on record."""
    now = datetime.now(UTC)
    order = cases[0]["order"]
    connection.execute(
        "INSERT INTO trace.shipment VALUES (%s, %s, 'dc-east', %s, now()) ON CONFLICT DO NOTHING",
        (order, BRAND, DEALER),
    )
    parameters = {
        "expected": 0.31, "llr": 24.6, "seen": 17, "threshold": 9.5, "window_days": 28,
        "nearest_legal": "D-HANGZHOU", "shipments": [order],
    }  # fmt: skip
    reason = json.dumps({"code": "drip", "parameters": parameters})
    row = connection.execute(
        "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
        " VALUES (%s, 'diversion', %s, %s, now(), now(), %s, %s, %s) RETURNING id",
        (BRAND, DEALER, city, len(cases), len(cases), reason),
    ).fetchone()
    assert row is not None
    alert: int = row[0]
    seqs = iter(range(_next_seq(connection), 10**9))
    for index, case in enumerate(cases):
        unit, item = f"/00/{case['sscc']}", _item(case)
        packed = now - timedelta(days=4, minutes=40 - index)
        _custody(connection, next(seqs), (item, "packing", "factory"), packed, parent=unit)
        if index != 2:
            shipped = now - timedelta(days=3, minutes=30 - index)
            _custody(connection, next(seqs), (unit, "shipping", "dc-east"), shipped, dealer=DEALER, shipment=order)
        _scan(connection, next(seqs), alert, (item, unit, case, city), (now - timedelta(seconds=50 - 3 * index), index))
    return alert


def add_case(world: World) -> int:
    """Put the alerts that are there into cases as the worker would, and return the newest case."""
    with connect(world.owner_dsn, "console tests") as connection, connection.transaction():
        follow_alerts(connection, [BRAND])
        row = connection.execute("SELECT max(id) FROM trace.case_file").fetchone()
    assert row is not None
    return int(row[0])


def add_person(world: World, login: str, role: str, name: str = "") -> None:
    """Give the brand another account."""
    profile = {"brand": BRAND, "name": name or login, "role": role, "language": "zh"}
    with connect(world.owner_dsn, "console tests") as connection:
        add_account(connection, login, PASSWORD, profile)


def _next_seq(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM landing.scan").fetchone()
    assert row is not None
    return int(row[0]) + 1000


def _order(job: Mapping[str, Any], case: Mapping[str, Any]) -> str:
    return next(order["to"] for order in job["orders"] if order["id"] == case["order"])


def _item(case: Mapping[str, Any]) -> str:
    return "/01/" + case["items"][0].split("/01/", 1)[1]


def _custody(
    connection: psycopg.Connection[Any], seq: int, what: tuple[str, str, str], at: datetime, **more: str
) -> None:
    unit, step, site = what
    connection.execute(
        "INSERT INTO trace.custody_event (brand, unit, biz_step, site, dealer, shipment, parent, occurred_at,"
        " device, boot, seq) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            BRAND, unit, step, site, more.get("dealer"), more.get("shipment"), more.get("parent"), at,
            "station-pack" if step == "packing" else "station-ship", BOOT, seq,
        ),
    )  # fmt: skip


def _scan(
    connection: psycopg.Connection[Any],
    seq: int,
    alert: int,
    what: tuple[str, str, Mapping[str, Any], str],
    when: tuple[datetime, int],
) -> None:
    item, unit, case, city = what
    at, index = when
    lon, lat = CITY_POINT[0] + 0.02 * (index % 5) - 0.03, CITY_POINT[1] + 0.017 * (index % 4) - 0.02
    message = {"device": "gateway-market", "boot": BOOT, "seq": seq}
    connection.execute(
        "INSERT INTO landing.scan VALUES (%(device)s, %(boot)s, %(seq)s, %(at)s, %(at)s, %(at)s, 7, 'market', %(code)s,"
        " 'qr', ']Q1', 'consumer', '', '', '', '', %(lon)s, %(lat)s, 25, 'web', 'wgs84', NULL)",
        {**message, "at": at, "code": case["items"][0], "lon": lon, "lat": lat},
    )
    connection.execute(
        "INSERT INTO trace.verdict (device, boot, seq, brand, code, unit, gtin, case_unit, activity, occurred_at,"
        " code_state, custody_state, place, p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment,"
        " territory) SELECT %(device)s, %(boot)s, %(seq)s, %(brand)s, %(code)s, %(item)s, %(gtin)s, %(unit)s,"
        " 'consumer', %(at)s, 'genuine', 'ok', 'outside', 0.0001, %(far)s, %(lon)s, %(lat)s, 25, %(city)s, %(dealer)s,"
        " %(order)s, max(id) FROM trace.territory WHERE dealer = %(dealer)s",
        {
            **message, "brand": BRAND, "code": case["items"][0], "item": item, "gtin": case["gtin"], "unit": unit,
            "at": at, "far": 1_512_300 + 731 * index, "lon": lon, "lat": lat, "city": city, "dealer": DEALER,
            "order": case["order"],
        },
    )  # fmt: skip
    connection.execute(
        "INSERT INTO trace.alert_evidence VALUES (%s, %s, %s, %s, %s, %s)",
        (alert, message["device"], BOOT, seq, item, unit),
    )


def _add_stock(connection: psycopg.Connection[Any]) -> int:
    rows = connection.execute("SELECT site, gtin FROM trace.stock ORDER BY site, gtin").fetchall()
    for index, (site, gtin) in enumerate(rows):
        units = (9, 31, 24, 40, 12, 27, 33, 18)[index % 8]
        connection.execute(
            "UPDATE trace.stock SET sensed = %s, ledger = %s, sensed_at = now() - interval '20 seconds',"
            " confidence = %s, device = %s, boot = %s, seq = %s WHERE site = %s AND gtin = %s",
            (units, units + index % 2, 0.99 - index / 50, f"shelf-0{1 + index // 2}", BOOT, 400 + index, site, gtin),
        )
    connection.execute(
        "UPDATE landing.device SET state = 'online', last_seen = now() - interval '8 seconds', skew_ms = -140,"
        " firmware = '0.1.0' WHERE id <> 'shelf-04'"
    )
    parameters = {
        "stock": 9, "source": "shelf", "reorder": 12, "in_transit": 0, "daily_demand": 3.5, "maximum": 48,
        "lead_time_days": 5, "p_stockout": 0.972,
    }  # fmt: skip
    reason = {"code": "below_reorder", "parameters": parameters}
    row = connection.execute(
        "INSERT INTO trace.proposal (brand, kind, site, gtin, dealer, quantity, need_by, reason, created_at,"
        " updated_at, device, boot, seq) VALUES (%s, 'order', %s, %s, 'D-CHENGDU', 36, current_date + 2, %s, now(),"
        " now(), 'shelf-01', %s, 400) RETURNING id",
        (BRAND, *rows[0], json.dumps(reason), BOOT),
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def running(world: World) -> Iterator[Site]:
    """Serve the console on a free port of 127.0.0.1."""
    ensure_assets(lambda _: None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(create_app(world.settings), log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="console")
        thread.start()
        try:
            wait_for(lambda: _is_ready(f"http://127.0.0.1:{port}"))
            yield Site(f"http://127.0.0.1:{port}", world)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)


def _is_ready(url: str) -> bool:
    try:
        return asking.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False


def token(site: Site, login: str = LOGIN) -> dict[str, str]:
    """Log in to the API and return the headers of a session."""
    answer = asking.post(f"{site.url}/api/v1/session", json={"login": login, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['token']}"}


@contextmanager
def partner(site: Site, scope: str, path: str = "", brand: str = BRAND) -> Iterator[httpx.Client]:
    """Ask below `path` of the API as a partner's program does, with a token of its own."""
    with connect(site.world.owner_dsn, "console tests") as connection:
        given = add_token(connection, brand, "erp", [scope], timedelta(days=1))
    with asking.Client(base_url=f"{site.url}/api/v1{path}", headers={"Authorization": f"Bearer {given}"}) as client:
        yield client


def fresh_cases(world: World, count: int) -> list[Mapping[str, Any]]:
    """Issue another print run and return some of its cases bound for the dealer."""
    with connect(world.owner_dsn, "console tests") as connection:
        job = run_demo(connection, KeyWrapper(world.settings.key_encryption_key), "id.codefence.example")
    return [case for case in job["cases"] if _order(job, case) == DEALER][:count]


def unknown_boot() -> UUID:
    """Return a boot that no device had."""
    return uuid4()
