"""What a disk may hold after the power failed: all that was synced, and of the rest whatever happened to get there."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from recording_vfs import Did, Step

SECTOR = 512


class CrashState(NamedTuple):
    at: int
    """How many steps had been taken when the power failed."""
    how: str
    files: dict[str, bytes]


@dataclass
class Disk:
    """Follows the steps; files and the folder each have what is surely there and what may be."""

    files: dict[int, bytes] = field(default_factory=dict)
    unsynced: dict[int, list[Step]] = field(default_factory=dict)
    folder: dict[str, int] = field(default_factory=dict)
    folder_unsynced: list[Step] = field(default_factory=list)

    @classmethod
    def holding(cls, files: Mapping[str, bytes]) -> "Disk":
        numbers = {name: number for number, name in enumerate(sorted(files), start=1)}
        return cls({numbers[name]: data for name, data in files.items()}, {}, dict(numbers), [])

    def follow(self, step: Step, *, honest: bool) -> None:
        """Take one step; a disk that is not honest answers a sync without doing anything."""
        if step.did in {Did.CREATE, Did.DELETE}:
            self.folder_unsynced.append(step)
            if step.did is Did.CREATE:
                self.files[step.file] = b""
        elif step.did in {Did.WRITE, Did.TRUNCATE}:
            self.unsynced.setdefault(step.file, []).append(step)
        elif step.did is Did.SYNC and honest:
            self.files[step.file] = _applied(self.files[step.file], self.unsynced.pop(step.file, []))
        elif step.did is Did.SYNC_FOLDER and honest:
            self.folder = self._entries(len(self.folder_unsynced))
            self.folder_unsynced = []

    def everything(self) -> dict[str, bytes]:
        return self._image({number: steps for number, steps in self.unsynced.items() if steps})

    def nothing(self) -> dict[str, bytes]:
        return self._image({}, entries=0)

    def something(self, source: random.Random) -> dict[str, bytes]:
        """Return a random part of what is unsynced: a prefix or any subset of the writes, some of them torn."""
        kept = {}
        for number, steps in self.unsynced.items():
            if source.random() < 0.3:
                chosen = steps[: source.randint(0, len(steps))]
            else:
                chosen = [step for step in steps if source.random() < 0.5]
            kept[number] = [part for step in chosen for part in _torn(step, source)]
        return self._image(kept, entries=source.randint(0, len(self.folder_unsynced)))

    def _image(self, kept: Mapping[int, Sequence[Step]], entries: int | None = None) -> dict[str, bytes]:
        folder = self._entries(len(self.folder_unsynced) if entries is None else entries)
        return {name: _applied(self.files[number], kept.get(number, ())) for name, number in folder.items()}

    def _entries(self, count: int) -> dict[str, int]:
        """Return the folder after the first changes that are not synced; a file system keeps their order."""
        folder = dict(self.folder)
        for step in self.folder_unsynced[:count]:
            if step.did is Did.CREATE:
                folder[step.name] = step.file
            else:
                folder.pop(step.name, None)
        return folder


def crash_states(
    steps: Sequence[Step], source: random.Random, *, disk: Disk | None = None, honest: bool = True, samples: int = 1
) -> Iterator[CrashState]:
    """Yield every distinct state after each step: with all unsynced writes, with none, and with random parts.

    A state that comes again after a mark is another one, since more is expected of it.
    """
    disk = disk or Disk()
    seen: set[int] = set()
    for at, step in enumerate(steps, start=1):
        disk.follow(step, honest=honest)
        if step.did is Did.MARK:
            seen.clear()
        images = [("everything", disk.everything()), ("nothing", disk.nothing())]
        images += [("something", disk.something(source)) for _ in range(samples if disk.unsynced else 0)]
        for how, files in images:
            key = hash(tuple(sorted(files.items())))
            if key not in seen:
                seen.add(key)
                yield CrashState(at, how, files)


def _applied(data: bytes, steps: Sequence[Step]) -> bytes:
    content = bytearray(data)
    for step in steps:
        if step.did is Did.TRUNCATE:
            del content[step.offset :]
            content.extend(bytes(step.offset - len(content)))
            continue
        end = step.offset + len(step.data)
        content.extend(bytes(max(0, end - len(content))))
        content[step.offset : end] = step.data
    return bytes(content)


def _torn(step: Step, source: random.Random) -> list[Step]:
    """Return a write whole or, every other time, only some of its sectors or its first bytes."""
    how = source.randrange(4)
    if step.did is not Did.WRITE or how < 2:
        return [step]
    if how == 2:
        return [replace(step, data=step.data[: source.randint(0, len(step.data))])]
    edges = range(0, len(step.data), SECTOR)
    return [
        replace(step, offset=step.offset + edge, data=step.data[edge : edge + SECTOR])
        for edge in edges
        if source.random() < 0.5
    ]
