"""A watched folder: every picture that appears in it is read once it is complete, then filed away.

A picture leaves the folder only after the station has committed its read, so one that was being worked on when the
power failed is read again.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from contracts.errors import ImageError, SourceError
from edge.decode import load_image, read_codes
from edge.decode.images import SUFFIXES, read_bytes
from edge.sources.source import Read, now_ms

_log = structlog.get_logger(__name__)
_POLL_SECONDS: Final = 0.1


class _Stamp(NamedTuple):
    """What changes when a file is written to or replaced."""

    inode: int
    size: int
    modified_ns: int


@dataclass(slots=True)
class _Sighting:
    """How a file looked last, and since when (monotonic seconds) it has looked so."""

    stamp: _Stamp
    since: float
    in_work: bool = False


class WatchedFolder:
    """A source that never ends by itself.

    A file is complete when its size and time stamp have stood still for `settle_seconds`. One that then cannot be
    decoded may still be arriving over a slow line: it is given up after `patience_seconds` without a change and moved
    to `unreadable/`, with the reason in a text file beside it.
    """

    def __init__(
        self, folder: Path, *, expected: int = 1, settle_seconds: float = 0.5, patience_seconds: float = 5.0
    ) -> None:
        self._folder = folder
        self._expected = expected
        self._settle_seconds = settle_seconds
        self._patience_seconds = patience_seconds
        self._seen: dict[Path, _Sighting] = {}
        self._is_away = False

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield one read a picture, oldest first.

        Raises `SourceError` where the folder cannot be used at the start; one that goes away later is waited for.
        """
        self._prepare()
        while not stop.is_set():
            yield from self._sweep(stop)
            stop.wait(_POLL_SECONDS)

    def _prepare(self) -> None:
        try:
            for name in ("done", "unreadable"):
                (self._folder / name).mkdir(exist_ok=True)
        except OSError as error:
            raise SourceError(
                f"the folder {self._folder} cannot be watched: {error.strerror}",
                advice="Create it and let the station write to it.",
            ) from error

    def _sweep(self, stop: threading.Event) -> Iterator[Read]:
        for path, sighting in self._settled():
            if stop.is_set():
                return
            read = self._read(path, sighting)
            if read is not None:
                yield read

    def _settled(self) -> list[tuple[Path, _Sighting]]:
        """Look at the folder and return the complete files that nobody works on yet, oldest first."""
        now = time.monotonic()
        stamps = self._look()
        self._seen = {
            path: old if (old := self._seen.get(path)) and old.stamp == stamp else _Sighting(stamp, now)
            for path, stamp in stamps.items()
        }
        ripe = [
            (path, sighting)
            for path, sighting in self._seen.items()
            if not sighting.in_work and now - sighting.since >= self._settle_seconds
        ]
        return sorted(ripe, key=lambda pair: (pair[1].stamp.modified_ns, pair[0]))

    def _look(self) -> dict[Path, _Stamp]:
        """Return the pictures that are there; none while the folder is away, as a share is that went off line."""
        try:
            self._prepare()
            stamps = dict(_pictures(self._folder))
        except (SourceError, OSError) as error:
            if not self._is_away:
                advice = "Mount or create it again; the station waits for it."
                _log.error("the folder is away", action="folder.away", reason=str(error), advice=advice)
            self._is_away = True
            return {}
        if self._is_away:
            _log.info("the folder is back", action="folder.back")
        self._is_away = False
        return stamps

    def _read(self, path: Path, sighting: _Sighting) -> Read | None:
        try:
            picture = read_bytes(path)
            codes = read_codes(load_image(picture), expected=self._expected)
        except ImageError as error:
            if time.monotonic() - sighting.since >= self._patience_seconds:
                sighting.in_work = True
                self._give_up(path, error)
            return None
        sighting.in_work = True
        return Read(
            codes,
            now_ms(),
            f"folder:{path.name}",
            picture,
            lambda _accepted: self._file_away(path, sighting),
        )

    def _file_away(self, path: Path, sighting: _Sighting) -> None:
        """Move a committed picture to `done/`; one that was overwritten in the meantime stays, to be read anew."""
        try:
            if _stamp(path.stat()) == sighting.stamp:
                path.rename(_free_name(self._folder / "done", path.name))
        except OSError as error:
            _complain(path, error)

    def _give_up(self, path: Path, error: ImageError) -> None:
        """Set an unreadable picture aside, with the reason beside it."""
        _log.warning(error.message, action="folder.unreadable", file=path.name, code=error.code)
        reason = f"{error.code}: {error.message}\n{error.advice}\n"
        try:
            target = path.rename(_free_name(self._folder / "unreadable", path.name))
            target.with_name(f"{target.name}.txt").write_text(reason, encoding="utf-8")
        except OSError as failure:
            _complain(path, failure)


def _complain(path: Path, error: OSError) -> None:
    """Say that a picture could not be moved: it is not read again before it changes or the station restarts."""
    advice = "Make room on the disk and let the station write to the folder; then move the picture yourself."
    _log.error("a picture cannot be filed", action="folder.stuck", file=path.name, reason=str(error), advice=advice)


def _pictures(folder: Path) -> Iterator[tuple[Path, _Stamp]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or Path(entry.name).suffix.lower() not in SUFFIXES:
                continue
            try:
                if entry.is_file():
                    yield Path(entry.path), _stamp(entry.stat())
            except FileNotFoundError:
                continue
            except OSError:
                # A link that leads nowhere: reading it fails in the same way, and then it is set aside.
                yield Path(entry.path), _stamp(entry.stat(follow_symlinks=False))


def _stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def _free_name(folder: Path, name: str) -> Path:
    """Return a path in `folder` that no file has, numbered from 1 where the plain name is taken."""
    stem, suffix = Path(name).stem, Path(name).suffix
    path, number = folder / name, 0
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path
