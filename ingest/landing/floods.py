"""Keeps letters that nobody is told of from filling the disk.

A message without identity, or from a device that is not registered, is never acknowledged, so that its sender may
repeat it for ever. Each sender has room for so many such letters an hour; the others are counted on the newest one.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final

from psycopg import Connection

from ingest.landing.decode import Decoded, Fault
from ingest.landing.rows import moment, storable
from ingest.queries import QUERIES

KEPT_AN_HOUR: Final = 100
"""Letters that one sender may have with one reason within an hour, each with another content."""

Letter = tuple[Decoded, Fault]
_Sender = tuple[str, str]


class Flood:
    """Decides about the letters of one batch; `registered` are the devices that are answered."""

    def __init__(self, connection: Connection, letters: Sequence[Letter], registered: Collection[str]) -> None:
        self._connection = connection
        self._letters = letters
        self._registered = registered
        self._counted: Counter[_Sender] = Counter()
        self._since = moment(0)

    @property
    def repeats(self) -> int:
        """How many letters are not kept."""
        return self._counted.total()

    def kept(self) -> list[Letter]:
        """Return the letters to store; note how many of each sender are only to be counted."""
        strays = [letter for letter in self._letters if self._is_stray(letter)]
        if not strays:
            return list(self._letters)
        self._since = moment(max(message.received_at for message, _ in strays)) - timedelta(hours=1)
        recent = self._recent(strays)
        return [letter for letter in self._letters if not self._is_stray(letter) or self._fits(letter, recent)]

    def count(self) -> None:
        """Add what was not kept to the newest letter of its sender; the kept ones must be stored by now."""
        if not self._counted:
            return
        senders = sorted(self._counted)
        parameters = {
            "since": self._since,
            "sources": [source for source, _ in senders],
            "reasons": [reason for _, reason in senders],
            "repeats": [self._counted[sender] for sender in senders],
        }
        self._connection.execute(QUERIES["count_repeats"], parameters)

    def _is_stray(self, letter: Letter) -> bool:
        message, fault = letter
        return fault.first is None or message.device not in self._registered

    def _fits(self, letter: Letter, recent: dict[_Sender, set[bytes]]) -> bool:
        digests = recent.setdefault(_sender(letter), set())
        digest = sha256(letter[1].payload).digest()
        if digest in digests or len(digests) >= KEPT_AN_HOUR:
            self._counted[_sender(letter)] += 1
            return False
        digests.add(digest)
        return True

    def _recent(self, strays: Sequence[Letter]) -> dict[_Sender, set[bytes]]:
        parameters = {"since": self._since, "sources": sorted({_sender(letter)[0] for letter in strays})}
        recent: dict[_Sender, set[bytes]] = {}
        for source, reason, digest in self._connection.execute(QUERIES["recent_strays"], parameters):
            recent.setdefault((source, reason), set()).add(digest)
        return recent


def _sender(letter: Letter) -> _Sender:
    """Return what a device cannot vary: its rights on the broker end before the last level of the topic."""
    message, fault = letter
    source, slash, _ = storable(message.topic).rpartition("/")
    return source if slash else storable(message.topic), fault.reason
