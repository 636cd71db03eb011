"""The manifest on disk: written whole or not at all, verified at every start, never exchanged for an older one."""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts import manifest as wire
from contracts.manifest import ExpiredError, ForeignError, Head, ManifestError, OlderError, VersionLostError
from edge.durable import replace_file
from edge.manifest.index import Manifest

_FILE: Final = "manifest.bin"
_FLOOR: Final = "manifest.version"
_VERSION: Final = re.compile(rb"[0-9]{1,19}")
_LOST: Final = "Check the disk, delete this file, and fetch the present manifest before anything is shipped."
_log = structlog.get_logger(__name__)


class ManifestStore:
    """The newest manifest of one site; `clock` returns milliseconds since the epoch. Safe from any thread."""

    def __init__(self, folder: Path, site: str, key: Ed25519PublicKey, clock: Callable[[], int]) -> None:
        self._folder = folder
        self._site = site
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._data = b""
        self._stamp = 0
        self._current: Manifest | None = None

    @property
    def current(self) -> Manifest | None:
        """The manifest in use, None before the first one; it may have expired meanwhile."""
        return self._current

    @property
    def version(self) -> int:
        """The version in use, 0 before the first one."""
        return self._current.head.version if self._current else 0

    def load(self) -> ManifestError | None:
        """Take up what an earlier start kept; return why not, where it cannot be trusted."""
        try:
            self._stamp = (self._folder / _FILE).stat().st_mtime_ns
            data = (self._folder / _FILE).read_bytes()
        except FileNotFoundError:
            return None
        try:
            self._take(data, kept=True)
        except ManifestError as error:
            _log.error(error.message, action="manifest.refused", code=error.code, advice=error.advice)
            return error
        return None

    def reload(self) -> None:
        """Take up a file that was put here by hand since; what cannot be trusted is refused with a line in the log."""
        try:
            stamp = (self._folder / _FILE).stat().st_mtime_ns
        except FileNotFoundError:
            return
        if stamp != self._stamp:
            with self._lock:
                self.load()

    def offer(self, data: bytes) -> Head:
        """Take up a manifest or a delta; raises `ManifestError` and keeps the present one where it may not be trusted.

        `SIGNATURE`, `EXPIRED`, `OLDER`, `FOREIGN` and `VERSION_LOST` in the error's code say what is wrong.
        """
        with self._lock:
            if wire.is_delta(data):
                if not self._data:
                    raise ForeignError("a delta, and nothing to apply it to")
                data = wire.apply_delta(self._data, data)
            return self._take(data, kept=False)

    def _take(self, data: bytes, *, kept: bool) -> Head:
        # 1. Signed by the trace service, whose key this station pins.
        head = wire.verify(data, self._key)
        # 2. Made for this site.
        if head.site != self._site:
            raise ForeignError(f"made for site {head.site}, this is {self._site}", advice="Fetch this site's own.")
        # 3. Never older than what this station has relied on: yesterday's stock may have left since.
        floor = self._floor()
        if head.version < floor:
            raise OlderError(f"version {head.version} is older than {floor}", advice="Fetch the present one.")
        # 4. Still in force. One kept from before a restart is taken up all the same: its version is known by it.
        if not kept and self._clock() >= head.expires_at:
            raise ExpiredError("the manifest has expired", advice="Check both clocks, then fetch it again.")
        manifest = Manifest(data, head)
        if not kept:
            replace_file(self._folder / _FILE, data)
        if head.version > floor:
            replace_file(self._folder / _FLOOR, str(head.version).encode())
        self._data, self._current = data, manifest
        _log.info("manifest in use", action="manifest.taken", version=head.version, codes=manifest.codes)
        return head

    def _floor(self) -> int:
        file = self._folder / _FLOOR
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise VersionLostError(f"{file}: {error.strerror}", advice=_LOST) from error
        if _VERSION.fullmatch(text) is None:
            raise VersionLostError(f"{file} does not hold a version", advice=_LOST)
        return int(text)
