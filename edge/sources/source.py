"""What every source of scans offers: an iterator of reads that a station settles one by one."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from edge.code import Code


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Read:
    """One capture: a picture or one line of a scanner, with the codes in it, none included.

    `origin` names the source and, where there is one, the file. `picture` is the encoded picture, for evidence;
    scanners have none. The station calls `done` once, after it has committed the read.
    """

    codes: tuple[Code, ...]
    captured_at_ms: int
    origin: str
    picture: bytes | None = None
    settle: Callable[[bool], None] | None = None

    @property
    def image_sha256(self) -> str | None:
        """The SHA-256 of the picture in hexadecimal digits."""
        return None if self.picture is None else hashlib.sha256(self.picture).hexdigest()

    def done(self, *, accepted: bool) -> None:
        """Tell the source that the read is committed: a folder files the picture, a scanner beeps or buzzes."""
        if self.settle is not None:
            self.settle(accepted)


class Source(Protocol):
    """A scanner, a camera or a folder of pictures."""

    def reads(self, stop: threading.Event) -> Iterator[Read]:
        """Yield captures as they come and block in between; end within a second once `stop` is set.

        Raises `SourceError` where the source is not there at all. A source that is lost and may come back is
        waited for.
        """
        ...
