"""A serial scanner on a pty: a burst, answers, and a cable that is pulled and put back."""

import os
import pty
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import PATIENCE

from edge.settings import StationSettings
from edge.sources.serial import ACK, NAK, SerialScanner
from edge.sources.source import Read
from edge.station.sources import open_source

BURST = 2000


class Wire:
    """The scanner's end of the line; `path` stays the same when the device comes back, as by-id links do."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "scanner"
        self._ours = -1

    def plug_in(self) -> None:
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(theirs))
        self._theirs = theirs

    def pull(self) -> None:
        os.close(self._theirs)
        os.close(self._ours)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._ours, data[:1000]) :]

    def hear(self, size: int) -> bytes:
        heard = b""
        while len(heard) < size:
            heard += os.read(self._ours, size - len(heard))
        return heard


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    device = Wire(tmp_path)
    device.plug_in()
    yield device
    device.pull()


class Station(threading.Thread):
    """Collects reads until it has as many as wanted, and answers each."""

    def __init__(self, scanner: SerialScanner) -> None:
        super().__init__(daemon=True)
        self._scanner = scanner
        self._stop_event = threading.Event()
        self._progress = threading.Condition()
        self.reads: list[Read] = []

    def run(self) -> None:
        for read in self._scanner.reads(self._stop_event):
            read.done(accepted=not read.codes[0].text.startswith("BAD"))
            with self._progress:
                self.reads.append(read)
                self._progress.notify_all()

    def wait_for(self, count: int) -> list[str]:
        with self._progress:
            assert self._progress.wait_for(lambda: len(self.reads) >= count, timeout=PATIENCE), len(self.reads)
            return [read.codes[0].text for read in self.reads]

    def end(self) -> None:
        self._stop_event.set()
        self.join(timeout=PATIENCE)
        assert not self.is_alive()


def start(scanner: SerialScanner, wire: Wire) -> Station:
    """Start a station and wait until its first read shows that it listens."""
    station = Station(scanner)
    station.start()
    while not station.reads:
        wire.send(b"]Q1HELLO\r")
        with station._progress:
            station._progress.wait(timeout=0.2)
    return station


def test_a_burst_arrives_whole_and_in_order(wire: Wire) -> None:
    station = start(SerialScanner(str(wire.path)), wire)
    expected = [f"HTTPS://ID.EXAMPLE.COM/01/09506000134352/21/{number:020}" for number in range(BURST)]
    wire.send("".join(f"]Q1{text}\r" for text in expected).encode())
    wire.send(b"]Q1LAST\r")
    hellos = sum(text == "HELLO" for text in station.wait_for(BURST + 2))
    texts = station.wait_for(BURST + hellos + 1)
    station.end()
    assert [text for text in texts if text != "HELLO"] == [*expected, "LAST"]
    assert all(read.image_sha256 is None and read.captured_at_ms > 0 for read in station.reads)


def test_the_scanner_hears_the_verdict(wire: Wire) -> None:
    settings = StationSettings(
        data=wire.path.parent, device="d", site="s", source=f"serial:{wire.path}", scanner_answers=True
    )
    station = start(open_source(settings), wire)
    assert wire.hear(1) == ACK
    wire.send(b"]Q1BAD\r")
    while (answer := wire.hear(1)) == ACK:
        pass  # a greeting that came before
    assert answer == NAK
    wire.send(b"]Q1GOOD\r]Q1BAD\r")
    assert wire.hear(2) == ACK + NAK
    station.end()


def test_lines_without_the_prefix_are_noise(wire: Wire) -> None:
    station = start(SerialScanner(str(wire.path), prefix="]Q1HELLO"), wire)
    wire.send(b"line noise\r]Q1HELLO]d2REAL\r")
    texts = station.wait_for(1)
    while texts[-1] != "REAL":
        texts = station.wait_for(len(texts) + 1)
    station.end()
    assert set(texts) == {"", "REAL"}
    assert station.reads[-1].codes[0].aim == "]d2"


def test_a_pulled_cable_is_waited_for_and_scanning_goes_on(wire: Wire) -> None:
    station = start(SerialScanner(str(wire.path)), wire)
    wire.pull()
    wire.plug_in()
    heard = len(station.reads)
    while len(station.reads) == heard:
        wire.send(b"]Q1BACK\r")
        with station._progress:
            station._progress.wait(timeout=0.2)
    assert station.wait_for(heard + 1)[-1] == "BACK"
    station.end()


def test_a_scanner_that_is_not_there_does_not_hold_up_the_end(tmp_path: Path) -> None:
    station = Station(SerialScanner(str(tmp_path / "none")))
    station.start()
    station.end()
    assert station.reads == []
