"""The engine on live data: one ordered stream a brand, one consumer, alerts in the transaction of what led to them.

A worker that holds a brand's lock keeps the brand's engine in memory. It starts with the last snapshot or with nothing,
and with the log from there fed again, of which nothing is written; from then on every batch of the inbox is logged, fed
and written in one transaction. When that fails, the engine in memory has gone further than the database: it is dropped,
and started anew. The channel and the calibration that the engine goes by are entries of the log as well, so that the
log needs nothing else to be fed again, and nothing has to be fed again because one of them changed.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
import structlog
from msgspec import structs

from trace_service.cases.leads import follow_leads
from trace_service.cases.recalibration import current
from trace_service.cases.sync import follow_alerts
from trace_service.detection.calibration import Calibration
from trace_service.detection.changes import Change, Lead
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import CLOCK, milliseconds, read
from trace_service.detection.live.queries import SQL
from trace_service.detection.live.snapshots import Snapshot, Snapshots
from trace_service.detection.network import Channel, Network
from trace_service.detection.settings import DAY_MS
from trace_service.inspections.store import observe_engine
from trace_service.processing.write import write
from trace_service.store.connection import Connection, one

BATCH: Final = 500
_REPLAY: Final = 5_000
_LOCK_SPACE: Final = 0x454E4749
_CHANNEL: Final = "channel"
_CALIBRATION: Final = "calibration"
_RECALIBRATE_S: Final = 5.0
_WORTH_KEEPING: Final = 1_000
_FEW_CELLS: Final = 500
_MINUTE_MS: Final = 60_000
Tell: TypeAlias = Callable[[Connection, set[tuple[str, str]]], None]

log = structlog.get_logger(__name__)


@dataclass
class _Running:
    """A brand's engine, and the numbers of the observations that it saw last and that its snapshot saw last."""

    engine: Engine
    last: int
    kept: int
    version: Any = None  # of the channel, as the database tells it
    recalibrate_at: float = 0.0
    observed: int | None = None  # the day, or minute, of which a plan of inspections was told
    leads: Mapping[str, Lead] | None = None  # as the database has them; None: nobody knows

    @property
    def snapshot(self) -> Snapshot:
        """The engine as it is now."""
        return Snapshot(self.engine, self.last)


