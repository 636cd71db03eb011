"""The whole market against a real broker, with stand-ins for the stations and for ingest."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as mqtt
import pytest
from ending import end
from paho.mqtt.enums import CallbackAPIVersion
from sim_market_sample import write_market
from waiting import PATIENCE, wait_for

from contracts.messages import (
    Ack,
    Kind,
    Pause,
    Refusal,
    Resend,
    Scan,
    decode_event,
    encode_ack,
    encode_command,
    split_body,
    unpack_header,
)
from contracts.topics import ack_topic, command_topic, event_filters, parse_event_topic
from firmware_sim.market.journal import Journal
from firmware_sim.market.plan import make_plan
from firmware_sim.print_job import load_world

DEVICE, SITE = "gateway-market", "market"


class Broker(Protocol):
    """What these tests use of a running broker."""

    host: str
    port: int
    passwords: Mapping[str, str]


StartBroker = Callable[[Mapping[str, str]], Broker]


class Ingest:
    """Subscribes like ingest, remembers every event by (boot, seq), and acknowledges while `answers` is set."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self.answers = True
        self.refuses: set[int] = set()
        self.events: dict[tuple[str, int], tuple[Kind, bytes]] = {}
        self.deliveries: Counter[tuple[str, int]] = Counter()
        self.sent: dict[tuple[str, int], int] = {}
        """When each event was first sent, milliseconds."""
        self.boots: set[str] = set()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="ingest-stand-in")
        self._client.username_pw_set("ingest", password)
        self._client.on_message = self._received
        self._client.connect(host, port)
        self._client.subscribe([(topic, 1) for topic in event_filters()])
        self._client.loop_start()

    def _received(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        header, body = unpack_header(payload)
        topic = parse_event_topic(message.topic)
        raws = split_body(payload, header, body)
        if header.count == 0:
            return
        self.boots.add(header.boot)
        for seq, raw in enumerate(raws, start=header.seq):
            key = (header.boot, seq)
            assert self.events.setdefault(key, (topic.kind, raw)) == (topic.kind, raw), "the same number, other content"
            self.deliveries[key] += 1
            self.sent.setdefault(key, header.sent_at)
        if self.answers:
            last = header.seq + len(raws) - 1
            refused = tuple(
                Refusal(seq, seq, "CODE_INVALID") for seq in range(header.seq, last + 1) if seq in self.refuses
            )
            committed = () if refused else ((header.seq, last),)
            ack = Ack(boot=header.boot, committed=committed, refused=refused)
            client.publish(ack_topic(SITE, DEVICE), encode_ack(ack), qos=1)

    def resend(self, boot: str, first: int, last: int) -> None:
        command = encode_command(Resend(boot=boot, first=first, last=last))
        self._client.publish(command_topic(SITE, DEVICE), command, qos=1)

    def pause(self, until: int) -> None:
        command = encode_command(Pause(until=until))
        self._client.publish(command_topic(SITE, DEVICE), command, qos=1, retain=True)

    def lift(self) -> None:
        self._client.publish(command_topic(SITE, DEVICE), b"", qos=1, retain=True)

    def scans(self) -> list[Scan]:
        return list(self.scanned().values())

    def scanned(self) -> dict[tuple[str, int], Scan]:
        events = sorted(self.events.copy().items())
        found = {key: decode_event(kind, raw) for key, (kind, raw) in events if kind is Kind.SCAN}
        return {key: scan for key, scan in found.items() if isinstance(scan, Scan)}

    def close(self) -> None:
        end(self._client)


class Stations(threading.Thread):
    """Moves each photo to `done`, as stations do once they have committed what it shows."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.seen: dict[str, list[str]] = {"station-pack": [], "station-ship": []}
        self.ends = threading.Event()

    def run(self) -> None:
        for station in self.seen:
            (self.folder / station / "in" / "done").mkdir(parents=True)
        while not self.ends.wait(0.03):
            for station, names in self.seen.items():
                inbox = self.folder / station / "in"
                for photo in sorted(inbox.glob("[!.]*.jpg"), key=lambda path: (path.stat().st_mtime_ns, path)):
                    names.append(photo.name)
                    photo.rename(inbox / "done" / photo.name)


class Market:
    """The simulator as its own process."""

    def __init__(self, folder: Path, broker: Broker, cases: tuple[int, ...]) -> None:
        self.world = write_market(folder / "market.json", cases=cases)
        password = folder / "password"
        password.write_text(broker.passwords[DEVICE] + "\n")
        self._arguments = ("--world", self.world, "--stations", folder / "stations", "--password-file", password)
        self._port = broker.port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        arguments = (*self._arguments, "--broker-port", self._port, *options)
        command = "from cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", command, "simulate", "market", *map(str, arguments)], stderr=subprocess.DEVNULL
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@pytest.fixture
def ingest(start_broker: StartBroker) -> Iterator[tuple[Ingest, Broker]]:
    broker = start_broker({DEVICE: SITE})
    stand_in = Ingest(broker.host, broker.port, broker.passwords["ingest"])
    yield stand_in, broker
    stand_in.close()


@pytest.fixture
def stations(tmp_path: Path) -> Iterator[Stations]:
    running = Stations(tmp_path / "stations")
    running.start()
    yield running
    running.ends.set()
    running.join()


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Callable[..., Market]]:
    made: list[Market] = []

    def make(broker: Broker, cases: tuple[int, ...]) -> Market:
        made.append(Market(tmp_path, broker, cases))
        return made[-1]

    yield make
    for one in made:
        if one.process is not None and one.process.poll() is None:
            one.stop()


def test_goods_are_packed_shipped_and_scanned_and_the_diversion_is_told(
    ingest: tuple[Ingest, Broker], stations: Stations, market: Callable[..., Market], tmp_path: Path
) -> None:
    received, broker = ingest
    running = market(broker, (14, 3))
    running.start("--speed", "8")
    world = json.loads(running.world.read_text())
    printed = sum(len(case["items"]) for case in world["cases"])
    issued = {item for case in world["cases"] for item in case["items"]}
    truth = tmp_path / "truth.json"
    wait_for(truth.exists)
    attack = json.loads(truth.read_text())["attacks"][0]
    wait_for(lambda: set(attack["scanned_items"]) <= {scan.code for scan in received.scans()})
    wait_for(lambda: len(stations.seen["station-pack"]) == 17 and len(stations.seen["station-ship"]) == 17 + 2 * 2)
    assert [name.split("-")[2] for name in stations.seen["station-ship"][:3]] == ["000", "001", "002"]
    assert stations.seen["station-ship"] == sorted(stations.seen["station-ship"])
    codes = [scan.code for scan in received.scans()]
    assert set(codes) & issued
    assert len(set(codes) & issued) <= printed
    assert all(scan.ts > 1_600_000_000_000 for scan in received.scans())
    assert running.stop() == 0


def test_a_killed_simulator_loses_no_event_and_uses_no_number_twice(
    ingest: tuple[Ingest, Broker], stations: Stations, market: Callable[..., Market], tmp_path: Path
) -> None:
    received, broker = ingest
    received.answers = False
    running = market(broker, (3, 2))
    running.start("--speed", "20", "--no-attack", "--seed", "5")
    wait_for(lambda: len(received.events) >= 8)
    running.stop(signal.SIGKILL)
    unanswered = set(received.events)
    received.answers = True
    dropped = {station: len(names) for station, names in stations.seen.items()}
    running.start("--speed", "20", "--no-attack", "--seed", "99")
    wait_for(lambda: all(received.deliveries[key] >= 2 for key in unanswered))
    planned = make_plan(load_world(running.world), 5, attack=False).scans
    wait_for(lambda: len(received.scans()) == len(planned))
    wait_for(lambda: [len(stations.seen[each]) for each in ("station-pack", "station-ship")] == [5, 9])
    journal = Journal(tmp_path / "market-state.db")
    wait_for(lambda: journal.open_entries() == [])
    assert running.stop() == 0
    assert journal.open_entries() == []
    journal.close()
    assert Counter(scan.code for scan in received.scans()) == Counter(each.scan.code for each in planned)
    assert len(received.boots) == 1
    numbers = sorted(seq for _, seq in received.events)
    assert numbers == list(range(1, len(numbers) + 1))
    assert dropped["station-pack"] > 0


def test_what_is_not_acknowledged_is_sent_again_and_at_most_a_hundred_wait(
    ingest: tuple[Ingest, Broker], stations: Stations, market: Callable[..., Market]
) -> None:
    received, broker = ingest
    received.answers = False
    running = market(broker, (30,))
    running.start("--speed", "100", "--no-attack")
    wait_for(lambda: len(received.events) == 100)
    wait_for(lambda: len(stations.seen["station-pack"]) == 30)
    time.sleep(2)
    assert len(received.events) == 100
    wait_for(lambda: min(received.deliveries.values()) >= 2)
    received.answers = True
    wait_for(lambda: len(received.events) > 150)


def test_a_refused_event_is_given_up_and_a_range_that_ingest_misses_is_sent_again(
    ingest: tuple[Ingest, Broker], stations: Stations, market: Callable[..., Market]
) -> None:
    received, broker = ingest
    received.refuses = {1}
    running = market(broker, (2,))
    running.start("--speed", "50", "--no-attack")
    wait_for(lambda: len(received.events) >= 13)
    boot = next(iter(received.boots))
    before = received.deliveries[boot, 3]
    received.resend(boot, 3, 4)
    wait_for(lambda: received.deliveries[boot, 3] > before and received.deliveries[boot, 4] > 1)
    refused = received.deliveries[boot, 1]  # it had heard of the refusal before it was asked to send others again
    time.sleep(11)
    assert received.deliveries[boot, 1] == refused
    assert stations.is_alive()


def is_quiet(received: Ingest) -> bool:
    """Tell whether nothing comes for longer than customers leave between two scans."""
    before = len(received.events)
    time.sleep(2)
    return len(received.events) == before


def test_a_paused_fleet_is_silent_until_the_given_time_or_until_the_pause_is_lifted(
    ingest: tuple[Ingest, Broker], stations: Stations, market: Callable[..., Market]
) -> None:
    received, broker = ingest
    running = market(broker, (12,))
    running.start("--speed", "10", "--no-attack")
    wait_for(lambda: len(received.events) >= 8)
    until = round(time.time() * 1000) + 8000
    received.pause(until)

    def held() -> list[tuple[str, int]]:
        """Return what was scanned in the pause and sent after it."""
        return [key for key, scan in received.scanned().items() if scan.ts < until <= received.sent[key]]

    wait_for(lambda: len(held()) > 3)
    first = min(held())
    assert [key for key, at in received.sent.copy().items() if key > first and at < until] == [], "none went past it"
    received.pause(until + 600_000)
    wait_for(lambda: is_quiet(received))
    silent = len(received.events)
    received.lift()
    wait_for(lambda: len(received.events) > silent)
    assert stations.is_alive()
