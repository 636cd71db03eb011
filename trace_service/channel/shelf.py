"""Channels at hand: read again only when something was recorded, and looked after at most once a second."""

import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from trace_service.channel.importer import load_channel
from trace_service.channel.queries import SQL
from trace_service.channel.versions import Channel
from trace_service.store.connection import connect, one

FRESH_SECONDS: Final = 1.0
_PASTS: Final = 4


class ChannelShelf:
    """The channels of the brands that were asked for; safe to call from threads, and blocking."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._turn = threading.Lock()
        self._present: dict[str, tuple[float, object, Channel]] = {}
        self._past: OrderedDict[tuple[str, datetime], Channel] = OrderedDict()

    def known(self, brand: str, known_at: datetime | None = None) -> Channel:
        """Return a brand's channel, at most FRESH_SECONDS old, or as it was known at a moment. Do not change it."""
        with self._turn:
            if known_at is not None:
                return self._as_known(brand, known_at)
            held = self._present.get(brand)
            if held is not None and time.monotonic() - held[0] < FRESH_SECONDS:
                return held[2]
            return self._renew(brand)

    def forget(self, brand: str) -> None:
        """Look again at the next question: something was just recorded here."""
        with self._turn:
            self._present.pop(brand, None)

    def _renew(self, brand: str) -> Channel:
        with connect(self._dsn, "channel") as connection:
            version = one(connection, SQL["version"])
            held = self._present.get(brand)
            unchanged = held is not None and held[1] == version
            channel = held[2] if held and unchanged else load_channel(connection, brand, datetime.now(UTC))
        self._present[brand] = (time.monotonic(), version, channel)
        return channel

    def _as_known(self, brand: str, known_at: datetime) -> Channel:
        found = self._past.pop((brand, known_at), None)
        if found is None:
            with connect(self._dsn, "channel") as connection:
                found = load_channel(connection, brand, known_at)
        self._past[brand, known_at] = found
        if len(self._past) > _PASTS:
            self._past.popitem(last=False)
        return found
