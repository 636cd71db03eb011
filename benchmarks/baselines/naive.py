"""The consumer of most tutorials: one INSERT and one commit a message. Written against paho-mqtt 2.1, psycopg 3.2.

Arguments: broker port, password, database URL, how many messages; prints `ready` and, at the end, `done`.
"""

import json
import sys

import psycopg
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

_INSERT = (
    "INSERT INTO bench.naive (device, boot, seq, ts, code, body) "
    "VALUES (%s, %s, %s, to_timestamp(%s / 1000.0), %s, %s) ON CONFLICT DO NOTHING"
)


def main() -> None:
    """Serve until all messages are committed."""
    port, password, url, expected = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    connection = psycopg.connect(url)
    client = Client(CallbackAPIVersion.VERSION2, "naive", clean_session=False, protocol=MQTTv311)
    client.username_pw_set("ingest", password)
    count = 0

    def on_message(client: Client, _userdata: object, message: MQTTMessage) -> None:
        nonlocal count
        header, _, body = message.payload.partition(b"\n")
        _, boot, seq, _, _, _ = header.decode().split()
        _, site, _, device, _ = message.topic.split("/")
        for number, event in enumerate(json.loads(body), start=int(seq)):
            connection.execute(_INSERT, (device, boot, number, event["ts"], event["code"], json.dumps(event)))
        connection.commit()
        ack = {"boot": boot, "committed": [[int(seq), int(seq)]]}
        client.publish(f"v1/{site}/ack/{device}", json.dumps(ack), qos=1)
        count += 1
        if count == expected:
            print("done", flush=True)  # noqa: T201  the benchmark reads it

    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)  # noqa: T201  the benchmark reads it
    client.connect("127.0.0.1", port)
    client.subscribe("v1/+/+/+/+", 1)
    client.loop_forever()


if __name__ == "__main__":
    main()
