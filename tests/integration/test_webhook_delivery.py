import asyncio
import base64
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from pydantic import SecretStr
from receiving import Answer, Posted, receiving
from waiting import PATIENCE, wait_for

from cli.main import main
from contracts.errors import ConfigurationError
from contracts.webhooks import SignatureError, verify
from trace_service.keys import KeyWrapper
from trace_service.notify.deliverer import Deliverer
from trace_service.store.connection import connect
from trace_service.webhooks import enqueue
from trace_service.webhooks.outbox import Subscription, Target, replay, rotate, subscribe
from trace_service.webhooks.patience import Patience

LOOPBACK = (ip_network("127.0.0.0/8"),)
KEY = SecretStr(base64.b64encode(bytes(32)).decode())
KEYS = KeyWrapper(KEY)
SHORT = Patience(attempts=3, first=0.05, longest=0.1)


@dataclass
class Receiver:
    """A partner's server: answers as told, and keeps what came."""

    answers: Callable[[int], int] = lambda _: 204
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    location: str = ""

    def topics(self) -> list[str]:
        return [headers["Codefence-Topic"] for headers, _ in self.seen]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a receiver on a busy machine the time that it takes: one that is late is asked once more."""
    monkeypatch.setattr("trace_service.notify.deliverer._ANSWER_SECONDS", PATIENCE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    told = Receiver()

    def take(posted: Posted) -> Answer:
        told.seen.append((posted.headers, posted.body))
        headers = {"Location": told.location} if told.location else {}
        return Answer(told.answers(len(told.seen)), headers=headers)

    with receiving(take) as url:
        told.url = f"{url}/hook"
        yield told


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[psycopg.Connection]:
    with connect(database.trace_dsn, "tests") as connection:
        connection.execute("INSERT INTO trace.brand VALUES ('b', '牌', 'Brand'), ('c', '他', 'Other')")
        yield connection


def deliver(database: TestDatabase, until: Callable[[], bool], networks: tuple[object, ...] = LOOPBACK) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(Deliverer(database.trace_dsn, KEYS, networks, SHORT).run(stop))  # type: ignore[arg-type]
        deadline = time.monotonic() + PATIENCE
        while not until() and time.monotonic() < deadline:  # noqa: ASYNC110  the condition is the database's
            await asyncio.sleep(0.02)
        stop.set()
        await task
        assert until()

    asyncio.run(run())


def states(connection: psycopg.Connection) -> list[tuple[str, str, int]]:
    return [
        tuple(row)
        for row in connection.execute("SELECT topic, state, attempts FROM trace.webhook_delivery ORDER BY id")
    ]


def add(connection: psycopg.Connection, url: str, *topics: str) -> Subscription:
    return subscribe(connection, KEYS, LOOPBACK, ("b", url), topics or ["*"])


def test_messages_arrive_signed_and_in_order_and_only_once_committed(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    made = add(connection, receiver.url, "order.*")
    with connection.transaction(force_rollback=True):
        enqueue(connection, "b", "order.never", {})
    first = enqueue(connection, "b", "order.created", {"order": "SO-1", "备注": "加急"})
    enqueue(connection, "b", "alert.raised", {})
    enqueue(connection, "c", "order.created", {})
    for number in range(20):
        enqueue(connection, "b", f"order.n{number}", {})
    deliver(database, lambda: len(receiver.seen) >= 21)
    assert receiver.topics() == ["order.created", *(f"order.n{number}" for number in range(20))]
    headers, body = receiver.seen[0]
    verify(made.secret, body, headers["Codefence-Signature"], time.time())
    message = json.loads(body)
    assert message["id"] == headers["Codefence-Message"] == str(first)
    assert (message["topic"], message["brand"]) == ("order.created", "b")
    assert message["data"] == {"order": "SO-1", "备注": "加急"}
    assert {state for _, state, _ in states(connection)} == {"delivered"}


def test_a_new_secret_and_for_a_while_the_old_one_sign_what_is_sent(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    made = add(connection, receiver.url)
    second = rotate(connection, KEYS, made.id, timedelta(hours=1))
    enqueue(connection, "b", "order.created", {})
    deliver(database, lambda: len(receiver.seen) >= 1)
    third = rotate(connection, KEYS, made.id, timedelta(0))
    enqueue(connection, "b", "order.changed", {})
    deliver(database, lambda: len(receiver.seen) >= 2)
    known = {made.secret: [True, False], second.secret: [True, False], third.secret: [False, True]}
    for secret, expected in known.items():
        assert [signed_by(secret, *message) for message in receiver.seen] == expected
    robot = subscribe(connection, KEYS, LOOPBACK, Target("b", receiver.url, "dingtalk"), ["*"])
    with pytest.raises(ConfigurationError):
        rotate(connection, KEYS, robot.id, timedelta(hours=1))


def signed_by(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        verify(secret, body, headers["Codefence-Signature"], time.time())
    except SignatureError:
        return False
    return True


def test_a_secret_that_cannot_be_unwrapped_or_a_broken_row_fails_alone(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    foreign = subscribe(connection, KeyWrapper(SecretStr(base64.b64encode(b"\1" * 32).decode())), LOOPBACK,
                        ("c", receiver.url), ["order.*"])  # fmt: skip
    odd = subscribe(connection, KEYS, LOOPBACK, ("c", receiver.url), ["order.*"])
    with connect(database.owner_dsn, "tests") as owner:
        owner.execute("UPDATE trace.webhook SET url = 'http://127.0.0.1:x/' WHERE id = %s", [odd.id])
    add(connection, receiver.url)
    enqueue(connection, "c", "order.created", {})
    enqueue(connection, "b", "order.created", {})
    deliver(database, lambda: {state for _, state, _ in states(connection)} == {"dead", "delivered"})
    assert receiver.topics() == ["order.created"]
    why = dict(connection.execute("SELECT webhook, error FROM trace.webhook_delivery WHERE state = 'dead'").fetchall())
    assert why[foreign.id].startswith("CONFIGURATION: ")
    assert why[odd.id] == "an error of this service: ValueError"


def test_a_younger_message_waits_for_an_older_transaction_that_is_not_over(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    add(connection, receiver.url)
    with connect(database.trace_dsn, "slow") as slow:
        with slow.transaction():
            enqueue(slow, "b", "order.first", {})
            enqueue(connection, "b", "order.second", {})
            began = time.monotonic()
            deliver(database, lambda: time.monotonic() - began > 1.2)
            assert receiver.seen == []
        deliver(database, lambda: len(receiver.seen) == 2)
    assert receiver.topics() == ["order.first", "order.second"]


def test_a_failing_receiver_is_asked_again_and_its_order_is_kept(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    add(connection, receiver.url)
    receiver.answers = lambda count: 503 if count <= 2 else 200
    for name in ("a", "b"):
        enqueue(connection, "b", f"order.{name}", {})
    deliver(database, lambda: len(receiver.seen) == 4)
    assert receiver.topics() == ["order.a", "order.a", "order.a", "order.b"]
    assert len({headers["Codefence-Message"] for headers, _ in receiver.seen[:3]}) == 1
    assert states(connection) == [("order.a", "delivered", 3), ("order.b", "delivered", 1)]


def test_what_is_given_up_can_be_replayed_and_holds_nobody_up(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    made = add(connection, receiver.url)
    receiver.answers = lambda count: 500 if count <= 3 else 200
    enqueue(connection, "b", "order.a", {})
    enqueue(connection, "b", "order.b", {})
    deliver(database, lambda: len(receiver.seen) == 4)
    assert states(connection) == [("order.a", "dead", 3), ("order.b", "delivered", 1)]
    assert replay(connection, made.id, None) == 1
    deliver(database, lambda: len(receiver.seen) == 5)
    assert receiver.topics()[-1] == "order.a"
    assert states(connection)[0] == ("order.a", "delivered", 1)


def test_alerts_are_told_when_raised_and_when_decided(database: TestDatabase, connection: psycopg.Connection) -> None:
    add(connection, "https://erp.example.com/", "alert.*")
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.dealer (id, brand, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES ('D', 'b', '商', 'Dealer', 'city', 0, 1, 2)"
        )
    (number,) = connection.execute(
        "INSERT INTO trace.alert (brand, kind, dealer, city, raised_at, updated_at, cases, scans, reason)"
        " VALUES ('b', 'diversion', 'D', '330100', now(), now(), 3, 4, '{}') RETURNING id"
    ).fetchone() or (0,)
    connection.execute("UPDATE trace.alert SET cases = 5")
    connection.execute("UPDATE trace.alert SET state = 'closed', outcome = 'confirmed'")
    rows = connection.execute("SELECT topic, payload -> 'alert' ->> 'outcome' FROM trace.webhook_delivery ORDER BY id")
    assert [tuple(row) for row in rows] == [("alert.raised", None), ("alert.closed", "confirmed")]
    assert number > 0


def test_one_partner_that_is_away_does_not_delay_another(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    add(connection, "http://127.0.0.1:9/closed")
    add(connection, receiver.url)
    enqueue(connection, "b", "order.a", {})
    deliver(database, lambda: len(receiver.seen) == 1 and ("order.a", "dead", 3) in states(connection))
    assert ("order.a", "delivered", 1) in states(connection)


def test_one_brands_many_slow_partners_leave_room_for_another_brand(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    waited = threading.Event()

    def slowly(_: int) -> int:
        # The other brand's message is the only one that nobody has to wait for; several come at the same time.
        if "order.quick" in receiver.topics():
            waited.set()
        return 204 if waited.wait(PATIENCE) else 500

    receiver.answers = slowly
    for _ in range(40):
        add(connection, receiver.url, "order.*")
    subscribe(connection, KEYS, LOOPBACK, ("c", receiver.url), ["order.*"])
    enqueue(connection, "b", "order.slow", {})
    enqueue(connection, "c", "order.quick", {})
    deliver(
        database,
        lambda: len(states(connection)) == 41 and {row[1:] for row in states(connection)} == {("delivered", 1)},
    )
    assert receiver.topics().index("order.quick") <= 8, "a share of a brand is eight at a time"


def test_redirects_are_not_followed_and_gone_is_final(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    add(connection, receiver.url)
    receiver.location = receiver.url + "/elsewhere"
    receiver.answers = lambda count: 302 if count == 1 else 410
    enqueue(connection, "b", "order.a", {})
    deliver(database, lambda: states(connection)[0][1] == "dead")
    assert len(receiver.seen) == 2
    assert states(connection) == [("order.a", "dead", 2)]


def test_a_name_that_leads_inside_is_not_connected_to(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    add(connection, receiver.url.replace("127.0.0.1", "localhost"))
    enqueue(connection, "b", "order.a", {})
    deliver(database, lambda: states(connection)[0][1] == "dead", networks=())
    assert receiver.seen == []
    (error,) = connection.execute("SELECT error FROM trace.webhook_delivery").fetchone() or ("",)
    assert "no address that a webhook may reach" in error


def test_a_receiver_with_a_certificate_of_nobody_learns_nothing(
    database: TestDatabase, connection: psycopg.Connection, tmp_path: Path
) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
    try:
        add(connection, f"https://127.0.0.1:{server.server_port}/")
        enqueue(connection, "b", "order.a", {})
        deliver(database, lambda: states(connection)[0][1] == "dead")
        assert bodies == []
    finally:
        server.shutdown()
        server.server_close()


def test_the_process_is_killed_and_nothing_is_lost(
    database: TestDatabase, connection: psycopg.Connection, receiver: Receiver
) -> None:
    environment = {
        **os.environ, "TRACE_DATABASE_URL": database.trace_dsn, "TRACE_KEY_ENCRYPTION_KEY": KEY.get_secret_value(),
        "TRACE_WEBHOOK_NETWORKS": '["127.0.0.0/8"]',
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("codefence")), "trace", "webhooks"]
    add(connection, receiver.url)
    for number in range(60):
        enqueue(connection, "b", f"order.n{number}", {"pad": secrets.token_hex(40)})
    receiver.answers = lambda _: time.sleep(0.02) or 200  # type: ignore[func-returns-value]
    first = subprocess.Popen(command, env=environment)
    wait_for(lambda: len(receiver.seen) >= 10 or first.poll() is not None)
    assert first.poll() is None
    first.kill()
    first.wait()
    second = subprocess.Popen(command, env=environment)
    waiting = "SELECT 1 FROM trace.webhook_delivery WHERE state = 'waiting'"
    wait_for(lambda: connection.execute(waiting).fetchone() is None)
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    numbers = [int(topic.removeprefix("order.n")) for topic in receiver.topics()]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(60))


def test_subscriptions_are_managed_from_the_command_line(
    database: TestDatabase, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", KEY.get_secret_value())

    def run(*words: str) -> tuple[int, str, str]:
        answer = CliRunner().invoke(main, ["trace", "webhook", *words])
        return answer.exit_code, answer.stdout, answer.stderr

    code, secret, _ = run("add", "https://erp.example.com/hook", "--brand", "b", "--topic", "order.*")
    assert code == 0
    assert secret.startswith("whsec_")
    assert run("add", "https://127.0.0.1/", "--brand", "b", "--topic", "*")[0] == 1
    assert run("add", "https://erp.example.com/", "--brand", "nobody", "--topic", "*")[0] == 1
    assert run("add", "https://erp.example.com/", "--brand", "b", "--topic", "order*")[0] == 1
    enqueue(connection, "b", "order.created", {})
    (listed,) = map(json.loads, run("list", "--json")[1].splitlines())
    assert (listed["url"], listed["waiting"]) == ("https://erp.example.com/hook", 1)
    assert secret.strip() not in json.dumps(listed)
    number = str(listed["id"])
    assert run("remove", number)[0] == 0
    assert run("remove", number)[0] == 1
    assert run("list")[1] == ""
    enqueue(connection, "b", "order.created", {})
    assert states(connection) == [("order.created", "dead", 0)]
