"""What a fleet has captured, on disk before it is published: the truth that an audit compares the database with."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self


class Capture(NamedTuple):
    """One event. `nonce` is random, and so tells a loss from a double that a sequence number would hide.

    `fate` is empty for an event that must be stored, else the error code that it must be refused for.
    """

    device: str
    boot: str
    seq: int
    nonce: str
    fate: str


class Journal:
    """Appends captures to a text file, one a line. It survives the death of this process, not of the machine."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii")
        self._dirty = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, capture: Capture) -> None:
        """Take note of a capture; `flush` comes before it is published."""
        self._file.write(f"{capture.device} {capture.boot} {capture.seq} {capture.nonce} {capture.fate or '-'}\n")
        self._dirty = True

    def flush(self) -> None:
        """Hand what was added to the kernel."""
        if self._dirty:
            self._file.flush()
            self._dirty = False


def captures(path: Path) -> Iterator[Capture]:
    """Yield what a journal holds; a line that was cut short by a SIGKILL was never published."""
    for line in path.read_text("ascii").splitlines(keepends=True):
        if line.endswith("\n"):
            device, boot, seq, nonce, fate = line.split()
            yield Capture(device, boot, int(seq), nonce, "" if fate == "-" else fate)
