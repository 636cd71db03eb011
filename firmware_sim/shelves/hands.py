"""Hands that reach into a simulated shelf from outside: requests are files beside the serial lines."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct

from contracts.errors import ConfigurationError, SourceError
from firmware_sim.files import write_atomically

FOLDER: Final = "hands"
_POLL_SECONDS: Final = 0.05
_ASKED, _DONE = ".ask", ".done"


class Hand(Struct, frozen=True):
    """Take `units` from a channel (negative: put some up). `place` is a device or its site."""

    place: str
    channel: Annotated[int, Meta(ge=1, le=64)]
    units: Annotated[int, Meta(ge=-10_000, le=10_000)]


class Moved(Struct, frozen=True):
    """What was done: units moved (fewer where fewer were there), and what is left; `problem` where nothing was."""

    units: int = 0
    left: int = 0
    device: str = ""
    problem: str = ""


class Hands:
    """The simulator's side: carries out what was asked for."""

    def __init__(self, links: Path) -> None:
        self._folder = links / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._folder.iterdir():
            old.unlink()

    def serve(self, move: Callable[[Hand], Moved]) -> None:
        """Do everything that waits."""
        for path in sorted(self._folder.glob(f"*{_ASKED}")):
            try:
                moved = move(msgspec.json.decode(path.read_bytes(), type=Hand))
            except msgspec.DecodeError as error:
                moved = Moved(problem=str(error))
            write_atomically(path.with_suffix(_DONE), msgspec.json.encode(moved))
            path.unlink()


def ask(links: Path, hand: Hand, seconds: float = 60.0) -> Moved:
    """Ask the simulator behind `links` and return what it did.

    Raises `ConfigurationError` where it refuses, `SourceError` where nobody answers.
    """
    folder = links / FOLDER
    if not folder.is_dir():
        raise SourceError(f"no simulated shelves run at {links}", advice="Start them: codefence up")
    asked = folder / f"{time.time_ns()}-{uuid4().hex}{_ASKED}"
    done = asked.with_suffix(_DONE)
    write_atomically(asked, msgspec.json.encode(hand))
    deadline = time.monotonic() + seconds
    while not done.exists():
        if time.monotonic() > deadline:
            asked.unlink(missing_ok=True)
            raise SourceError("the simulated shelves do not answer", advice="Check that codefence up still runs.")
        time.sleep(_POLL_SECONDS)
    moved = msgspec.json.decode(done.read_bytes(), type=Moved)
    done.unlink()
    if moved.problem:
        raise ConfigurationError(moved.problem, advice="Name a place such as S-CHENGDU-01/1.")
    return moved
