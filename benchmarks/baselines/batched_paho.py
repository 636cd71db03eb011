"""A careful consumer on paho: batches of 1,000, one unnest each, manual PUBACKs. Written against paho-mqtt 2.1.

Arguments: broker port, password, database URL, how many messages; prints `ready` and, at the end, `done`.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

import msgspec
import psycopg
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from contracts.messages import Scan

_INSERT = (
    "INSERT INTO bench.batched (device, boot, seq, ts, code, symbology, activity, reference, recipient) "
    "SELECT device, boot::uuid, seq, to_timestamp(ts / 1000.0), code, symbology, activity, reference, recipient "
    "FROM unnest(%s::text[], %s::text[], %s::int8[], %s::int8[], %s::text[], %s::text[], %s::text[], %s::text[], "
    "%s::text[]) AS event (device, boot, seq, ts, code, symbology, activity, reference, recipient) "
    "ON CONFLICT DO NOTHING"
)
_BATCH, _FLUSH_SECONDS = 1000, 0.02
_EVENTS = msgspec.json.Decoder(list[Scan])


def main() -> None:
    """Serve until all messages are committed."""
    port, password, url, expected = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    waiting: SimpleQueue[MQTTMessage] = SimpleQueue()
    client = Client(
        CallbackAPIVersion.VERSION2, "batched_paho", clean_session=False, protocol=MQTTv311, manual_ack=True
    )
    client.username_pw_set("ingest", password)
    client.on_message = lambda _client, _userdata, message: waiting.put(message)
    client.on_subscribe = lambda *_: print("ready", flush=True)  # noqa: T201  the benchmark reads it
    client.connect("127.0.0.1", port)
    client.subscribe("v1/+/+/+/+", 1)
    client.loop_start()
    count = 0
    with psycopg.connect(url, autocommit=True) as connection:
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
    rows: list[tuple[object, ...]] = []
    committed: defaultdict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for message in batch:
        header, _, body = message.payload.partition(b"\n")
        _, boot, seq, count, _, _ = header.decode().split()
        _, site, _, device, _ = message.topic.split("/")
        for number, event in enumerate(_EVENTS.decode(body), start=int(seq)):
            activity = event.activity.value
            text = (event.code, event.symbology, activity, event.reference, event.to)
            rows.append((device, boot, number, event.ts, *text))
        committed[site, device, boot].append((int(seq), int(seq) + int(count) - 1))
    cursor = connection.cursor(binary=True)
    cursor.execute(_INSERT, [list(column) for column in zip(*rows, strict=True)])
    for (site, device, boot), ranges in committed.items():
        payload = msgspec.json.encode({"boot": boot, "committed": ranges})
        client.publish(f"v1/{site}/ack/{device}", payload, qos=1)
    for message in batch:
        client.ack(message.mid, 1)


if __name__ == "__main__":
    main()
