"""One simulated device: captures, publishes until the application acknowledges, and comes back after every loss."""

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from contracts.errors import MessageError
from contracts.messages import Ack, Pause, Resend, decode_ack, decode_command
from contracts.topics import ack_topic, command_topic, event_topic
from firmware_sim.fleet.behaviour import Behaviour, Event, capture, forgeries, message
from firmware_sim.fleet.journal import Capture, Journal
from firmware_sim.fleet.link import Account, Link
from firmware_sim.fleet.packets import Publication

WINDOW: Final = 100
_MESSAGE_EVENTS: Final = 50
_FIRST_RECONNECT_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 20.0
_MOST_DOUBLINGS: Final = 5


@dataclass(slots=True)
class _Flight:
    event: Event
    due: float
    attempts: int


class Device:
    """A device that forgets an event on the application's acknowledgement alone; it keeps what was acknowledged."""

    def __init__(self, account: Account, behaviour: Behaviour, journal: Journal, seed: int) -> None:
        self.account = account
        self.boot = secrets.token_hex(16)
        self.connections = self.resent = self.refused = self.duplicated = 0
        self.is_online = False
        self._behaviour = behaviour
        self._journal = journal
        self._random = random.Random(f"{seed} {account.device}")
        self._seq = 0
        self._fresh: deque[Event] = deque()
        self._flights: dict[int, _Flight] = {}
        self._settled: dict[int, Event] = {}
        self._paused_until = 0.0
        self._wake = asyncio.Event()
        self._acks = ack_topic(account.site, account.device)
        self._commands = command_topic(account.site, account.device)
        self._events = event_topic(account.site, account.device, behaviour.kind)

    @property
    def open_count(self) -> int:
        """How many captured events are not acknowledged."""
        return len(self._fresh) + len(self._flights)

    @property
    def captured(self) -> int:
        """How many events were captured."""
        return self._seq

    async def capture(self, until: float) -> None:
        """Capture events at the device's rate, whether it is online or not, until the loop's time `until`."""
        loop = asyncio.get_running_loop()
        interval = 1 / self._behaviour.rate
        at = loop.time() + self._random.random() * interval
        while at < until:
            await asyncio.sleep(max(at - loop.time(), 0))
            self._take(capture(self._seq + 1, _now_ms(), self._behaviour, self._random))
            at += interval

    def take(self, nonce: str, body: bytes) -> None:
        """Capture an encoded event that comes from elsewhere; `nonce` is its name in the journal."""
        self._take(Event(self._seq + 1, nonce, body, None, ""))

    def _take(self, event: Event) -> None:
        self._seq = event.seq
        self._journal.add(Capture(self.account.device, self.boot, event.seq, event.nonce, event.fate))
        self._fresh.append(event)
        self._wake.set()

    async def serve(self, host: str, port: int) -> None:
        """Stay connected, with full jitter between attempts, until cancelled."""
        failures = 0
        while True:
            link = Link(self._heard, self._wake.set)
            try:
                await link.open(host, port, self.account, [self._acks, self._commands])
                self.connections, self.is_online, failures = self.connections + 1, True, 0
                await self._work(link)
            except OSError:
                failures += 1
            finally:
                self.is_online = False
                link.close()
                self._ground()
            ceiling = _FIRST_RECONNECT_SECONDS * 2.0 ** min(failures, 16)
            await asyncio.sleep(self._random.uniform(0, min(ceiling, self._behaviour.longest_reconnect_seconds)))

    async def _work(self, link: Link) -> None:
        while link.is_open:
            self._wake.clear()
            patience = self._send(link)
            try:
                async with asyncio.timeout(patience):
                    await self._wake.wait()
            except TimeoutError:
                link.ping()

    def _send(self, link: Link) -> float:
        """Publish what is due and what is fresh, as far as the window has room; return when to look again."""
        now = time.monotonic()
        if now < self._paused_until:
            return min(self._paused_until - now, _IDLE_SECONDS)
        due = [flight.event for flight in self._flights.values() if flight.due <= now]
        self.resent += len(due)
        while self._fresh and len(self._flights) < WINDOW:
            event = self._fresh.popleft()
            self._flights[event.seq] = _Flight(event, now, 0)
            due.append(event)
        if due:
            self._publish(link, due, now)
        soonest = min((flight.due for flight in self._flights.values()), default=now + _IDLE_SECONDS)
        return max(min(soonest - now, _IDLE_SECONDS), 0.01)

    def _publish(self, link: Link, events: list[Event], now: float) -> None:
        self._journal.flush()
        groups = list(_messages(events))
        if self._behaviour.shuffle:
            self._random.shuffle(groups)
        sent_at = _now_ms() + self._behaviour.clock_offset_ms
        for group in groups:
            payload = message(self.boot, group, sent_at)
            link.publish(self._events, payload)
            if self._random.random() < self._behaviour.duplicates:
                self.duplicated += 1
                link.publish(self._events, payload)
            for event in group:
                flight = self._flights[event.seq]
                flight.attempts += 1
                doublings = min(flight.attempts - 1, _MOST_DOUBLINGS)
                wait = self._behaviour.resend_seconds * 2.0**doublings
                flight.due = now + (wait if doublings == 0 else self._random.random() * wait)
        if self._behaviour.victim:
            account = self.account
            for topic, payload in forgeries(
                account.site, account.device, self._behaviour.victim, secrets.token_hex(16), sent_at
            ):
                link.publish(topic, payload)

    def _heard(self, heard: Publication) -> None:
        try:
            if heard.topic == self._acks:
                self._settle(decode_ack(heard.payload))
            else:
                self._obey(decode_command(heard.payload) if heard.payload else Pause(until=0))
        except MessageError:
            return  # not from ingest, which keeps the contract
        self._wake.set()

    def _settle(self, ack: Ack) -> None:
        if ack.boot != self.boot:
            return
        refused = [(each.first, each.last) for each in ack.refused]
        for seq in list(self._flights):
            is_refused = _within(seq, refused)
            if is_refused or _within(seq, ack.committed):
                self._settled[seq] = self._flights.pop(seq).event
                self.refused += is_refused

    def _obey(self, command: Pause | Resend) -> None:
        if isinstance(command, Pause):
            self._paused_until = time.monotonic() + max(command.until - _now_ms(), 0) / 1000
        elif command.boot == self.boot:
            wanted = range(command.first, min(command.last, self._seq) + 1)
            self._fresh.extend(self._settled.pop(seq) for seq in wanted if seq in self._settled)

    def _ground(self) -> None:
        """Have everything on its way sent again on the next connection."""
        for flight in self._flights.values():
            flight.due = 0.0


def _messages(events: list[Event]) -> Iterator[list[Event]]:
    group: list[Event] = []
    for event in sorted(events):
        follows = group and event.seq == group[-1].seq + 1 and len(group) < _MESSAGE_EVENTS
        if group and (not follows or event.travels_alone or group[-1].travels_alone):
            yield group
            group = []
        group.append(event)
    if group:
        yield group


def _within(seq: int, ranges: list[tuple[int, int]] | tuple[tuple[int, int], ...]) -> bool:
    return any(first <= seq <= last for first, last in ranges)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
