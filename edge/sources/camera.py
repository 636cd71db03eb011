"""A camera or a video file through OpenCV; of a live camera only the newest frame is read, the rest are skipped."""

import threading
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np

from contracts.errors import SourceError
from edge.decode import read_codes
from edge.sources.live import LiveCamera, Shot, named, open_capture
from edge.sources.source import Read, now_ms

_JPEG_QUALITY: Final = 85


class Camera:
    """A source of the frames that show a code.

    `device` is a camera's index, a device such as `/dev/video0`, a stream's address, or a video file. A file is read
    frame by frame and ends the source; a live camera that stops sending is looked for until it is back.
    """

    def __init__(self, device: int | str, *, expected: int = 1) -> None:
        self._device = device
        self._expected = expected
        self._is_live = isinstance(device, int) or device.startswith("/dev/") or "://" in device

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield one read a frame with codes; raises `SourceError` where the device cannot be opened at first."""
        for shot in self._live(stop) if self._is_live else self._every(stop):
            read = self._read(shot)
            if read is not None:
                yield read

    def _live(self, stop: threading.Event) -> Iterator[Shot]:
        camera = LiveCamera(self._device)
        camera.open()
        try:
            while not stop.is_set():
                if (shot := camera.take()) is not None:
                    yield shot
        finally:
            camera.close()

    def _every(self, stop: threading.Event) -> Iterator[Shot]:
        capture = open_capture(self._device)
        try:
            if not capture.isOpened():
                raise SourceError(f"the video {named(self._device)} cannot be opened", advice="Check the path.")
            while not stop.is_set():
                received, frame = capture.read()
                if not received:
                    return
                yield Shot(frame, now_ms())
        finally:
            capture.release()

    def _read(self, shot: Shot) -> Read | None:
        gray = cv2.cvtColor(shot.frame, cv2.COLOR_BGR2GRAY)
        codes = read_codes(np.asarray(gray, dtype=np.uint8), expected=self._expected)
        if not codes:
            return None
        _, encoded = cv2.imencode(".jpg", shot.frame, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return Read(codes, shot.captured_at_ms, f"camera:{named(self._device)}", encoded.tobytes())
