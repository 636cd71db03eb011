"""Waiting for what a test needs: however busy the machine is, only something that never happens fails a test."""

import time
from collections.abc import Callable

PATIENCE = 90.0
"""Seconds: far longer than anything takes that a test waits for; a device sends again after 30 what got lost."""


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
