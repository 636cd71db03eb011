"""Live updates: one listening connection a process, fanned out to every open page.

A notification only says what kind of thing changed; the page then asks for what it shows. So a slow page can never
pile up messages: what waits for it is a set of kinds.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog

from trace_service.web.database import Database
from trace_service.web.errors import BusyError

HEARTBEAT_SECONDS: Final = 15.0
# Bursts become one event: a page refreshes at most this often.
PAUSE_SECONDS: Final = 1.0
LARGEST_AUDIENCE: Final = 500
KINDS: Final = frozenset({"alert", "case", "stock", "proposal"})
_RETRY_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class Subscriber:
    """What one open page has yet to be told."""

    def __init__(self, brand: str) -> None:
        self.brand = brand
        self._waiting: set[str] = set()
        self._wake = asyncio.Event()

    def tell(self, kinds: frozenset[str]) -> None:
        """Add kinds of change."""
        self._waiting |= kinds
        self._wake.set()

    async def next(self) -> frozenset[str]:
        """Wait for a change, at most HEARTBEAT_SECONDS; an empty set is a heartbeat."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await self._wake.wait()
        kinds = frozenset(self._waiting)
        self._waiting.clear()
        self._wake.clear()
        return kinds


class LiveUpdates:
    """Listens to PostgreSQL and tells the subscribers of the brand concerned."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def audience(self) -> int:
        """The number of open pages."""
        return len(self._subscribers)

    async def start(self) -> None:
        """Begin to listen, and keep trying while the database is away."""
        self._task = asyncio.create_task(self._listen(), name="console-listener")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def stream(self, brand: str, until: datetime) -> AsyncIterator[bytes]:
        """Yield server-sent events for one page until it goes away or its session ends."""
        with self._subscribed(brand) as subscriber:
            # A page that was away may have missed something: let it look once.
            yield _event("refresh")
            while datetime.now(UTC) < until:
                kinds = await subscriber.next()
                yield b"".join(_event(kind) for kind in sorted(kinds)) or b": heartbeat\n\n"
                await asyncio.sleep(PAUSE_SECONDS)

    def require_room(self) -> None:
        """Raise BusyError when no further page can be served."""
        if self.audience >= LARGEST_AUDIENCE:
            raise BusyError("too many open pages", advice="Close some.", retry_after=30)

    @contextmanager
    def _subscribed(self, brand: str) -> Iterator[Subscriber]:
        subscriber = Subscriber(brand)
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    async def _listen(self) -> None:
        while True:
            try:
                connection = await self._database.listen()
                try:
                    self._tell_all()
                    async for notice in connection.notifies():
                        self._hear(notice.payload)
                finally:
                    await connection.close()
            except psycopg.OperationalError as error:
                log.warning("live updates wait for the database", action="live.retry", error=str(error))
            await asyncio.sleep(_RETRY_SECONDS)

    def _tell_all(self) -> None:
        for subscriber in self._subscribers:
            subscriber.tell(KINDS)

    def _hear(self, payload: str) -> None:
        try:
            news = json.loads(payload)
            kind, brand = news["kind"], news["brand"]
        except (ValueError, TypeError, KeyError):
            log.warning("not a console notification", action="live.ignored", payload=payload[:200])
            return
        if isinstance(kind, str) and kind in KINDS:
            for subscriber in self._subscribers:
                if subscriber.brand == brand:
                    subscriber.tell(frozenset({kind}))


def _event(kind: str) -> bytes:
    return f"event: {kind}\ndata: 1\n\n".encode()
