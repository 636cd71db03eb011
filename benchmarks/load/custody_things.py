"""What the naive reference of custody knows of one thing."""

from dataclasses import dataclass
from datetime import datetime

Spot = tuple[int, str, bool, str | None, str | None]
"""A statement: its number in the order of events, site, under way, dealer (None: nobody), number (None: never said)."""


def first(*problems: tuple[object, str]) -> str | None:
    """Return the word for the first problem that there is."""
    return next((word for there, word in problems if there), None)


@dataclass
class Thing:
    """A unit, a product or a lot."""

    life: str = "active"
    commissioned: str | None = None
    sold: datetime | None = None
    parent: str | None = None
    spot: Spot | None = None
    before: Spot | None = None
    transfer: tuple[str, str] | None = None
    block: tuple[str, str] | None = None
    recall: str | None = None

    @property
    def moving(self) -> bool:
        """Whether it is under way."""
        return self.spot is not None and self.spot[2]

    @property
    def number(self) -> int:
        """The number of the event that put it where it is; 0 without one."""
        return self.spot[0] if self.spot else 0
