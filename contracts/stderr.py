"""Where the processes of Codefence log: standard error, which may be a file on a disk that is full."""

import io
import sys
from contextlib import suppress


class PatientStderr(io.TextIOBase):
    """Standard error that drops what it cannot write: a full disk must cost log lines, never the work."""

    def write(self, text: str, /) -> int:
        """Write and flush; returns the number of characters, written or not."""
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
        return len(text)
