"""What the tests of ingest share: registered devices, an edge that sends until it is acknowledged, and workers."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import psycopg
from conftest import TestBroker, TestDatabase
from ending import end
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import SecretStr
from waiting import PATIENCE, wait_for

from contracts.messages import Ack, Refusal, Scan, decode_ack, encode_event, pack
from contracts.topics import Kind, ack_topic, event_topic
from ingest.metrics import Metrics
from ingest.mqtt import LeanConsumer
from ingest.mqtt.consumer import Account, Arrival, Consumer
from ingest.settings import IngestSettings
from ingest.worker import Worker

SITE = "dc-east"
CODEFENCE = str(Path(sys.executable).with_name("codefence"))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def register(dsn: str, devices: Mapping[str, str]) -> None:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO landing.device (id, site, kind) VALUES (%s, %s, 'station')", list(devices.items())
        )


def scan(nonce: str, **changes: object) -> bytes:
    fields = {"ts": now_ms(), "code": nonce, "symbology": "datamatrix", **changes}
    return encode_event(msgspec.convert(fields, Scan))


def query(dsn: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement, parameters).fetchall()


def hear(consumer: Consumer, count: int, seconds: float = PATIENCE) -> list[Arrival]:
    """Receive until so many messages came, or in vain for so long."""
    arrivals: list[Arrival] = []
    deadline = time.monotonic() + seconds
    while len(arrivals) < count and time.monotonic() < deadline:
        arrivals += consumer.receive(count - len(arrivals), 0.2)
    return arrivals


class Edge:
    """One device as the contract wants it: it forgets an event only on the application's acknowledgement."""

    def __init__(self, port: int, password: str, device: str, site: str = SITE) -> None:
        self.device, self.site = device, site
        self.boot = secrets.token_hex(16)
        self.acks: list[Ack] = []
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, f"edge-{device}", clean_session=False, protocol=MQTTv311)
        self._client.username_pw_set(device, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(ack_topic(site, device), 1)
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_disconnect = lambda *_: self._subscribed.clear()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait_connected()

    def wait_connected(self) -> None:
        wait_for(lambda: self._subscribed.is_set() and self._client.is_connected())

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        ack = decode_ack(bytes(message.payload))
        with self._lock:
            self.acks.append(ack)

    def publish(self, payload: bytes, topic: str | None = None, kind: Kind = Kind.SCAN) -> None:
        self._client.publish(topic or event_topic(self.site, self.device, kind), payload, qos=1)

    def send(self, seq: int, events: list[bytes], kind: Kind = Kind.SCAN) -> None:
        self.publish(pack(self.boot, seq, now_ms(), events), kind=kind)

    def committed(self) -> set[int]:
        with self._lock:
            return {
                seq
                for ack in self.acks
                if ack.boot == self.boot
                for first, last in ack.committed
                for seq in range(first, last + 1)
            }

    def refused(self) -> list[Refusal]:
        with self._lock:
            return [refusal for ack in self.acks for refusal in ack.refused]

    def refused_numbers(self) -> set[tuple[int, str]]:
        return {(seq, one.reason) for one in self.refused() for seq in range(one.first, one.last + 1)}

    def deliver(self, messages: Sequence[tuple[int, list[bytes]]], *, seconds: float, window: int = 20) -> None:
        """Send numbered messages, `window` at a time, each again after 0.7 s until it is acknowledged."""
        waiting, sent = dict(messages), dict[int, float]()
        deadline = time.monotonic() + seconds
        while waiting:
            now = time.monotonic()
            assert now < deadline, f"{len(waiting)} messages are not acknowledged"
            for seq, events in list(waiting.items())[:window]:
                if self._client.is_connected() and now - sent.get(seq, -1) >= 0.7:
                    sent[seq] = now
                    self.send(seq, events)
            time.sleep(0.005)
            waiting = {seq: waiting[seq] for seq in sorted(waiting.keys() - self.committed())}

    def close(self) -> None:
        end(self._client)


def environment(dsn: str, broker: TestBroker) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "INGEST_DATABASE_URL": dsn,
        "INGEST_BROKER_PORT": str(broker.port),
        "INGEST_BROKER_PASSWORD": broker.passwords["ingest"],
    }


@contextmanager
def ingest_process(env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen([CODEFENCE, "ingest", "run"], env=dict(env), stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class RunningWorker:
    """A worker in a thread of this process, with a clock that a test may turn."""

    def __init__(
        self,
        database: TestDatabase,
        broker: TestBroker,
        client_id: str = "ingest-0",
        consumer: Consumer | None = None,
    ) -> None:
        settings = IngestSettings(
            database_url=SecretStr(database.ingest_dsn),
            broker_port=broker.port,
            broker_password=SecretStr(broker.passwords["ingest"]),
            client_id=client_id,
        )
        account = Account("127.0.0.1", broker.port, "ingest", broker.passwords["ingest"], client_id)
        self.ahead_ms = 0
        self.metrics = Metrics()
        self.stop = threading.Event()
        consumer = consumer or LeanConsumer(account)
        worker = Worker(settings, lambda: now_ms() + self.ahead_ms, consumer, self.metrics)
        self.thread = threading.Thread(target=worker.run, args=(self.stop,))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"codefence_ingest_{name}", labels) or 0.0

    def __enter__(self) -> Self:
        self.thread.start()
        wait_for(lambda: self.value("broker_connected") == 1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
