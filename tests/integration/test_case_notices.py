"""What people are told of cases: chat robots as their makers document them, mail by a real server, the day's digest."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import BRAND, LOGIN, World, add_case, add_person, make_world
from pydantic import SecretStr
from receiving import Answer, Posted, receiving
from waiting import PATIENCE

from cli.embedded.files import kept_port
from cli.main import main
from trace_service.cases.days import due_day, run_day, run_due
from trace_service.cases.machine import Action, Actor
from trace_service.cases.model import Policy
from trace_service.cases.service import Order, act
from trace_service.cases.sync import policy_of
from trace_service.domain.roles import Role
from trace_service.keys import KeyWrapper
from trace_service.notify.courier import Courier
from trace_service.notify.deliverer import Deliverer
from trace_service.store.connection import Connection, connect
from trace_service.webhooks.outbox import Target, subscribe, subscriptions
from trace_service.webhooks.patience import Patience

LOOPBACK = (ip_network("127.0.0.0/8"),)
SHORT = Patience(attempts=2, first=0.05, longest=0.1)


@dataclass
class Robot:
    """A chat group's robot, which answers 200 to everything and says in the body what it thinks of it."""

    url: str = ""
    answer: dict[str, object] = field(default_factory=lambda: {"errcode": 0, "errmsg": "ok"})
    seen: list[tuple[str, dict[str, object]]] = field(default_factory=list)


