"""Plays a world folder through the wire: readers and phones over MQTT, what no station can say over EPCIS."""

import asyncio
import http.client
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog

from contracts.errors import ConfigurationError
from contracts.messages import Position
from firmware_sim.fleet.behaviour import Behaviour
from firmware_sim.fleet.device import Device
from firmware_sim.fleet.journal import Journal
from firmware_sim.fleet.link import Account
from firmware_sim.world.playing.folder import Told, events, rows
from firmware_sim.world.playing.translate import DOCUMENTED, Clock, captured, document, scans

_log = structlog.get_logger(__name__)
_MOST_OPEN: Final = 2000
_DOCUMENT_EVENTS: Final = 200
_DOCUMENT_SECONDS: Final = 2.0
_TICK_SECONDS: Final = 0.02
_TELL_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 30.0


class Interface(NamedTuple):
    """Where the EPCIS interface is, such as https://trace.example.com/epcis, and the token of it."""

    url: str
    token: str


class Stage(NamedTuple):
    """Where a world is played: `gateway` speaks for every device that is not among the accounts."""

    host: str
    port: int
    accounts: Mapping[str, Account]
    gateway: str
    interface: Interface | None
    speed: float
    drain_seconds: float


class Played(msgspec.Struct, frozen=True):
    """What was played. `unplayed` counts by type what had no way to be told; `open` was never acknowledged."""

    events: int
    scans: int
    captured: int
    repeated: int
    refused: int
    open: int
    unplayed: dict[str, int]


class Player:
    """One world on one stage."""

    def __init__(self, folder: Path, stage: Stage, journal: Journal, progress: Callable[[str], None]) -> None:
        if stage.gateway not in stage.accounts:
            raise ConfigurationError(
                f"{stage.gateway} is not among the devices", advice="Name the device that carries consumers' scans."
            )
        self._folder, self._stage, self._progress = folder, stage, progress
        behaviour = Behaviour(resend_seconds=10.0, longest_reconnect_seconds=4.0)
        self._devices = {n: Device(account, behaviour, journal, 1) for n, account in stage.accounts.items()}
        self._shops = {
            row["id"]: Position(lon=float(row["lon"]), lat=float(row["lat"]), accuracy_m=50.0)
            for row in rows(folder, "stores.csv")
        }
        self._counts: Counter[str] = Counter()
        self._unplayed: Counter[str] = Counter()
        self._papers: list[dict[str, Any]] = []
        self._sent_at = self._told_at = time.monotonic()

    async def play(self, stop: asyncio.Event) -> Played:
        """Play until the folder is through and all is acknowledged, or `stop` is set."""
        stage = self._stage
        serving = [asyncio.create_task(device.serve(stage.host, stage.port)) for device in self._devices.values()]
        try:
            await self._tell_all(stop)
            await self._send_papers()
            await self._drained()
        finally:
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
        counts = self._counts
        refused = sum(device.refused for device in self._devices.values())
        return Played(
            counts["events"],
            counts["scans"],
            counts["captured"],
            counts["repeated"],
            refused,
            self._open(),
            dict(sorted(self._unplayed.items())),
        )

    async def _drained(self) -> None:
        deadline = time.monotonic() + self._stage.drain_seconds
        while self._open():
            if time.monotonic() > deadline:
                _log.warning("events stay open", action="play.open", events=self._open())
                break
            await asyncio.sleep(_POLL_SECONDS)

    async def _tell_all(self, stop: asyncio.Event) -> None:
        clock: Clock | None = None
        known: set[str] = set()
        for told in events(self._folder):
            clock = clock or Clock(told.received_at, time.time(), self._stage.speed)
            if told.event_id in known:
                # A number of the outbox is never stored twice, so a repeat would be no other event.
                self._counts["repeated"] += 1
                continue
            known.add(told.event_id)
            await self._wait(clock.seconds(told.received_at), stop)
            if stop.is_set():
                return
            self._tell(told, clock)
            await self._report(told)

    async def _wait(self, due: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            ahead = due - time.time()
            if ahead <= _TICK_SECONDS and self._open() < _MOST_OPEN:
                break
            await self._flush_papers()
            await asyncio.sleep(min(max(ahead, _TICK_SECONDS), 1.0))

    def _tell(self, told: Told, clock: Clock) -> None:
        self._counts["events"] += 1
        own = self._devices.get(told.device_id)
        device = own or self._devices[self._stage.gateway]
        bodies = scans(told, clock, self._shops, at_home=own is not None)
        for body in bodies:
            device.take(told.event_id, body)
        self._counts["scans"] += len(bodies)
        papers = captured(told, clock) if told.type in DOCUMENTED and self._stage.interface else []
        self._papers.extend(papers)
        if not bodies and not papers:
            self._unplayed[told.type] += 1

    async def _report(self, told: Told) -> None:
        await self._flush_papers()
        if time.monotonic() - self._told_at > _TELL_SECONDS:
            self._told_at = time.monotonic()
            counts = f"{self._counts['events']} events, {self._counts['scans']} scans, {self._open()} open"
            self._progress(f"{told.received_at:%Y-%m-%d %H:%M} {counts}")

    async def _flush_papers(self) -> None:
        late = time.monotonic() - self._sent_at > _DOCUMENT_SECONDS
        if len(self._papers) >= _DOCUMENT_EVENTS or (self._papers and late):
            await self._send_papers()

    async def _send_papers(self) -> None:
        self._sent_at = time.monotonic()
        if self._papers and self._stage.interface is not None:
            batch, self._papers = self._papers, []
            await asyncio.to_thread(_capture, self._stage.interface, batch)
            self._counts["captured"] += len(batch)

    def _open(self) -> int:
        return sum(device.open_count for device in self._devices.values())


def _capture(interface: Interface, batch: list[dict[str, Any]]) -> None:
    """Send a document; raises `ConfigurationError` where it is not taken."""
    parts = urlsplit(interface.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER_SECONDS)
    headers = {
        "Authorization": f"Bearer {interface.token}",
        "Content-Type": "application/json",
        "GS1-Capture-Error-Behaviour": "proceed",
    }
    try:
        connection.request("POST", f"{parts.path}/capture", msgspec.json.encode(document(batch)), headers)
        answer = connection.getresponse()
        text = answer.read(2000).decode(errors="replace")
    except OSError as error:
        raise ConfigurationError(f"{interface.url} does not answer: {error}", advice="Is the console up?") from error
    finally:
        connection.close()
    if answer.status != http.client.ACCEPTED:
        raise ConfigurationError(f"{interface.url} answers {answer.status}: {text}", advice="See docs/epcis.md.")
    _log.info("document captured", action="play.captured", events=len(batch))
