"""All shelves of a print job in one process: physics, firmware and serial lines, with stock kept across restarts."""

import asyncio
from collections.abc import Mapping
from math import pi, sin
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import structlog
from msgspec import Struct

from contracts.errors import ConfigurationError
from firmware_sim.files import write_atomically
from firmware_sim.print_job import Channel, Shelf
from firmware_sim.shelves.cell import LoadCell, weigh_units
from firmware_sim.shelves.controller import Controller, Trouble
from firmware_sim.shelves.customers import Customers
from firmware_sim.shelves.hands import Hand, Hands, Moved
from firmware_sim.shelves.rtu import PtySlave

_log = structlog.get_logger(__name__)
TICK_SECONDS: Final = 0.1
_SAVE_SECONDS: Final = 2.0
_MEAN_C, _SWING_C, _DAY_SECONDS = 21.5, 2.0, 1800.0
_MEAN_HUMIDITY, _SWING_HUMIDITY = 52.0, 6.0
_DOOR_SECONDS: Final = (3.0, 8.0)
"""For how long the door stands open when somebody reaches in, at least and at most."""


class ChannelState(Struct):
    """What is kept of one channel: the weight of each unit, the cell's drift, and what an installer wrote."""

    gtin: str
    units: list[float]
    zero_g: float
    holding: list[int]


class ShopState(Struct):
    """What is kept across restarts; `channels` by device and channel, such as `shelf-01/1`."""

    elapsed: float = 0.0
    starts: int = 0
    channels: dict[str, ChannelState] = {}


def load_state(path: Path | None) -> ShopState:
    """Return the state in `path`, or a fresh one where there is none."""
    if path is None or not path.exists():
        return ShopState()
    try:
        return msgspec.json.decode(path.read_bytes(), type=ShopState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path} is no state of simulated shelves: {error}", advice="Delete it to start from full shelves."
        ) from error


class SimulatedShelf:
    """One shelf: a controller over its load cells; `elapsed` is seconds since the shop was first started."""

    def __init__(
        self, shelf: Shelf, kept: ShopState, random: np.random.Generator, rush: str, trouble: Trouble | None
    ) -> None:
        self.shelf = shelf
        self._random = random
        self._door_ends = self._elapsed = kept.elapsed
        states = {
            channel.channel: _kept(kept.channels.get(f"{shelf.device}/{channel.channel}"), channel)
            for channel in shelf.channels
        }
        self.controller = Controller(
            shelf, {number: state.holding for number, state in states.items() if state is not None}, trouble
        )
        self.cells = {channel.channel: _cell(channel, states[channel.channel], random) for channel in shelf.channels}
        self._customers = {
            channel.channel: Customers(
                channel, random, now=kept.elapsed, rush=rush == f"{shelf.device}/{channel.channel}"
            )
            for channel in shelf.channels
        }

    def tick(self, elapsed: float, uptime: float) -> None:
        """Let one tick pass."""
        self._elapsed = elapsed
        phase = sin(2 * pi * elapsed / _DAY_SECONDS)
        temperature = _MEAN_C + _SWING_C * phase + float(self._random.normal(0, 0.05))
        self.controller.climate(
            temperature, _MEAN_HUMIDITY - _SWING_HUMIDITY * phase + float(self._random.normal(0, 0.3))
        )
        for number, cell in self.cells.items():
            cell.advance(TICK_SECONDS)
            if self._customers[number].act(elapsed, cell):
                self._open_door()
                _log.info(
                    "goods moved", action="shelf.moved", device=self.shelf.device, channel=number, units=len(cell.units)
                )
        self.controller.door(is_open=elapsed < self._door_ends)
        self.controller.sample(uptime, {number: cell.measure(temperature) for number, cell in self.cells.items()})

    def reach(self, channel: int, units: int) -> Moved:
        """Take units off a channel, or put fresh ones up where `units` is negative."""
        cell = self.cells[channel]
        self._open_door()
        if units < 0:
            weight = next(each.unit_weight_g for each in self.shelf.channels if each.channel == channel)
            cell.put(weigh_units(-units, weight, self._random))
        moved = units if units < 0 else min(units, len(cell.units))
        for _ in range(max(moved, 0)):
            cell.take()
        return Moved(moved, len(cell.units), self.shelf.device)

    def _open_door(self) -> None:
        self._door_ends = max(self._door_ends, self._elapsed + float(self._random.uniform(*_DOOR_SECONDS)))

    def state(self) -> Mapping[str, ChannelState]:
        """Return what is to be kept."""
        return {
            f"{self.shelf.device}/{channel.channel}": ChannelState(
                channel.gtin,
                self.cells[channel.channel].units,
                self.cells[channel.channel].zero_g,
                self.controller.holding[channel.channel],
            )
            for channel in self.shelf.channels
        }


