"""What the tests of the agents share: an application that acknowledges as a test likes, agents, and label pictures."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from ending import end
from paho.mqtt.client import Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from waiting import PATIENCE, wait_for

from cli.embedded.users import INGEST
from contracts.messages import (
    Ack,
    Command,
    Event,
    Header,
    Refusal,
    Scan,
    decode_event,
    encode_ack,
    encode_command,
    encode_event,
    split_body,
    unpack_header,
)
from contracts.topics import Kind, ack_topic, command_topic, event_filters, parse_event_topic
from edge.outbox import Draft, Outbox
from edge.outbox.outbox import now_ms
from firmware_sim.labels import item_label, worksheet

SITE = "dc-east"
_GAP = 40


class Message:
    """A message as the application got it."""

    def __init__(self, topic: str, payload: bytes) -> None:
        self.header: Header
        self.header, body = unpack_header(payload)
        self.kind = parse_event_topic(topic).kind
        self.device = parse_event_topic(topic).device
        self.raws = split_body(payload, self.header, body)
        self.events: list[Event] = [decode_event(self.kind, raw) for raw in self.raws]


class Application:
    """Stands where ingest does: hears every event, and acknowledges what `judge` returns for a message."""

    def __init__(self, port: int, password: str, *, site: str = SITE, answers: bool = True) -> None:
        self.answers = answers
        self.site = site
        self.messages: list[Message] = []
        self.refuse: dict[str, str] = {}
        """Codes that are refused, and why."""
        self._client = Client(CallbackAPIVersion.VERSION2, "ingest-of-test", clean_session=False, protocol=MQTTv311)
        self._client.username_pw_set(INGEST, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe([(each, 1) for each in event_filters()])
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: setattr(self, "ready", True)
        self.ready = False
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_for(lambda: self.ready)

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        heard = Message(message.topic, bytes(message.payload))
        self.messages.append(heard)
        if self.answers and heard.header.count:
            self.acknowledge(heard)

    def acknowledge(self, heard: Message) -> None:
        first = heard.header.seq
        bad = {
            first + index: self.refuse[event.code]
            for index, event in enumerate(heard.events)
            if isinstance(event, Scan) and event.code in self.refuse
        }
        good = [seq for seq in range(first, first + heard.header.count) if seq not in bad]
        ack = Ack(
            boot=heard.header.boot,
            committed=tuple((seq, seq) for seq in good),
            refused=tuple(Refusal(seq, seq, reason) for seq, reason in bad.items()),
        )
        self.send(ack_topic(self.site, heard.device), encode_ack(ack))

    def send(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)

    def command(self, device: str, command: Command, *, retain: bool = False) -> None:
        """Return once the broker has it."""
        told = self._client.publish(command_topic(self.site, device), encode_command(command), qos=1, retain=retain)
        told.wait_for_publish(PATIENCE)

    def of(self, kind: Kind) -> list[Message]:
        return [each for each in self.messages if each.kind is kind]

    def events(self, kind: Kind) -> dict[tuple[str, int], bytes]:
        """Return each event once, by its boot and sequence number; two contents for one number fail the test."""
        found: dict[tuple[str, int], bytes] = {}
        for message in list(self.messages):
            if message.kind is kind and message.header.count:
                for index, raw in enumerate(message.raws):
                    key = (message.header.boot, message.header.seq + index)
                    assert found.setdefault(key, raw) == raw, "the same number with other content"
        return found

    def codes(self) -> "Counter[str]":
        """Return how often each code was captured: the multiset after deduplication by number."""
        raws = self.events(Kind.SCAN).values()
        events = (decode_event(Kind.SCAN, raw) for raw in raws)
        return Counter(event.code for event in events if isinstance(event, Scan))

    def stop(self) -> None:
        end(self._client)


def scan_draft(code: str, once: str = "") -> Draft:
    at = now_ms()
    return Draft(Kind.SCAN, encode_event(Scan(ts=at, code=code, symbology="QRCode")), at, once=once)


def keep(outbox: Outbox, *codes: str) -> None:
    outbox.add([scan_draft(code) for code in codes])


def start_agent(command: str, log: Path, **settings: object) -> "subprocess.Popen[bytes]":
    """Start `codefence edge <command>`; its settings are given without their prefix."""
    environment = {f"EDGE_{name.upper()}": str(value) for name, value in settings.items()}
    program = str(Path(sys.executable).with_name("codefence"))
    with log.open("ab") as output:
        return subprocess.Popen(
            [program, "edge", command],
            env={"PATH": os.defpath, **environment},
            stdout=output,
            stderr=output,
            cwd=log.parent,
        )


def drop_photo(folder: Path, name: str, texts: Sequence[str], *, sheets: bool = False) -> None:
    """Put a picture with the texts' QR codes side by side into a watched folder, all at once."""
    labels = [worksheet(text, 6) if sheets else item_label(text, 6) for text in texts]
    height = max(label.shape[0] for label in labels) + 2 * _GAP
    columns = [
        cv2.copyMakeBorder(label, _GAP, height - label.shape[0] - _GAP, _GAP, _GAP, cv2.BORDER_CONSTANT, value=(255,))
        for label in labels
    ]
    fresh = folder / f".{name}.png"
    assert cv2.imwrite(str(fresh), np.hstack(columns))
    fresh.rename(folder / f"{name}.png")
