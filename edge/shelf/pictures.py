"""Where pictures of a shelf come from: a file that is written again and again, a folder, a camera or a stream."""

from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np
import structlog

from contracts.errors import ConfigurationError
from edge.decode.images import SUFFIXES
from edge.shelf.facings import Image, load_picture
from edge.sources.live import LiveCamera

_log = structlog.get_logger(__name__)
_MOST_TRIES: Final = 25


class Pictures(Protocol):
    """Where the newest picture is asked for."""

    def newest(self) -> Image | None:
        """Return the newest picture, None where there is none that was not seen before."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class PictureFiles:
    """A picture file that is replaced, or the newest picture of a folder; files stay where they are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[str, int, int] | None = None

    def newest(self) -> Image | None:
        """Return the newest picture that was not returned before; one that is being written is left for later."""
        try:
            path = self._candidate()
            stamp = None if path is None else (path.name, path.stat().st_mtime_ns, path.stat().st_size)
        except OSError:
            return None
        if path is None or stamp == self._seen:
            return None
        try:
            picture = load_picture(path)
        except ConfigurationError as error:
            _log.warning(error.message, action="shelf.no_picture", advice=error.advice)
            return None
        self._seen = stamp
        return picture

    def close(self) -> None:
        """Nothing stays open."""

    def _candidate(self) -> Path | None:
        if not self._path.is_dir():
            return self._path if self._path.exists() else None
        pictures = [
            each for each in self._path.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith(".")
        ]
        return max(pictures, key=lambda each: (each.stat().st_mtime_ns, each.name), default=None)


class PictureStream:
    """A camera or a stream, opened at once and again whenever it is lost."""

    def __init__(self, device: int | str) -> None:
        self._camera = LiveCamera(device)

    def newest(self) -> Image | None:
        """Return a frame of this moment."""
        for _ in range(_MOST_TRIES):
            shot = self._camera.take()
            if shot is not None:
                return np.asarray(cv2.cvtColor(shot.frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        return None

    def close(self) -> None:
        """Let the camera go."""
        self._camera.close()


def open_pictures(source: str) -> Pictures:
    """Return where pictures come from, by `folder:PATH`, `file:PATH`, `camera:INDEX` or `camera:ADDRESS`."""
    kind, _, place = source.partition(":")
    if kind in {"folder", "file"}:
        return PictureFiles(Path(place))
    return PictureStream(int(place) if place.isdecimal() else place)
