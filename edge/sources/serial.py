"""A scanner on a serial line: an optional prefix, the AIM identifier, the data, and a carriage return.

USB scanners in CDC mode appear as `/dev/ttyACM*`. A scanner that waits for its host's answer gets ACK or NAK after
the verdict, so that its beep tells what the station decided.
"""

import re
import threading
from collections.abc import Iterator
from typing import Final

import serial
import structlog

from edge.code import Code
from edge.sources.source import Read, now_ms

_log = structlog.get_logger(__name__)
ACK: Final = b"\x06"
NAK: Final = b"\x15"
LONGEST_FRAME: Final = 8192
_FIRST_DELAY_SECONDS: Final = 0.25
_LAST_DELAY_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 1.0
_AIM = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_SYMBOLOGIES: Final = {"C": "Code128", "I": "ITF", "Q": "QRCode", "d": "DataMatrix", "e": "DataBar", "J": "DotCode"}
_RETAIL: Final = {"]E0": "EAN13", "]E4": "EAN8"}


class SerialScanner:
    """A source of single codes; a scanner that is unplugged, or not there yet, is waited for.

    `prefix` is what the scanner is set to send before each code; lines without it are noise. With `answers` the
    scanner is sent ACK or NAK for each read; set it only where the scanner is configured to wait for one.
    """

    def __init__(self, port: str, *, baud: int = 115200, prefix: str = "", answers: bool = False) -> None:
        self._port = port
        self._baud = baud
        self._prefix = prefix.encode()
        self._answers = answers

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield one read a code, and open the line again, with growing pauses, whenever it is lost."""
        delay = _FIRST_DELAY_SECONDS
        while not stop.is_set():
            try:
                with serial.Serial(
                    self._port, self._baud, timeout=_POLL_SECONDS, write_timeout=_ANSWER_SECONDS, exclusive=True
                ) as line:
                    _log.info("scanner is connected", action="scanner.connected", port=self._port)
                    delay = _FIRST_DELAY_SECONDS
                    yield from self._listen(line, stop)
            except OSError as error:
                _log.warning(
                    "scanner is not there",
                    action="scanner.lost",
                    port=self._port,
                    reason=str(error),
                    advice="Plug it in; 'ls /dev/serial/by-id' lists scanners.",
                )
                stop.wait(delay)
                delay = min(delay * 2, _LAST_DELAY_SECONDS)

    def _listen(self, line: serial.Serial, stop: threading.Event) -> Iterator[Read]:
        frames = Frames()
        while not stop.is_set():
            for frame in frames.feed(line.read(max(1, line.in_waiting))):
                if not frame.startswith(self._prefix):
                    _log.warning("line without the prefix", action="scanner.noise", port=self._port, size=len(frame))
                    continue
                code = parse_frame(frame.removeprefix(self._prefix))
                yield Read(
                    (code,),
                    now_ms(),
                    f"serial:{self._port}",
                    settle=lambda accepted: self._answer(line, accepted=accepted),
                )

    def _answer(self, line: serial.Serial, *, accepted: bool) -> None:
        if not self._answers:
            return
        try:
            line.write(ACK if accepted else NAK)
        except OSError as error:
            _log.warning(
                "scanner left before its answer", action="scanner.unanswered", port=self._port, reason=str(error)
            )


class Frames:
    """Cuts a byte stream at carriage returns; a line feed after one is dropped, and so is an over-long line."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield the frames that `received` completes; memory stays within `LONGEST_FRAME` and one reading."""
        *complete, self._rest = (self._rest + received).split(b"\r")
        for raw in complete:
            frame, skipped = raw.lstrip(b"\n"), self._skipping
            self._skipping = False
            if skipped or len(frame) > LONGEST_FRAME:
                _log.warning("over-long line dropped", action="scanner.overlong", limit=LONGEST_FRAME)
            elif frame:
                yield frame
        if len(self._rest) > LONGEST_FRAME:
            self._rest, self._skipping = b"", True


def parse_frame(frame: bytes) -> Code:
    """Return the code in one line: its AIM identifier where the scanner sends one, and the text after it."""
    try:
        text = frame.decode()
    except UnicodeDecodeError:
        text = frame.decode("latin-1")
    match = _AIM.match(text)
    aim = match.group() if match else ""
    symbology = _RETAIL.get(aim) or _SYMBOLOGIES.get(aim[1:2], "unknown")
    return Code(text=text.removeprefix(aim), symbology=symbology, aim=aim, corners=(), stage="scanner")
