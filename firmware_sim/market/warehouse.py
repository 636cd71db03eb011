"""Packing and shipping: photos of labels into the stations' watched folders, at the pace of two quick people.

The folders are the memory: a photo that lies in a folder, or that the station has filed away, is not taken again.
A photo that left its folder was worked off, and an order whose photos have all left has left the warehouse.
"""

import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Container, Iterable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple

import numpy as np
import structlog

from contracts import worksheet
from contracts.messages import Activity
from firmware_sim import labels
from firmware_sim.photo import photograph
from firmware_sim.print_job import Case, Order, World

_log = structlog.get_logger(__name__)
PACK_STATION: Final = "station-pack"
SHIP_STATION: Final = "station-ship"
_PACE_SECONDS: Final = 0.1
_WAITING_PHOTOS: Final = 12
"""With this many in the folder the camera waits, so that a slow station is not buried."""
_ITEM_MODULE_PX: Final = 4
_CASE_MODULE_PX: Final = 5
_BAR_PX: Final = 2
_SHEET_MODULE_PX: Final = 6


class _Photo(NamedTuple):
    name: str
    labels: Callable[[], list[labels.Gray]]


class Folder:
    """The watched folder of one station."""

    def __init__(self, stations: Path, station: str, seed: int) -> None:
        self._folder = stations / station / "in"
        self._seed = seed
        self._folder.mkdir(parents=True, exist_ok=True)

    def has_room(self) -> bool:
        """Tell whether the station keeps up."""
        return sum(entry.is_file() for entry in os.scandir(self._folder)) < _WAITING_PHOTOS

    def drop(self, photo: _Photo) -> None:
        """Take a photo, unless it was taken before; it appears complete or not at all."""
        if any((self._folder / place / photo.name).exists() for place in (".", "done", "unreadable")):
            return
        random = np.random.default_rng([self._seed, zlib.crc32(photo.name.encode())])
        fresh = self._folder / f".{photo.name}.new"
        fresh.write_bytes(photograph(photo.labels(), random))
        fresh.rename(self._folder / photo.name)

    def is_worked_off(self, photos: Iterable[_Photo]) -> bool:
        """Tell whether none of these photos, all dropped before, is left."""
        return not any((self._folder / photo.name).exists() for photo in photos)


class _Shipment:
    """One order on its way: its pack photos, then its ship photos."""

    def __init__(self, world: World, order: Order, number: int) -> None:
        self.order = order.id
        stem = f"{world.run}-{number:02}"
        cases = [(f"{stem}-{index:03}-{case.sscc}.jpg", case) for index, case in enumerate(world.cases_of(order.id), 1)]
        begin = worksheet.begin(Activity.SHIP, order.id, order.to)
        self.pack = [_Photo(name, partial(_case_with_items, case)) for name, case in cases]
        self.ship = [
            _Photo(f"{stem}-000-begin.jpg", partial(_sheet, begin)),
            *(_Photo(name, partial(_case_alone, case)) for name, case in cases),
            _Photo(f"{stem}-999-end.jpg", partial(_sheet, worksheet.end())),
        ]


class Warehouse:
    """Works off every order of a print job; `departed` is told of each order that has left."""

    def __init__(self, world: World, stations: Path, seed: int, departed: Callable[[str], None]) -> None:
        self._world = world
        self._pack = Folder(stations, PACK_STATION, seed)
        self._ship = Folder(stations, SHIP_STATION, seed)
        self._departed = departed

    def work(self, gone: Container[str], stop: Event, speed: float) -> None:
        """Pack and ship all orders but those in `gone`, `speed` times as fast as usual; returns at once on `stop`."""
        shipments = [_Shipment(self._world, order, number) for number, order in enumerate(self._world.orders, start=1)]
        waiting = deque(shipment for shipment in shipments if shipment.order not in gone)
        to_pack = deque(photo for shipment in waiting for photo in shipment.pack)
        to_ship: deque[_Photo] = deque()
        loading: deque[_Shipment] = deque()
        while (waiting or loading) and not stop.wait(_PACE_SECONDS / speed):
            if to_pack and self._pack.has_room():
                self._pack.drop(to_pack.popleft())
            if waiting and self._is_through(waiting[0].pack, to_pack, self._pack):
                loading.append(waiting.popleft())
                to_ship.extend(loading[-1].ship)
                _log.info("order is packed", action="market.packed", order=loading[-1].order)
            if to_ship and self._ship.has_room():
                self._ship.drop(to_ship.popleft())
            if loading and self._is_through(loading[0].ship, to_ship, self._ship):
                shipment = loading.popleft()
                _log.info("order has left", action="market.left", order=shipment.order, at=round(time.time(), 1))
                self._departed(shipment.order)

    @staticmethod
    def _is_through(photos: list[_Photo], to_come: deque[_Photo], folder: Folder) -> bool:
        return not (photos and photos[-1] in to_come) and folder.is_worked_off(photos)


def _sheet(text: str) -> list[labels.Gray]:
    return [labels.worksheet(text, _SHEET_MODULE_PX)]


def _case_alone(case: Case) -> list[labels.Gray]:
    module = _BAR_PX if case.aim_symbology == "code128" else _CASE_MODULE_PX
    return [labels.case_label(case.label, case.aim_symbology, module)]


def _case_with_items(case: Case) -> list[labels.Gray]:
    return [*_case_alone(case), *(labels.item_label(item, _ITEM_MODULE_PX) for item in case.items)]
