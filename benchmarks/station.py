"""From a picture to the beep at a station, and what agents without a camera hold in memory."""

import asyncio
import io
import logging
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import structlog

from benchmarks.frame import DataMissingError, Figure, Outcome, Progress, Target, data_folder
from benchmarks.load.judged import equipped
from benchmarks.load.process import Subject
from benchmarks.scan import load
from cli.embedded.broker import Broker
from cli.embedded.users import device_user
from cli.installation import codefence
from contracts.gs1 import label_uri
from contracts.messages import Activity
from edge.decode import load_image, read_codes
from edge.outbox import Outbox
from edge.outbox.inspection import inspect
from edge.sources.source import Read, now_ms
from edge.station import Station
from edge.station.display import Display
from firmware_sim.labels import item_label
from firmware_sim.photo import photograph
from firmware_sim.print_job import Channel, Shelf
from firmware_sim.shelves.cell import LoadCell, weigh_units
from firmware_sim.shelves.controller import Controller
from firmware_sim.shelves.rtu import PtySlave

_TARGETS: Final = {
    "trigger_to_beep_p99_ms": Target("<=", 80.0),
    "trigger_to_judged_beep_p99_ms": Target("<=", 80.0),
    "judged_beep.accepted": Target("==", 300),
    "shelf.peak_mb": Target("<=", 60.0),
    "scanner.peak_mb": Target("<=", 60.0),
}
_ROUNDS: Final = 3
_LABELS: Final = 300
_SITE, _SHELF, _SCANNER = "store-1", "shelf-bench", "scanner-bench"
_GTIN: Final = "06901234567892"
_UNIT_G: Final = 540.0
_PASSWORD: Final = "a password for one run"  # noqa: S105 - of a broker that ends with it
_AGENT_SECONDS: Final = 15.0
_WORKED: Final = 2


def run(progress: Progress) -> Outcome:
    """Show a station photos of labels and of whatever else carries a code, then run agents without a camera."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    pictures = _label_photos()
    rounds = []
    for number in range(_ROUNDS):
        progress(f"round {number + 1}: a station sees {len(pictures)} photos of labels")
        rounds.append(_latency(pictures, "beep"))
    figures = min(rounds, key=lambda each: each["trigger_to_beep_p99_ms"])
    progress("the same with a manifest of 100,000 codes, an order and a hub")
    figures |= min(
        (_latency(pictures, "judged_beep", judged=True) for _ in range(_ROUNDS)),
        key=lambda each: each["trigger_to_judged_beep_p99_ms"],
    )
    try:
        folder = data_folder("photos")
    except DataMissingError as missing:
        progress(missing.message)
    else:
        real = [(folder / photo.name).read_bytes() for photo in load(folder)]
        progress(f"a station sees {len(real)} photos of anything")
        figures |= _latency(real, "answer")
    progress("agents without a camera")
    figures |= _memory()
    return Outcome(figures, _TARGETS)


def _label_photos() -> list[bytes]:
    """Return photos as a camera above a packing table takes them, one label on each."""
    random = np.random.default_rng(7)
    texts = (label_uri("id.example.com", _GTIN, f"{number:020d}") for number in range(_LABELS))
    return [photograph([item_label(text, 4)], random) for text in texts]


class Pictures:
    """A source that shows one picture after the other; those with a code are timed from bytes to the answer."""

    def __init__(self, pictures: Sequence[bytes]) -> None:
        self._pictures = pictures
        self._started = 0.0
        self.taken_ms: list[float] = []
        self.accepted = 0

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield one read a picture."""
        for picture in self._pictures:
            if stop.is_set():
                return
            self._started = time.perf_counter()
            codes = read_codes(load_image(picture))
            yield Read(codes, now_ms(), "photo", picture, self._answered if codes else None)

    def _answered(self, accepted: bool) -> None:  # noqa: FBT001 - the interface of a read
        self.taken_ms.append((time.perf_counter() - self._started) * 1e3)
        self.accepted += accepted