@pytest.fixture
def robot() -> Iterator[Robot]:
    told = Robot()

    def take(posted: Posted) -> Answer:
        told.seen.append((posted.path, json.loads(posted.body)))
        return Answer(200, json.dumps(told.answer).encode())

    with receiving(take) as url:
        told.url = f"{url}/robot/send?access_token=x"
        yield told


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a receiver on a busy machine the time that it takes: one that is late is asked once more."""
    monkeypatch.setattr("trace_service.notify.deliverer._ANSWER_SECONDS", PATIENCE)


@pytest.fixture
def world(database: TestDatabase) -> World:
    return make_world(database.owner_dsn, database.trace_dsn, cases=6)


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with connect(database.trace_dsn, "tests") as connection:
        yield connection


def deliver(world: World, until: Callable[[], bool]) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        dsn = world.settings.database_url.get_secret_value()
        keys = KeyWrapper(world.settings.key_encryption_key)
        task = asyncio.create_task(Deliverer(dsn, keys, LOOPBACK, SHORT, console="https://cf.example").run(stop))
        deadline = time.monotonic() + PATIENCE
        while not until() and time.monotonic() < deadline:  # noqa: ASYNC110  the condition is the database's
            await asyncio.sleep(0.02)
        stop.set()
        await task
        assert until()

    asyncio.run(run())


def listen(connection: Connection, world: World, robot: Robot, form: str, secret: str | None) -> None:
    keys = KeyWrapper(world.settings.key_encryption_key)
    subscribe(connection, keys, LOOPBACK, Target(BRAND, robot.url, form, secret), ["case.*", "digest.*"])


def test_dingtalk_gets_markdown_and_a_signature_in_the_address(
    connection: Connection, world: World, robot: Robot
) -> None:
    listen(connection, world, robot, "dingtalk", "SECabc")
    number = add_case(world)
    deliver(world, lambda: len(robot.seen) == 1)
    path, body = robot.seen[0]
    query = parse_qs(urlsplit(path).query)
    stamp = query["timestamp"][0]
    assert abs(time.time() - int(stamp) / 1000) < PATIENCE
    digest = hmac.new(b"SECabc", f"{stamp}\nSECabc".encode(), hashlib.sha256).digest()
    assert query["sign"] == [base64.b64encode(digest).decode()]
    assert query["access_token"] == ["x"]
    (listed,) = subscriptions(connection, BRAND)
    assert robot.url.startswith(listed.url.removesuffix("/…"))
    assert "access_token" not in listed.url, "who has a robot's address speaks as we do"
    assert body["msgtype"] == "markdown"
    markdown = body["markdown"]
    assert isinstance(markdown, dict)
    assert markdown["title"] == "新工单：成都蜀清商贸（D-CHENGDU），杭州市"
    assert f"https://cf.example/cases/{number}" in markdown["text"]


def test_feishu_gets_a_card_signed_in_the_body(connection: Connection, world: World, robot: Robot) -> None:
    robot.answer = {"code": 0, "msg": "success"}
    listen(connection, world, robot, "feishu", "s3")
    add_case(world)
    deliver(world, lambda: len(robot.seen) == 1)
    _, body = robot.seen[0]
    key = f"{body['timestamp']}\ns3".encode()
    assert body["sign"] == base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    card = body["card"]
    assert isinstance(card, dict)
    assert card["header"]["title"]["content"] == "新工单：成都蜀清商贸（D-CHENGDU），杭州市"


def test_wecom_gets_markdown_and_what_it_refuses_with_200_is_tried_again(
    connection: Connection, world: World, robot: Robot
) -> None:
    robot.answer = {"errcode": 45009, "errmsg": "api freq out of limit"}
    listen(connection, world, robot, "wecom", None)
    add_case(world)
    deliver(world, lambda: _delivery(connection)[0] == "dead")
    assert _delivery(connection) == ("dead", 2, "the robot refused: 45009 api freq out of limit")
    content = robot.seen[0][1]["markdown"]
    assert isinstance(content, dict)
    assert content["content"].startswith("**新工单：成都蜀清商贸（D-CHENGDU），杭州市**")
    assert len(content["content"].encode()) <= 4096


def _delivery(connection: Connection) -> tuple[object, ...]:
    row = connection.execute("SELECT state, attempts, error FROM trace.webhook_delivery").fetchone()
    return ("not worded yet",) if row is None else tuple(row)


def test_a_name_in_the_data_is_no_markup_of_the_message(connection: Connection, world: World, robot: Robot) -> None:
    with psycopg.connect(world.owner_dsn) as owner:
        owner.execute("UPDATE trace.dealer SET name_zh = '[点这里](https://evil.example) <@all>'")
    listen(connection, world, robot, "dingtalk", None)
    add_case(world)
    deliver(world, lambda: len(robot.seen) == 1)
    markdown = robot.seen[0][1]["markdown"]
    assert isinstance(markdown, dict)
    assert "](https://evil" not in markdown["text"]
    assert "<@all>" not in markdown["text"]


class Inbox(MessageHandler):
    """What a mail server took."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[dict[str, str]] = []

    def handle_message(self, message: object) -> None:
        body = message.get_payload(decode=True).decode()  # type: ignore[attr-defined]
        self.mails.append({**dict(message.items()), "body": body})  # type: ignore[attr-defined]


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[tuple[Inbox, int]]:
    box, port = Inbox(), kept_port(tmp_path / "port")
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, port
    server.stop()


def courier(world: World, port: int, **more: object) -> Courier:
    given = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none", "smtp_from": "cf@brand.example"}
    url = {"console_url": "https://cf.example"}
    settings = world.settings.model_copy(update={**given, **url, **more})
    return Courier(world.settings.database_url.get_secret_value(), settings)


def choose(world: World, login: str, address: str, *topics: str) -> None:
    environment = {
        "TRACE_DATABASE_URL": world.settings.database_url.get_secret_value(),
        "TRACE_KEY_ENCRYPTION_KEY": world.settings.key_encryption_key.get_secret_value(),
    }
    wanted = [part for topic in topics for part in ("--topic", topic)]
    command = ["trace", "account", "mail", login, "--address", address, *wanted]
    done = CliRunner().invoke(main, command, env=environment)
    assert done.exit_code == 0, done.output


