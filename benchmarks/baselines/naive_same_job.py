"""The consumer of most tutorials, made to do the very job of ingest. Written against paho-mqtt 2.2, psycopg 3.3.

Each message is checked, stored, queued and noted in the tables of ingest, and committed, before the next one: with a
statement for each of these, as most would write it. There are no dead letters, and a message that cannot be read ends
it.

Arguments: broker port, password, database URL, how many messages; prints `ready` and, at the end, `done`.
"""

import hashlib
import json
import sys
import zlib
from datetime import UTC, datetime

import psycopg
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

_KNOWN = "SELECT 1 FROM landing.device WHERE id = %s AND site = %s AND retired_at IS NULL"
_SCAN = """
INSERT INTO landing.scan (device, boot, seq, ts, sent_at, received_at, content, site, code, symbology, aim, activity,
    reference, parent, recipient, operator)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_WORK = "INSERT INTO landing.work (kind, device, boot, seq, ts) VALUES ('scan', %s, %s, %s, %s)"
_DIRTY = "INSERT INTO landing.rollup_dirty VALUES ('scan', date_bin('5 minutes', %s, '2000-01-01 00:00Z'))"
_RECEIVED = """
INSERT INTO landing.received AS known VALUES (%s, %s, int8multirange(int8range(%s, %s)))
ON CONFLICT (device, boot) DO UPDATE SET ranges = known.ranges + excluded.ranges
"""
_DEVICE = """
UPDATE landing.device SET last_seen = %s, skew_ms = %s, state = CASE state WHEN 'unseen' THEN 'online' ELSE state END
WHERE id = %s
"""


def main() -> None:
    """Serve until all messages are committed."""
    port, password, url, expected = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    connection = psycopg.connect(url)
    client = Client(
        CallbackAPIVersion.VERSION2, "naive_same_job", clean_session=False, protocol=MQTTv311, manual_ack=True
    )
    client.username_pw_set("ingest", password)
    count = 0

    def on_message(client: Client, _userdata: object, message: MQTTMessage) -> None:
        nonlocal count
        _, site, _, device, _ = message.topic.split("/")
        boot, first, last = _store(connection, site, device, bytes(message.payload))
        connection.commit()
        client.publish(f"v1/{site}/ack/{device}", json.dumps({"boot": boot, "committed": [[first, last]]}), qos=1)
        client.ack(message.mid, 1)
        count += 1
        if count == expected:
            print("done", flush=True)  # noqa: T201  the benchmark reads it

    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)  # noqa: T201  the benchmark reads it
    client.connect("127.0.0.1", port)
    client.subscribe("v1/+/+/+/+", 1)
    client.loop_forever()


def _store(connection: psycopg.Connection, site: str, device: str, payload: bytes) -> tuple[str, int, int]:
    header, _, body = payload.partition(b"\n")
    _, boot, number, _, sent, crc = header.decode().split()
    if int(crc, 16) != zlib.crc32(body) or connection.execute(_KNOWN, (device, site)).fetchone() is None:
        raise ValueError("a damaged body or an unknown device")
    now, sent_at, first = datetime.now(UTC), _moment(int(sent)), int(number)
    events = json.loads(body)
    for seq, event in enumerate(events, start=first):
        ts = _moment(event["ts"])
        digest = hashlib.sha256(json.dumps(event, separators=(",", ":")).encode()).digest()
        texts = [event.get(name, "") for name in ("aim", "activity", "reference", "parent", "to", "operator")]
        content = int.from_bytes(digest[:8], signed=True)
        row = (device, boot, seq, ts, sent_at, now, content, site, event["code"], event["symbology"], *texts)
        if connection.execute(_SCAN, row).rowcount:
            connection.execute(_WORK, (device, boot, seq, ts))
            connection.execute(_DIRTY, (ts,))
    connection.execute(_RECEIVED, (device, boot, first, first + len(events)))
    connection.execute(_DEVICE, (now, int((sent_at - now).total_seconds() * 1000), device))
    connection.execute("SELECT pg_notify('work', '')")
    return boot, first, first + len(events) - 1


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


if __name__ == "__main__":
    main()
