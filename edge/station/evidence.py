"""Pictures that scans refer to, kept by their SHA-256 until there are too many."""

import os
import threading
from pathlib import Path
from typing import Final

import structlog

_EVERY: Final = 50
_log = structlog.get_logger(__name__)


class Evidence:
    """A folder of pictures, the oldest of which give way beyond `most_bytes`. Safe from any thread."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept = 0

    def keep(self, name: str, picture: bytes) -> None:
        """Keep a picture under its SHA-256; a disk that is full costs the picture, never the scan."""
        path = self._folder / f"{name}.jpg"
        try:
            if path.exists():
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = path.with_suffix(".new")
            with fresh.open("wb") as file:
                file.write(picture)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            _log.error("a picture was not kept", action="evidence.lost", image=name, reason=str(error))
            return
        with self._lock:
            self._kept += 1
            if self._kept % _EVERY == 1:
                self._make_room()

    def _make_room(self) -> None:
        found = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(self._folder))
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self._most_bytes:
                return
            Path(path).unlink(missing_ok=True)
            total -= size