class Live:
    """The engines of one worker. Not for several threads."""

    def __init__(self, network: Callable[[Connection, str], Network], tell: Tell, snapshots: Snapshots) -> None:
        self._network = network
        self._tell = tell
        self._snapshots = snapshots
        self._running: dict[str, _Running] = {}
        self._announced: dict[str, int] = {}

    def forget(self) -> None:
        """Drop every engine: the session is gone, and with it the locks, so that another worker may have gone on."""
        self._running.clear()

    def keep(self, connection: Connection) -> None:
        """Keep a snapshot of every engine that went on: the worker ends."""
        for brand, running in self._running.items():
            if running.last - running.kept >= _WORTH_KEEPING:
                self._snapshots.save(connection, brand, running.snapshot)
                running.kept = running.last

    def follow(self, connection: Connection) -> int:
        """Take in what waits for the brands that are this worker's; return how many observations that were."""
        total = 0
        for brand, newest in connection.execute(SQL["brands_waiting"]).fetchall():
            total += self._follow(connection, brand, newest)
        return total

    def close_days(self, connection: Connection, now: datetime | None = None) -> None:
        """Let the days of quiet brands pass, as an entry of their log."""
        moment = milliseconds(now or datetime.now(UTC))
        for brand, running in list(self._running.items()):
            clock = running.engine.clock
            if clock is not None and moment // DAY_MS > clock // DAY_MS:
                self._in_one(connection, brand, partial(self._pass_days, connection, brand, moment))

    def _follow(self, connection: Connection, brand: str, newest: int) -> int:
        if brand not in self._running:
            if not one(connection, SQL["own"], {"space": _LOCK_SPACE, "brand": brand}).had:
                # The worker whose the brand is may be asleep: what waits is announced to it, once.
                if newest > self._announced.get(brand, 0):
                    self._announced[brand] = newest
                    connection.execute("NOTIFY work")
                return 0
            self._running[brand] = self._start(connection, brand)
        done = self._in_one(connection, brand, partial(self._take, connection, brand))
        running = self._running[brand]
        due = running.last - running.kept >= self._snapshots.every
        if due and self._snapshots.begin(brand, running.snapshot):
            running.kept = running.last
        return done

    def _in_one(self, connection: Connection, brand: str, work: Callable[[_Running], int]) -> int:
        """Do a piece of work in one transaction; an engine that went further than the database is dropped."""
        try:
            with connection.transaction():
                done = work(self._running[brand])
                running = self._running[brand]
                self._close_day(connection, brand, running)
                running.leads = follow_leads(connection, brand, running.engine, running.leads)
                return done
        except BaseException:
            del self._running[brand]
            raise

    def _start(self, connection: Connection, brand: str) -> _Running:
        began = time.monotonic()
        places = self._network(connection, brand).places
        found = self._snapshots.load(connection, brand, places)
        if found is None:
            empty = Channel(dealers=(), territories=(), places=places)
            found = Snapshot(Engine(Network(empty)), 0)
        last = found.last
        while rows := connection.execute(SQL["log"], {"brand": brand, "after": last, "limit": _REPLAY}).fetchall():
            for row in rows:
                feed(found.engine, row.kind, row.body)
            last = rows[-1].seq
        gc.freeze()  # looking through the whole engine for garbage would hold up the alerts behind it
        log.info(
            "the engine is where its log ends", action="live.started", brand=brand, observations=last,
            fed=last - found.last, seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip
        return _Running(found.engine, last, found.last)

    def _take(self, connection: Connection, brand: str, running: _Running) -> int:
        self._renew(connection, brand, running)
        query = {"brand": brand, "last": running.last, "limit": BATCH}
        rows = connection.execute(SQL["take"], query).fetchall()
        changes = [change for row in rows for change in feed(running.engine, row.kind, row.body)]
        if rows:
            running.last = rows[-1].seq
        self._write(connection, brand, changes)
        return len(rows)

    def _renew(self, connection: Connection, brand: str, running: _Running) -> None:
        """Log the channel and the calibration where they are others than the engine goes by."""
        version = one(connection, SQL["network_version"])
        if version != running.version:
            running.version = version
            channel = self._network(connection, brand).channel
            if channel != running.engine.network.channel:
                self._log(connection, brand, running, _CHANNEL, structs.replace(channel, places=()))
        if (now := time.monotonic()) >= running.recalibrate_at:
            running.recalibrate_at = now + _RECALIBRATE_S
            calibration = current(connection, brand)
            if calibration != running.engine.calibration:
                self._log(connection, brand, running, _CALIBRATION, calibration)

    def _log(self, connection: Connection, brand: str, running: _Running, kind: str, said: object) -> list[Change]:
        """Append one entry that came by no inbox, and let the engine observe it."""
        body = msgspec.json.encode(said).decode()
        connection.execute(SQL["log_entry"], {"brand": brand, "last": running.last, "kind": kind, "body": body})
        running.last += 1
        return feed(running.engine, kind, body)

    def _pass_days(self, connection: Connection, brand: str, moment: int, running: _Running) -> int:
        self._write(connection, brand, self._log(connection, brand, running, CLOCK, {"now": moment}))
        return 1

    def _close_day(self, connection: Connection, brand: str, running: _Running) -> None:
        """Keep what a plan of inspections needs of the engine: once a day, each minute while it knows little."""
        clock, small = running.engine.clock, len(running.engine.sightings.cells) <= _FEW_CELLS
        if clock is not None and clock // (_MINUTE_MS if small else DAY_MS) != running.observed:
            running.observed = clock // (_MINUTE_MS if small else DAY_MS)
            observe_engine(connection, brand, running.engine)

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
    if kind == _CHANNEL:
        channel = msgspec.json.decode(body, type=Channel)
        engine.rechannel(structs.replace(channel, places=engine.network.places))
        return []
    if kind == _CALIBRATION:
        engine.recalibrate(msgspec.json.decode(body, type=Calibration))
        return []
    return engine.observe(read(kind, body))
