"""A shelf controller on a pty for the tests, in a thread of its own; tests move the goods."""

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
from edge_parts import SITE
from waiting import wait_for

from firmware_sim.print_job import Channel, Shelf
from firmware_sim.shelves.cell import LoadCell, weigh_units
from firmware_sim.shelves.controller import Controller
from firmware_sim.shelves.rtu import PtySlave

DEVICE = "shelf-x"
UNIT_G = 540.0
GTIN = "06901234567892"


class Hardware:
    """A controller with two load cells on a pty, in a thread of its own; tests move the goods."""

    def __init__(self, line: Path) -> None:
        self.line = line
        random = np.random.default_rng(3)
        channels = tuple(Channel(number, GTIN, UNIT_G, 10, 40) for number in (1, 2))
        self.cells = {number: LoadCell(weigh_units(10, UNIT_G, random), random) for number in (1, 2)}
        self.controller = Controller(Shelf(DEVICE, SITE, channels))
        self.temperature: float | None = 4.5
        self.uptime = 20.0
        self._off = threading.Event()
        self._thread: threading.Thread | None = None

    def switch_on(self) -> None:
        self._off.clear()
        self._thread = threading.Thread(target=asyncio.run, args=(self._work(),))
        self._thread.start()
        wait_for(self.line.is_char_device)

    def switch_off(self) -> None:
        self._off.set()
        if self._thread:
            self._thread.join()

    async def _work(self) -> None:
        slave = PtySlave(self.controller, self.line)
        slave.open()
        started = time.monotonic()
        while not self._off.is_set():
            for cell in self.cells.values():
                cell.advance(0.1)
            measured = {number: cell.measure(21.0) for number, cell in self.cells.items()}
            self.controller.sample(time.monotonic() - started + self.uptime, measured)
            if self.temperature is not None:
                self.controller.climate(self.temperature, 61.0)
            await asyncio.sleep(0.1)
        slave.close()