class Shop:
    """Every shelf of a print job. The same seed and state give the same customers."""

    def __init__(
        self,
        shelves: tuple[Shelf, ...],
        *,
        seed: int,
        state_file: Path | None = None,
        troubles: Mapping[str, Trouble] | None = None,
    ) -> None:
        self._state_file = state_file
        self._state = load_state(state_file)
        self._state.starts += 1
        rush = _lowest(shelves)
        seeds = np.random.SeedSequence([seed, self._state.starts]).spawn(len(shelves))
        self.shelves = tuple(
            SimulatedShelf(
                shelf, self._state, np.random.default_rng(own_seed), rush, (troubles or {}).get(shelf.device)
            )
            for shelf, own_seed in zip(shelves, seeds, strict=True)
        )
        self._uptime = 0.0

    def tick(self) -> None:
        """Let one tick pass on every shelf."""
        self._uptime += TICK_SECONDS
        self._state.elapsed += TICK_SECONDS
        for shelf in self.shelves:
            shelf.tick(self._state.elapsed, self._uptime)

    def reach(self, hand: Hand) -> Moved:
        """Do what somebody asks for with one channel, named by its device or its site."""
        for shelf in self.shelves:
            if hand.place in {shelf.shelf.device, shelf.shelf.site} and hand.channel in shelf.cells:
                _log.info("a hand", action="shelf.hand", device=shelf.shelf.device, **msgspec.structs.asdict(hand))
                return shelf.reach(hand.channel, hand.units)
        return Moved(problem=f"no simulated shelf has a channel {hand.place}/{hand.channel}")

    def save(self) -> None:
        """Write the state, where a file for it was named."""
        if self._state_file is None:
            return
        for shelf in self.shelves:
            self._state.channels.update(shelf.state())
        write_atomically(self._state_file, msgspec.json.encode(self._state))

    async def serve(self, links: Path, stop: asyncio.Event) -> None:
        """Answer on a pty for each shelf, `<links>/<device>.tty`, until `stop` is set."""
        self.tick()  # an agent that reads at once must not see zeros
        hands = Hands(links)  # before the lines: who sees a shelf may reach for it
        lines: list[PtySlave] = []
        try:
            for shelf in self.shelves:
                line = PtySlave(shelf.controller, links / f"{shelf.shelf.device}.tty")
                line.open()
                lines.append(line)
            _log.info("shelves answer", action="shelf.ready", shelves=len(lines), links=str(links))
            await self._run(stop, hands)
        finally:
            for line in lines:
                line.close()
            self.save()

    async def _run(self, stop: asyncio.Event, hands: Hands) -> None:
        loop = asyncio.get_running_loop()
        due, save_at = loop.time(), loop.time() + _SAVE_SECONDS
        while not stop.is_set():
            hands.serve(self.reach)
            self.tick()
            due += TICK_SECONDS
            if loop.time() >= save_at:
                self.save()
                save_at = loop.time() + _SAVE_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))


def _kept(state: ChannelState | None, channel: Channel) -> ChannelState | None:
    """Return a kept state if it is of the product that the channel holds now."""
    return state if state is not None and state.gtin == channel.gtin else None


def _cell(channel: Channel, state: ChannelState | None, random: np.random.Generator) -> LoadCell:
    if state is not None:
        return LoadCell(state.units, random, zero_g=state.zero_g)
    return LoadCell(weigh_units(channel.units, channel.unit_weight_g, random), random)


def _lowest(shelves: tuple[Shelf, ...]) -> str:
    """Name the channel that is emptiest for its capacity, as `device/channel`; it is the one that sells fast."""
    ranked = [
        (channel.units / channel.capacity, f"{shelf.device}/{channel.channel}")
        for shelf in shelves
        for channel in shelf.channels
    ]
    return min(ranked, default=(0.0, ""))[1]