def test_who_asked_for_it_gets_mail_in_their_language_and_who_acted_gets_none(
    connection: Connection, world: World, inbox: tuple[Inbox, int]
) -> None:
    box, port = inbox
    add_person(world, "lin", "analyst", "林悦")
    choose(world, LOGIN, "chen@brand.example", "case.*")
    choose(world, "lin", "lin@brand.example", "case.closed")
    number = add_case(world)
    act(connection, Actor(BRAND, LOGIN, Role.MANAGER), number, Order(Action.CLOSE, {"outcome": "e_commerce"}))
    sender = courier(world, port)
    assert sender.send_due() == 2
    assert sender.send_due() == 0
    told = {mail["To"]: mail for mail in box.mails}
    assert set(told) == {"chen@brand.example", "lin@brand.example"}
    assert "结论：电商发货" in told["lin@brand.example"]["body"]
    assert f"https://cf.example/cases/{number}" in told["chen@brand.example"]["body"]
    assert told["chen@brand.example"]["From"] == "cf@brand.example"


def test_mail_waits_for_a_server_that_is_away_and_never_goes_out_bare(
    connection: Connection, world: World, inbox: tuple[Inbox, int]
) -> None:
    box, port = inbox
    choose(world, LOGIN, "chen@brand.example", "*")
    add_case(world)
    assert courier(world, 1).send_due() == 0
    assert _mails(connection) == [("waiting", 1)]
    connection.execute("UPDATE trace.mail SET due_at = now()")
    assert courier(world, port, smtp_host="mail.example.com").send_due() == 0
    connection.execute("UPDATE trace.mail SET due_at = now()")
    # The server offers no TLS: what was asked for is not given up in silence.
    assert courier(world, port, smtp_security="starttls").send_due() == 0
    assert box.mails == []
    connection.execute("UPDATE trace.mail SET due_at = now()")
    assert courier(world, port, smtp_user="u", smtp_password=SecretStr("not-for-logs")).send_due() == 0
    connection.execute("UPDATE trace.mail SET due_at = now()")
    assert courier(world, port).send_due() == 1
    assert _mails(connection) == [("sent", 5)]
    row = connection.execute("SELECT error FROM trace.mail").fetchone()
    assert row == (None,)


def _mails(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute("SELECT state, attempts FROM trace.mail")]


def test_a_day_is_chosen_once_and_its_digest_names_the_cases(
    connection: Connection, world: World, robot: Robot
) -> None:
    number = add_case(world)
    listen(connection, world, robot, "dingtalk", None)
    now = datetime.now(UTC)
    chosen = run_day(connection, BRAND, policy_of(connection, BRAND), now.date(), now)
    assert [(each.case, each.reason, each.probability) for each in chosen] == [(number, "budget", 1.0)]
    assert run_day(connection, BRAND, policy_of(connection, BRAND), now.date(), now) == []
    deliver(world, lambda: len(robot.seen) == 1)
    markdown = robot.seen[0][1]["markdown"]
    assert isinstance(markdown, dict)
    assert markdown["title"] == "今日工单：1 件"
    assert f"工单 {number}：成都蜀清商贸（D-CHENGDU），杭州市" in markdown["text"]


def test_the_day_begins_on_the_brands_own_schedule_and_zone(connection: Connection, world: World) -> None:
    policy = Policy(digest_at="0 8 * * *", zone="Asia/Shanghai")
    morning = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)  # 08:30 in Shanghai
    assert due_day(policy, None, morning) == date(2026, 3, 2)
    assert due_day(policy, morning, morning) is None
    assert due_day(policy, None, datetime(2026, 3, 1, 23, 30, tzinfo=UTC)) is None
    assert due_day(policy, morning, datetime(2026, 3, 3, 0, 1, tzinfo=UTC)) == date(2026, 3, 3)
    add_case(world)
    late = datetime.now(UTC).replace(hour=15, minute=0)
    assert run_due(connection, late) == 1
    assert run_due(connection, late) == 0
