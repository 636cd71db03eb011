"""The engine on live data: one ordered stream a brand, one consumer, alerts in the transaction of what led to them.

A worker that holds a brand's lock keeps the brand's engine in memory. It starts with the log fed again, of which
nothing is written; from there every batch of the inbox is logged, fed and written in one transaction. When that fails,
the engine in memory has gone further than the database: it is dropped, and the log is fed again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from trace_service.cases.sync import follow_alerts
from trace_service.detection.changes import Change
from trace_service.detection.engine import Engine
from trace_service.detection.live_feed import CLOCK, milliseconds, read
from trace_service.detection.live_queries import SQL
from trace_service.detection.live_write import write
from trace_service.detection.network import Network
from trace_service.detection.settings import DAY_MS
from trace_service.store.connection import Connection, one

BATCH: Final = 500
_REPLAY: Final = 5_000
_LOCK_SPACE: Final = 0x454E4749
Tell: TypeAlias = Callable[[Connection, set[tuple[str, str]]], None]

log = structlog.get_logger(__name__)


@dataclass
class _Running:
    """A brand's engine, the number of the observation that it saw last, and the channel that it was built for."""

    engine: Engine
    last: int
    channel: Any


class Live:
    """The engines of one worker. Not for several threads."""

    def __init__(self, network: Callable[[Connection, str], Network], tell: Tell) -> None:
        self._network = network
        self._tell = tell
        self._running: dict[str, _Running] = {}

    def forget(self) -> None:
        """Drop every engine: the session is gone, and with it the locks, so that another worker may have gone on."""
        self._running.clear()

    def follow(self, connection: Connection) -> int:
        """Take in what waits for the brands that are this worker's; return how many observations that were."""
        total = 0
        for (brand,) in connection.execute(SQL["brands_waiting"]).fetchall():
            total += self._follow(connection, brand)
        return total

    def close_days(self, connection: Connection, now: datetime | None = None) -> None:
        """Let the days of quiet brands pass, as an entry of their log."""
        moment = milliseconds(now or datetime.now(UTC))
        for brand, running in list(self._running.items()):
            clock = running.engine.clock
            if clock is not None and moment // DAY_MS > clock // DAY_MS:
                self._in_one(connection, brand, partial(self._pass_days, connection, brand, moment))

    def _follow(self, connection: Connection, brand: str) -> int:
        had = brand in self._running
        if not had and not one(connection, SQL["own"], {"space": _LOCK_SPACE, "brand": brand}).had:
            return 0
        self._ensure(connection, brand)
        return self._in_one(connection, brand, partial(self._take, connection, brand))

    def _in_one(self, connection: Connection, brand: str, work: Callable[[_Running], int]) -> int:
        """Do a piece of work in one transaction; an engine that went further than the database is dropped."""
        try:
            with connection.transaction():
                return work(self._running[brand])
        except BaseException:
            del self._running[brand]
            raise

    def _ensure(self, connection: Connection, brand: str) -> None:
        channel = one(connection, SQL["network_version"])
        running = self._running.get(brand)
        if running is not None and running.channel == channel:
            return
        engine = Engine(self._network(connection, brand))
        last = 0
        while rows := connection.execute(SQL["log"], {"brand": brand, "after": last, "limit": _REPLAY}).fetchall():
            for row in rows:
                feed(engine, row.kind, row.body)
            last = rows[-1].seq
        self._running[brand] = _Running(engine, last, channel)
        log.info("the engine is where its log ends", action="live.started", brand=brand, observations=last)

    def _take(self, connection: Connection, brand: str, running: _Running) -> int:
        query = {"brand": brand, "last": running.last, "limit": BATCH}
        rows = connection.execute(SQL["take"], query).fetchall()
        changes = [change for row in rows for change in feed(running.engine, row.kind, row.body)]
        if rows:
            running.last = rows[-1].seq
        self._write(connection, brand, changes)
        return len(rows)

    def _pass_days(self, connection: Connection, brand: str, moment: int, running: _Running) -> int:
        body = msgspec.json.encode({"now": moment}).decode()
        connection.execute(SQL["log_clock"], {"brand": brand, "last": running.last, "body": body})
        running.last += 1
        self._write(connection, brand, running.engine.advance(moment))
        return 1

    def _write(self, connection: Connection, brand: str, changes: list[Change]) -> None:
        # Of several changes of one alert the last says it all; the order between alerts is theirs.
        latest = {change.alert.number: change for change in changes}
        written = [write(connection, brand, change) for change in latest.values()]
        if any(written):
            follow_alerts(connection, [brand])
            self._tell(connection, {("alert", brand)})


def feed(engine: Engine, kind: str, body: str) -> list[Change]:
    """Let an engine observe one entry of a log."""
    if kind == CLOCK:
        return engine.advance(msgspec.json.decode(body)["now"])
    return engine.observe(read(kind, body))
