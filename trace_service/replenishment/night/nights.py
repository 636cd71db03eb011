"""The nightly run of every brand, begun by itself: one task of the process that delivers webhooks."""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

import psycopg
import structlog
from cronsim import CronSim, CronSimError

from contracts.errors import CodefenceError, ConfigurationError
from trace_service.replenishment.night.runs import run
from trace_service.replenishment.policy import STORE_ZONE
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection, connect

_LOOK_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)


class Nights:
    """Runs each brand once a night; several processes may try, one of them does it."""

    def __init__(self, dsn: str, schedule: str, fill: float) -> None:
        self._dsn = dsn
        self._schedule = checked(schedule)
        self._fill = fill

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a database that is away is waited for."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._look)
            except psycopg.OperationalError as error:
                log.warning("the night waits for the database", action="night.database", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)

    def _look(self) -> None:
        with connect(self._dsn, "replenish nights") as connection:
            run_due(connection, datetime.now(UTC), self._schedule, self._fill)


def checked(schedule: str) -> str:
    """Return a schedule of five cron fields; raises `ConfigurationError` for one that never comes."""
    try:
        next(CronSim(schedule, datetime.now(STORE_ZONE)))
    except (CronSimError, StopIteration) as error:
        raise ConfigurationError(f"{schedule!r} never comes", advice="Five cron fields, such as 30 2 * * *") from error
    return schedule


def due_night(schedule: str, now: datetime) -> date | None:
    """Return today's date in the stores' time zone once today's time has come."""
    here = now.astimezone(STORE_ZONE)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    first = next(CronSim(schedule, midnight))
    return here.date() if first <= here else None


def run_due(connection: Connection, now: datetime, schedule: str, fill: float) -> list[str]:
    """Run every brand that has not been run tonight; return which. One brand's failure is logged and keeps no other."""
    night = due_night(schedule, now)
    if night is None:
        return []
    done = []
    for (brand,) in connection.execute(SQL["brands_with_stock"], {"brand": None}).fetchall():
        key = {"brand": brand, "night": night}
        if connection.execute(SQL["begin_night"], key).fetchone() is None:
            continue
        try:
            report = run(connection, brand, now, fill)
        except (CodefenceError, ArithmeticError, ValueError, psycopg.DataError) as error:
            connection.execute(SQL["end_night"], {**key, "report": f"{type(error).__name__}: {error}"[:500]})
            log.exception("a nightly run failed", action="night.failed", brand=brand)
            continue
        said = "another run was at it" if report is None else "ready" if report.ready else "too little history"
        connection.execute(SQL["end_night"], {**key, "report": said})
        log.info("a brand is planned anew", action="night.done", brand=brand, outcome=said)
        done.append(brand)
    return done
