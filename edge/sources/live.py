"""A live camera through OpenCV: the newest frame on demand; one that stops sending is opened again and again."""

import re
import threading
import time
from typing import Final, NamedTuple

import cv2
import structlog

from contracts.errors import SourceError
from edge.backoff import Backoff
from edge.sources.source import now_ms

Frame = cv2.typing.MatLike
_WAIT_SECONDS: Final = 0.2
_STREAM_MS: Final = 5_000
"""For how long a stream may say nothing before it counts as lost."""
_FIRST_WAIT_SECONDS: Final = 1.0
_LAST_WAIT_SECONDS: Final = 30.0
_SECRETS: Final = re.compile(r"(?<=://)[^/?#]*@|[?#].*", re.DOTALL)
_log = structlog.get_logger(__name__)


class Shot(NamedTuple):
    """A frame and when it was taken, milliseconds since the epoch."""

    frame: Frame
    captured_at_ms: int


class LiveCamera:
    """`device` is a camera's index, a device such as `/dev/video0`, or a stream's address. One thread may use it."""

    def __init__(self, device: int | str) -> None:
        self._device = device
        self._grabber: _Grabber | None = None
        self._backoff = Backoff(_FIRST_WAIT_SECONDS, _LAST_WAIT_SECONDS)
        self._next_try = 0.0

    def open(self) -> None:
        """Open it; raises `SourceError` where that cannot be done."""
        capture = open_capture(self._device)
        if not capture.isOpened():
            capture.release()
            raise SourceError(
                f"the camera or video {named(self._device)} cannot be opened",
                advice="Check the cable and that no other program uses it; 'ls /dev/video*' lists cameras.",
            )
        self._grabber = _Grabber(capture)
        self._grabber.start()

    def take(self) -> Shot | None:
        """Return a frame that was not taken before, None after a moment without one; a lost camera is looked for."""
        if self._grabber is None:
            self._try_again()
            return None
        shot = self._grabber.take()
        if shot is not None:
            self._backoff.reset()
        elif not self._grabber.is_alive():
            advice = "Check the cable and the camera's power; it is looked for."
            _log.error("the camera stopped sending", action="camera.lost", device=named(self._device), advice=advice)
            self.close()
            self._next_try = time.monotonic() + self._backoff.wait()
        return shot

    def close(self) -> None:
        """Let the device go."""
        if self._grabber is not None:
            self._grabber.end()
            self._grabber = None

    def _try_again(self) -> None:
        wait = self._next_try - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, _WAIT_SECONDS))
            return
        try:
            self.open()
        except SourceError:
            self._next_try = time.monotonic() + self._backoff.wait()
        else:
            _log.info("the camera sends again", action="camera.back", device=named(self._device))


def named(device: int | str) -> str:
    """Return a device as logs and messages name it: a stream's address without its password and its query."""
    return _SECRETS.sub("", str(device))


def open_capture(device: int | str) -> cv2.VideoCapture:
    """Open a device, a stream whose silence ends within seconds, or a file."""
    if isinstance(device, str) and "://" in device:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _STREAM_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _STREAM_MS]
        return cv2.VideoCapture(device, cv2.CAP_FFMPEG, limits)
    return cv2.VideoCapture(device)


class _Grabber(threading.Thread):
    """Keeps only the newest frame of a live camera; ends when the camera does."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        super().__init__(name="camera", daemon=True)
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: Shot | None = None
        self._wanted = True

    def run(self) -> None:
        try:
            while self._wanted:
                received, frame = self._capture.read()
                if not received:
                    return
                with self._changed:
                    self._newest = Shot(frame, now_ms())
                    self._changed.notify()
        finally:
            self._capture.release()

    def take(self) -> Shot | None:
        """Return a frame that was not taken before, waiting a moment for one."""
        with self._changed:
            if self._newest is None:
                self._changed.wait(_WAIT_SECONDS)
            shot, self._newest = self._newest, None
        return shot

    def end(self) -> None:
        """Stop and wait until the capture is released."""
        self._wanted = False
        self.join()
