"""Supervisors' PINs, checked offline against the manifest; a few wrong ones, and the station waits."""

import hmac
from collections.abc import Callable
from typing import Final

from contracts.errors import CodeError
from contracts.manifest import pin_hash
from edge.manifest import Manifest

_MOST_WRONG: Final = 5
_WAIT_MS: Final = 60_000
_NOBODY_SALT: Final = bytes(16)


class Releases:
    """Checks PINs and counts the wrong ones; `clock` returns milliseconds since the epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._wrong = 0
        self._until = 0

    def check(self, manifest: Manifest | None, supervisor: str, pin: str, reason: str) -> str:
        """Return the supervisor's id; raises `CodeError` that does not tell a wrong name from a wrong PIN."""
        if not reason.strip():
            raise CodeError("a reason is needed")
        if self._clock() < self._until:
            raise CodeError("too many wrong PINs", advice="Wait a minute.")
        known = manifest.head.supervisors if manifest else ()
        found = next((each for each in known if each.id == supervisor.strip().upper()), None)
        hashed = pin_hash(pin, bytes.fromhex(found.salt) if found else _NOBODY_SALT)
        if found is None or not hmac.compare_digest(hashed, found.pin):
            self._wrong += 1
            if self._wrong >= _MOST_WRONG:
                self._wrong, self._until = 0, self._clock() + _WAIT_MS
            raise CodeError("the name or the PIN is wrong")
        self._wrong = 0
        return found.id
