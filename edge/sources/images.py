"""A fixed list of picture files, read once in their order."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog

from contracts.errors import ImageError
from edge.decode import load_image, read_codes
from edge.decode.images import read_bytes
from edge.sources.source import Read, now_ms

_log = structlog.get_logger(__name__)


class ImageFiles:
    """A source that ends after its last file; a file that cannot be read is logged and passed over."""

    def __init__(self, files: Sequence[Path], *, expected: int = 1) -> None:
        self._files = files
        self._expected = expected

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield one read a file."""
        for path in self._files:
            if stop.is_set():
                return
            try:
                picture = read_bytes(path)
                codes = read_codes(load_image(picture), expected=self._expected)
            except ImageError as error:
                _log.warning(error.message, action="images.unreadable", file=str(path), code=error.code)
                continue
            yield Read(codes, now_ms(), f"image:{path.name}", picture)
