"""One run of the market in real time: warehouse, then scans as orders leave, then a trickle until all is sold."""

import queue
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog

from contracts.messages import encode_event
from contracts.topics import Kind
from firmware_sim.files import write_atomically
from firmware_sim.market.gateway import Account, Gateway
from firmware_sim.market.journal import Journal
from firmware_sim.market.plan import Plan, make_plan
from firmware_sim.market.scans import Planned
from firmware_sim.market.warehouse import Warehouse
from firmware_sim.print_job import World

_log = structlog.get_logger(__name__)
DEVICE: Final = "gateway-market"
_TICK_SECONDS: Final = 0.1
_TRICKLE_SECONDS: Final = 3.0


class Options(NamedTuple):
    """How a run is played."""

    seed: int
    attack: bool
    speed: float
    stations: Path
    state: Path
    truth: Path


class Scanners:
    """Everyone with a phone: tells which planned scans are due. Times are seconds since the epoch."""

    def __init__(self, plan: Plan, told: set[int], speed: float) -> None:
        todo = [(number, planned) for number, planned in enumerate(plan.scans) if number not in told]
        self._soon = [pair for pair in todo if not pair[1].later]
        self._later = deque(pair for pair in todo if pair[1].later)
        self._speed = speed
        self._next_trickle = 0.0

    @property
    def is_through(self) -> bool:
        """Whether every planned scan was told."""
        return not self._soon and not self._later

    def due(self, now: float, left: dict[str, float]) -> list[tuple[int, Planned]]:
        """Return the scans that are due at `now`, and forget them; `left` says when each order left."""
        due = [
            (number, planned)
            for number, planned in self._soon
            if planned.order in left and left[planned.order] + planned.after / self._speed <= now
        ]
        if due:
            gone = {number for number, _ in due}
            self._soon = [pair for pair in self._soon if pair[0] not in gone]
        elif not self._soon and self._later and now >= self._next_trickle:
            due = [self._later.popleft()]
            self._next_trickle = now + _TRICKLE_SECONDS / self._speed
        return due


def play(world: World, account: Account, options: Options, stop: threading.Event) -> None:
    """Play the market until `stop` is set; a run that was begun before is resumed where it was."""
    journal = Journal(options.state)
    try:
        seed, attack = journal.begin(world.run, options.seed, attack=options.attack)
        if (seed, attack) != (options.seed, options.attack):
            _log.warning("the run goes on as it was begun", action="market.resumed", seed=seed, attack=attack)
        plan = make_plan(world, seed, attack=attack)
        write_atomically(options.truth, msgspec.json.format(msgspec.json.encode(plan.truth), indent=1))
        _log.info("market opens", action="market.start", run=world.run, scans=len(plan.scans), attack=attack)
        _Market(world, journal, plan, options).run(Gateway(account, journal), stop, seed)
    finally:
        journal.close()


class _Market:
    """The warehouse on its own thread, everything else on this one."""

    def __init__(self, world: World, journal: Journal, plan: Plan, options: Options) -> None:
        self._world = world
        self._journal = journal
        self._options = options
        self._scanners = Scanners(plan, journal.told(world.run), options.speed)
        self._left = dict(journal.departures(world.run))
        self._departed: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(self, gateway: Gateway, stop: threading.Event, seed: int) -> None:
        gateway.start()
        warehouse = Warehouse(self._world, self._options.stations, seed, self._departed.put)
        with ThreadPoolExecutor(1, "warehouse") as pool:
            work = pool.submit(warehouse.work, frozenset(self._left), stop, self._options.speed)
            try:
                told_all = False
                while not stop.wait(_TICK_SECONDS):
                    if work.done():
                        work.result()  # a failed warehouse ends the market
                    self._tick(gateway)
                    if self._scanners.is_through and not gateway.open_count and not told_all:
                        told_all = True
                        _log.info("every item was scanned; idle", action="market.idle", run=self._world.run)
            finally:
                stop.set()
                gateway.stop()

    def _tick(self, gateway: Gateway) -> None:
        while not self._departed.empty():
            order = self._departed.get()
            self._journal.depart(self._world.run, order)
            self._left = dict(self._journal.departures(self._world.run))
        due = self._scanners.due(time.time(), self._left)
        if due:
            now_ms = time.time_ns() // 1_000_000
            events = [
                (number, Kind.SCAN, encode_event(msgspec.structs.replace(planned.scan, ts=now_ms)))
                for number, planned in due
            ]
            gateway.take(self._journal.append(self._world.run, events))
        gateway.pump()