def _latency(pictures: Sequence[bytes], name: str, *, judged: bool = False) -> dict[str, Figure]:
    """Return milliseconds from a picture's bytes to the station's answer, which follows the commit."""
    source = Pictures(pictures)
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as folder, Outbox(Path(folder, "outbox.db")) as outbox:
        desk = Station(outbox, Display(io.StringIO()), lambda: True, activity=Activity.OBSERVE, repeat_seconds=0)
        serials = [f"{number:020d}" for number in range(_LABELS)]
        with equipped(desk, Path(folder), _GTIN, serials) if judged else nullcontext():
            desk.run(source, threading.Event())
        kept = outbox.depth
    cuts = statistics.quantiles(source.taken_ms, n=100)
    return {
        f"{name}.pictures": len(pictures),
        f"{name}.read": len(source.taken_ms),
        f"{name}.accepted": source.accepted,
        f"{name}.scans_kept": kept,
        f"trigger_to_{name}_p50_ms": cuts[49],
        f"trigger_to_{name}_p99_ms": cuts[98],
    }


def _memory() -> dict[str, Figure]:
    """Return the most memory, in MB, that a shelf agent and a station with a serial scanner held while they worked."""
    with tempfile.TemporaryDirectory(prefix="codefence-bench-") as name, _broker(Path(name)) as port:
        folder = Path(name)
        with _controller(folder / "line"):
            planogram = folder / "planogram.json"
            planogram.write_bytes(msgspec.json.encode([{"channel": 1, "gtin": _GTIN, "unit_weight_g": _UNIT_G}]))
            shelf = _peak_mb("shelf", _SHELF, port, folder, EDGE_SERIAL=folder / "line", EDGE_PLANOGRAM=planogram)
        with _scanner() as line:
            scanner = _peak_mb("station", _SCANNER, port, folder, EDGE_SOURCE=f"serial:{line}")
    return {"shelf.peak_mb": shelf, "scanner.peak_mb": scanner}


def _peak_mb(command: str, device: str, port: int, folder: Path, **settings: object) -> float:
    """Run an agent for a while; it must have linked to the broker and kept something in that time."""
    data, log = folder / device, folder / f"{device}.log"
    environment = {
        "PATH": os.defpath,
        "EDGE_DEVICE": device,
        "EDGE_SITE": _SITE,
        "EDGE_DATA": str(data),
        "EDGE_BROKER_PORT": str(port),
        "EDGE_BROKER_PASSWORD": _PASSWORD,
        **{name: str(value) for name, value in settings.items()},
    }
    with (
        log.open("w") as output,
        subprocess.Popen(
            codefence("edge", command), env=environment, stdout=output, stderr=output, text=True
        ) as process,
    ):
        time.sleep(_AGENT_SECONDS)
        peak = Subject(process).peak_mib() * 1.048576
        process.terminate()
    if "uplink.online" not in log.read_text() or inspect(data / "outbox.db").waiting < _WORKED:
        raise RuntimeError(f"the agent did not work:\n{log.read_text()}")
    return peak


@contextmanager
def _broker(folder: Path) -> Iterator[int]:
    broker = Broker(folder, [device_user(_SITE, device, _PASSWORD) for device in (_SHELF, _SCANNER)])
    yield broker.start()
    broker.stop()


@contextmanager
def _scanner() -> Iterator[str]:
    """Stand in for a hand scanner that reads another label every 0.1 s; yields its serial line."""
    outer, inner = os.openpty()
    over = threading.Event()

    def scan() -> None:
        number = 0
        while not over.wait(0.1):
            number += 1
            os.write(outer, b"]Q1%b\r" % label_uri("id.example.com", _GTIN, f"{number:020d}").encode())

    thread = threading.Thread(target=scan)
    thread.start()
    try:
        yield os.ttyname(inner)
    finally:
        over.set()
        thread.join()
        os.close(outer)
        os.close(inner)


@contextmanager
def _controller(line: Path) -> Iterator[None]:
    """Run a shelf controller with one load cell on a pty at `line`."""
    over = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(_serve(line, over),))
    thread.start()
    while not line.is_char_device():
        time.sleep(0.02)
    try:
        yield
    finally:
        over.set()
        thread.join()


async def _serve(line: Path, over: threading.Event) -> None:
    random = np.random.default_rng(3)
    cell = LoadCell(weigh_units(10, _UNIT_G, random), random)
    controller = Controller(Shelf(_SHELF, _SITE, (Channel(1, _GTIN, _UNIT_G, 10, 40),)))
    slave = PtySlave(controller, line)
    slave.open()
    started = time.monotonic()
    while not over.is_set():
        cell.advance(0.1)
        controller.sample(time.monotonic() - started, {1: cell.measure(21.0)})
        controller.climate(4.5, 61.0)
        await asyncio.sleep(0.1)
    slave.close()
