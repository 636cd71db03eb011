"""Password checks that cost an attacker time and memory, and never more of either than this machine can spare."""

import asyncio
from typing import Final

from argon2.exceptions import InvalidHashError, VerificationError

from trace_service.accounts import HASHER
from trace_service.web.errors import BusyError

CONCURRENT: Final = 2
PATIENCE_SECONDS: Final = 5.0


class PasswordCheck:
    """Verifies at most CONCURRENT passwords at once; an unknown login costs as much as a known one."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(CONCURRENT)
        self._decoy = HASHER.hash("no account has this password")

    async def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether a password matches what is stored; None stands for an unknown login.

        Raises BusyError when no turn came within PATIENCE_SECONDS.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._turn.acquire()
        except TimeoutError as error:
            raise BusyError("too many log-ins at once", advice="Try again in a moment.", retry_after=5) from error
        try:
            return await asyncio.to_thread(_verify, stored or self._decoy, password) and stored is not None
        finally:
            self._turn.release()


def _verify(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
