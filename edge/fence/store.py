"""The fence on disk: written whole or not at all, verified at every start, never exchanged for an older one."""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts import fence as wire
from contracts.fence import FenceError, FenceExpiredError, FenceForeignError, FenceOlderError
from edge.durable import replace_file
from edge.fence.held import HeldFence

_FILE: Final = "fence.bin"
_FLOOR: Final = "fence.version"
_VERSION: Final = re.compile(rb"[0-9]{1,19}")
_log = structlog.get_logger(__name__)


class FenceStore:
    """The newest fence of one site or device; `audience` is `site:NAME` or `device:NAME`, `clock` milliseconds."""

    def __init__(self, folder: Path, audience: str, key: Ed25519PublicKey, clock: Callable[[], int]) -> None:
        self._folder = folder
        self._audience = audience
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._current: HeldFence | None = None

    @property
    def current(self) -> HeldFence | None:
        """The fence in use, None before the first one; it may have expired meanwhile."""
        return self._current

    def load(self) -> FenceError | None:
        """Take up what an earlier start kept; return why not, where it cannot be trusted."""
        try:
            self._take((self._folder / _FILE).read_bytes(), kept=True)
        except FileNotFoundError:
            return None
        except FenceError as error:
            _log.error(error.message, action="fence.refused", code=error.code, advice=error.advice)
            return error
        return None

    def offer(self, data: bytes) -> wire.FenceHead:
        """Take up a fence; raises `FenceError` and keeps the present one where it may not be trusted.

        `SIGNATURE`, `EXPIRED`, `OLDER` and `FOREIGN` in the error's code say what is wrong.
        """
        with self._lock:
            return self._take(data, kept=False)

    def _take(self, data: bytes, *, kept: bool) -> wire.FenceHead:
        head, points = trusted(data, self._key, self._audience)
        floor = self._floor()
        if head.version < floor:
            raise FenceOlderError(f"version {head.version} is older than {floor}", advice="Fetch the present one.")
        # One kept from before a restart is taken up all the same: an old fence is better than none, and says so.
        if not kept:
            require_in_force(head, self._clock())
        held = HeldFence(head, points)
        if not kept:
            replace_file(self._folder / _FILE, data)
        if head.version > floor:
            replace_file(self._folder / _FLOOR, str(head.version).encode())
        self._current = held
        _log.info("fence in use", action="fence.taken", version=head.version, points=len(points), size=len(data))
        return head

    def _floor(self) -> int:
        try:
            text = (self._folder / _FLOOR).read_bytes()
        except FileNotFoundError:
            return 0
        if _VERSION.fullmatch(text) is None:
            raise FenceError(f"{self._folder / _FLOOR} does not hold a version", advice="Check the disk, delete it.")
        return int(text)


def trusted(data: bytes, key: Ed25519PublicKey, audience: str) -> tuple[wire.FenceHead, list[wire.Point]]:
    """Return a fence that was signed by the pinned key and made for `audience`; raises `FenceError`."""
    head, points = wire.verify(data, key)
    if head.audience != audience:
        raise FenceForeignError(f"made for {head.audience}, this is {audience}", advice="Fetch this one's own.")
    return head, points


def require_in_force(head: wire.FenceHead, now_ms: int) -> None:
    """Raise `FenceExpiredError` where a fence's time is over."""
    if now_ms >= head.expires_at:
        raise FenceExpiredError("the fence has expired", advice="Check both clocks, then fetch it again.")
