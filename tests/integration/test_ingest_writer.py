"""The writer against the database alone: two at once, and the command's own surroundings."""

import random
import threading
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from conftest import TestBroker, TestDatabase
from ingest_parts import SITE, environment, ingest_process, now_ms, query, register, scan
from waiting import PATIENCE, wait_for

from cli.embedded.files import kept_port
from contracts.messages import pack
from contracts.topics import Kind, event_topic
from ingest.landing.decode import Decoded, decode
from ingest.landing.writer import Writer


def test_two_writers_with_the_same_messages_store_each_once_and_never_deadlock(database: TestDatabase) -> None:
    devices = [f"device-{number}" for number in range(8)]
    register(database.owner_dsn, dict.fromkeys(devices, SITE))
    messages = [
        decode(
            event_topic(SITE, device, Kind.SCAN),
            pack(f"{index:032x}", seq, now_ms(), [scan(f"{device} {seq}")]),
            now_ms(),
        )
        for index, device in enumerate(devices)
        for seq in range(1, 41)
    ]
    committed: list[int] = []

    def write(seed: int) -> None:
        shuffled: list[Decoded] = random.Random(seed).sample(messages, len(messages))
        writer = Writer(database.ingest_dsn, f"writer-{seed}")
        parts = [shuffled[start : start + 32] for start in range(0, len(shuffled), 32)]
        committed.extend(writer.write(part).committed for part in parts)
        writer.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(committed) == 30
    assert sum(committed) == len(messages)
    assert query(database.owner_dsn, "SELECT count(DISTINCT code), count(*) FROM landing.scan") == [(320, 320)]
    assert query(database.owner_dsn, "SELECT count(*) FROM landing.queued") == [(320,)]
    assert query(database.owner_dsn, "SELECT DISTINCT ranges::text FROM landing.received") == [("{[1,41)}",)]


def test_metrics_are_served_where_asked_for(
    database: TestDatabase, start_broker: Callable[[Mapping[str, str]], TestBroker], tmp_path: Path
) -> None:
    port = kept_port(tmp_path / "port")
    env = environment(database.ingest_dsn, start_broker({})) | {"INGEST_METRICS_PORT": str(port)}

    def scrape() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as response:
                return str(response.read(), "utf-8")
        except OSError:
            return ""

    with ingest_process(env, tmp_path / "log"):
        wait_for(lambda: "codefence_ingest_broker_connected 1.0" in scrape())
        assert "codefence_ingest_events_committed_total 0.0" in scrape()
