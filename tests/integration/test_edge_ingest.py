import json
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from conftest import TestBroker, TestDatabase
from edge_parts import SITE, drop_photo, start_agent
from ingest_parts import environment, ingest_process, query, register
from waiting import PATIENCE, wait_for

from contracts.gs1 import label_uri
from contracts.messages import Environment, encode_event
from contracts.topics import Kind
from edge.outbox import Draft, Outbox
from edge.outbox.inspection import inspect
from edge.outbox.outbox import now_ms

DEVICE = "station-x"
StartBroker = Callable[[Mapping[str, str]], TestBroker]


def item(number: int) -> str:
    return label_uri("id.example.com", "06901234567892", f"S{number:019d}")


def test_from_photo_to_row_with_both_ends_killed_every_code_is_stored_once(
    tmp_path: Path, database: TestDatabase, start_broker: StartBroker
) -> None:
    broker = start_broker({DEVICE: SITE})
    register(database.owner_dsn, {DEVICE: SITE})
    photos = tmp_path / "in"
    photos.mkdir()
    settings = {
        "device": DEVICE,
        "site": SITE,
        "broker_port": broker.port,
        "broker_password": broker.passwords[DEVICE],
        "data": tmp_path,
        "source": f"folder:{photos}",
    }
    env = environment(database.ingest_dsn, broker)
    agent = start_agent("station", tmp_path / "log", **settings)
    with ExitStack() as stack:
        stack.callback(lambda: (agent.kill(), agent.wait()))
        for round_ in range(3):
            with ingest_process(env, tmp_path / "ingest.log"):
                for number in range(10):
                    drop_photo(photos, f"photo-{round_}-{number}", [item(round_ * 10 + number)])
                wait_for(lambda least=round_ * 8: len(query(database.owner_dsn, "SELECT FROM landing.scan")) > least)  # type: ignore[misc]
                agent.send_signal(signal.SIGKILL)
                agent.wait()
            agent = start_agent("station", tmp_path / "log", **settings)
        with ingest_process(env, tmp_path / "ingest.log"):
            wait_for(lambda: len(query(database.owner_dsn, "SELECT FROM landing.scan")) >= 30)
            wait_for(lambda: len(list((photos / "done").glob("*"))) == 30)
            wait_for(lambda: inspect(tmp_path / "outbox.db").waiting == 0)
    codes = Counter(code for (code,) in query(database.owner_dsn, "SELECT code FROM landing.scan"))
    assert codes == Counter(item(number) for number in range(30))
    assert query(database.owner_dsn, "SELECT FROM landing.dead_letter") == []


def test_what_ingest_refuses_becomes_a_tombstone_at_the_edge(
    tmp_path: Path, database: TestDatabase, start_broker: StartBroker
) -> None:
    broker = start_broker({DEVICE: SITE})
    register(database.owner_dsn, {DEVICE: SITE})
    bad = json.dumps({"ts": now_ms(), "code": "", "symbology": "QRCode"}).encode()
    good = encode_event(Environment(ts=now_ms(), temperature_c=4.0))
    with Outbox(tmp_path / "outbox.db") as outbox:
        outbox.add([Draft(Kind.SCAN, bad, now_ms()), Draft(Kind.ENV, good, now_ms())])
    values = {"device": DEVICE, "site": SITE, "data": tmp_path, "source": f"folder:{tmp_path}"}
    access = {"broker_port": broker.port, "broker_password": broker.passwords[DEVICE]}
    ingest_log = tmp_path / "ingest.log"
    with ingest_process(environment(database.ingest_dsn, broker), ingest_log):
        # The broker drops what nobody has subscribed to yet, and the edge sends that again only after half a minute.
        wait_for(lambda: b'"ingest.connected"' in ingest_log.read_bytes())
        agent = start_agent("station", tmp_path / "log", **values, **access)
        wait_for(lambda: inspect(tmp_path / "outbox.db").refused == 1)
        wait_for(lambda: inspect(tmp_path / "outbox.db").waiting == 0)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(PATIENCE) == 0
    [tombstone] = inspect(tmp_path / "outbox.db").tombstones
    assert tombstone.reason == "MESSAGE_INVALID"
    assert len(query(database.owner_dsn, "SELECT FROM landing.environment")) == 1
    states = query(database.owner_dsn, "SELECT state FROM landing.device WHERE id = %s", DEVICE)
    assert states == [("offline",)]
