"""What a competent engineer would write on paho for the very job of ingest. Written against paho-mqtt 2.2, psycopg 3.3.

Batches of 1,000, each copied by psycopg's adapters into a temporary table; one statement then stores what is new,
queues it, notes its rollups, extends the received ranges and updates the devices, all in the tables of ingest. The
devices get their acknowledgement after the commit, the broker its PUBACKs after that. A message that cannot be read
ends it: there are no dead letters, no search for a refused row, no comparison of contents, and no waiting for a broker
or a database that is away.

Arguments: broker port, password, database URL, how many messages; prints `ready` and, at the end, `done`.
"""

import hashlib
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from uuid import UUID

import msgspec
import psycopg
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from contracts.messages import Scan

_COLUMNS = (
    "device, boot, seq, ts, sent_at, received_at, content, site, code, symbology, aim, activity, reference, parent, "
    "recipient, operator"
)
_TYPES = ("text", "uuid", "int8", *("timestamptz",) * 3, "int8", *("text",) * 9)
_TEMPORARY = "CREATE TEMPORARY TABLE fresh (LIKE landing.scan) ON COMMIT DELETE ROWS"
_COPY = f"COPY fresh ({_COLUMNS}) FROM STDIN (FORMAT binary)"
_STORE = """
WITH stored AS (
    INSERT INTO landing.scan SELECT fresh.* FROM fresh
    JOIN landing.device ON device.id = fresh.device AND device.site = fresh.site AND device.retired_at IS NULL
    ON CONFLICT DO NOTHING
    RETURNING device, boot, seq, ts, sent_at, received_at
), queued AS (
    INSERT INTO landing.work (kind, device, boot, seq, ts) SELECT 'scan', device, boot, seq, ts FROM stored
), dirty AS (
    INSERT INTO landing.rollup_dirty
    SELECT DISTINCT 'scan', date_bin('5 minutes', ts, '2000-01-01 00:00Z') FROM stored
), received AS (
    INSERT INTO landing.received AS known
    SELECT device, boot, range_agg(int8range(seq, seq + 1)) FROM stored GROUP BY device, boot
    ON CONFLICT (device, boot) DO UPDATE SET ranges = known.ranges + excluded.ranges
)
UPDATE landing.device
SET last_seen = greatest(device.last_seen, news.received_at), skew_ms = news.skew_ms,
    state = CASE device.state WHEN 'unseen' THEN 'online' ELSE device.state END
FROM (
    SELECT device, max(received_at) AS received_at,
        (extract(epoch FROM max(sent_at) - max(received_at)) * 1000)::bigint AS skew_ms
    FROM stored GROUP BY device
) AS news
WHERE device.id = news.device
"""
_BATCH, _FLUSH_SECONDS = 1000, 0.02
_RAW_EVENTS = msgspec.json.Decoder(list[msgspec.Raw])
_EVENT = msgspec.json.Decoder(Scan)


def main() -> None:
    """Serve until all messages are committed."""
    port, password, url, expected = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    waiting: SimpleQueue[MQTTMessage] = SimpleQueue()
    client = Client(
        CallbackAPIVersion.VERSION2, "batched_same_job", clean_session=False, protocol=MQTTv311, manual_ack=True
    )
    client.username_pw_set("ingest", password)
    client.on_message = lambda _client, _userdata, message: waiting.put(message)
    client.on_subscribe = lambda *_: print("ready", flush=True)  # noqa: T201  the benchmark reads it
    client.connect("127.0.0.1", port)
    client.subscribe("v1/+/+/+/+", 1)
    client.loop_start()
    count = 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TEMPORARY)
        while count < expected:
            batch = _collect(waiting)
            if batch:
                _commit(connection, client, batch)
                count += len(batch)
    print("done", flush=True)  # noqa: T201  the benchmark reads it
    time.sleep(3600)


def _collect(waiting: "SimpleQueue[MQTTMessage]") -> list[MQTTMessage]:
    batch: list[MQTTMessage] = []
    flush_at = time.monotonic() + _FLUSH_SECONDS
    with suppress(Empty):
        while len(batch) < _BATCH:
            batch.append(waiting.get(timeout=max(0, flush_at - time.monotonic())))
    return batch


def _commit(connection: psycopg.Connection, client: Client, batch: Sequence[MQTTMessage]) -> None:
    committed: defaultdict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    with connection.transaction():
        with connection.cursor().copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for message in batch:
                for row in _rows(message, committed):
                    copy.write_row(row)
        connection.execute(_STORE)
        connection.execute("SELECT pg_notify('work', '')")
    for (site, device, boot), ranges in committed.items():
        payload = msgspec.json.encode({"boot": boot, "committed": ranges})
        client.publish(f"v1/{site}/ack/{device}", payload, qos=1)
    for message in batch:
        client.ack(message.mid, 1)


def _rows(
    message: MQTTMessage, committed: dict[tuple[str, str, str], list[tuple[int, int]]]
) -> Iterator[tuple[object, ...]]:
    header, _, body = message.payload.partition(b"\n")
    _, boot, first, count, sent, crc = header.decode().split()
    if int(crc, 16) != zlib.crc32(body):
        raise ValueError("a damaged body")
    _, site, _, device, _ = message.topic.split("/")
    now, sent_at, identity = datetime.now(UTC), _moment(int(sent)), UUID(boot)
    for seq, raw in enumerate(_RAW_EVENTS.decode(body), start=int(first)):
        scan = _EVENT.decode(raw)
        content = int.from_bytes(hashlib.sha256(raw).digest()[:8], signed=True)
        texts = (scan.code, scan.symbology, scan.aim, scan.activity.value, scan.reference, scan.parent)
        yield (
            *(device, identity, seq, _moment(scan.ts), sent_at, now, content, site),
            *(*texts, scan.to, scan.operator),
        )
    committed[site, device, boot].append((int(first), int(first) + int(count) - 1))


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


if __name__ == "__main__":
    main()
