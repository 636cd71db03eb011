"""How often what nobody took is tried again."""

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Patience:
    """After which waits a message is tried again, in seconds, and after how many attempts it is given up."""

    attempts: int = 14
    first: float = 5.0
    longest: float = 6 * 3600.0

    def wait(self, failures: int) -> timedelta:
        """Return a random wait after so many failures: between half and all of a doubling time."""
        full = min(self.longest, self.first * 2.0 ** (failures - 1))
        return timedelta(seconds=random.uniform(full / 2, full))  # noqa: S311  spreads load, hides nothing
