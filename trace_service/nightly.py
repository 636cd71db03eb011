"""What is done for every brand once a night by itself, from a time on that the stores' clocks show."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Final

import psycopg
import structlog
from cronsim import CronSim, CronSimError

from contracts.errors import ConfigurationError
from trace_service.domain.zones import STORE_ZONE
from trace_service.store.connection import Connection, connect

_LOOK_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)


class Nightly:
    """Calls `work` with a connection, the time and the schedule once a minute; it does what is due, once a night.

    Several processes may look; `work` sees to it that one of them does it.
    """

    def __init__(self, dsn: str, name: str, schedule: str, work: Callable[[Connection, datetime, str], object]) -> None:
        self._dsn = dsn
        self._name = name
        self._schedule = checked(schedule)
        self._work = work

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set; a database that is away is waited for."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._look)
            except psycopg.OperationalError as error:
                log.warning(
                    "the night waits for the database", action="night.database", work=self._name, error=str(error)
                )
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)

    def _look(self) -> None:
        with connect(self._dsn, f"{self._name} nights") as connection:
            self._work(connection, datetime.now(UTC), self._schedule)


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
