"""A camera or a video file through OpenCV; of a live camera only the newest frame is read, the rest are skipped."""

import threading
from collections.abc import Iterator
from typing import Final, NamedTuple

import cv2
import numpy as np

from contracts.errors import SourceError
from edge.decode import read_codes
from edge.sources.source import Read, now_ms

_JPEG_QUALITY: Final = 85
_WAIT_SECONDS: Final = 0.2
Frame = cv2.typing.MatLike


class _Shot(NamedTuple):
    frame: Frame
    captured_at_ms: int


class Camera:
    """A source of the frames that show a code.

    `device` is a camera's index, a device such as `/dev/video0`, a stream's address, or a video file. A file is read
    frame by frame and ends the source; a live camera that stops sending raises `SourceError`.
    """

    def __init__(self, device: int | str, *, expected: int = 1) -> None:
        self._device = device
        self._expected = expected
        self._is_live = isinstance(device, int) or device.startswith("/dev/") or "://" in device

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield one read a frame with codes; raises `SourceError` where the device cannot be opened."""
        capture = cv2.VideoCapture(self._device)
        try:
            if not capture.isOpened():
                raise SourceError(
                    f"the camera or video {self._device} cannot be opened",
                    advice="Check the cable and that no other program uses it; 'ls /dev/video*' lists cameras.",
                )
            shots = self._newest(capture, stop) if self._is_live else _every(capture, stop)
            for shot in shots:
                read = self._read(shot)
                if read is not None:
                    yield read
        finally:
            capture.release()

    def _newest(self, capture: cv2.VideoCapture, stop: threading.Event) -> Iterator[_Shot]:
        grabber = _Grabber(capture)
        grabber.start()
        try:
            while not stop.is_set():
                if (shot := grabber.take()) is not None:
                    yield shot
                elif not grabber.is_alive():
                    raise SourceError(
                        f"the camera {self._device} stopped sending",
                        advice="Check the cable and the camera's power, then start the station again.",
                    )
        finally:
            grabber.end()

    def _read(self, shot: _Shot) -> Read | None:
        gray = cv2.cvtColor(shot.frame, cv2.COLOR_BGR2GRAY)
        codes = read_codes(np.asarray(gray, dtype=np.uint8), expected=self._expected)
        if not codes:
            return None
        _, encoded = cv2.imencode(".jpg", shot.frame, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return Read(codes, shot.captured_at_ms, f"camera:{self._device}", encoded.tobytes())


def _every(capture: cv2.VideoCapture, stop: threading.Event) -> Iterator[_Shot]:
    while not stop.is_set():
        received, frame = capture.read()
        if not received:
            return
        yield _Shot(frame, now_ms())


class _Grabber(threading.Thread):
    """Keeps only the newest frame of a live camera; ends when the camera does."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        super().__init__(name="camera", daemon=True)
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: _Shot | None = None
        self._wanted = True

    def run(self) -> None:
        while self._wanted:
            received, frame = self._capture.read()
            if not received:
                return
            with self._changed:
                self._newest = _Shot(frame, now_ms())
                self._changed.notify()

    def take(self) -> _Shot | None:
        """Return a frame that was not taken before, waiting a moment for one."""
        with self._changed:
            if self._newest is None:
                self._changed.wait(_WAIT_SECONDS)
            shot, self._newest = self._newest, None
        return shot

    def end(self) -> None:
        """Stop and wait, so that the capture can be released."""
        self._wanted = False
        self.join()
