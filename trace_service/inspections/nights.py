"""Every brand's plan of the day, made by itself each night: one task of the process that delivers webhooks."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog

from contracts.errors import CodefenceError
from trace_service.inspections.queries import SQL
from trace_service.inspections.store import make_plan
from trace_service.replenishment.night.nights import checked, due_night
from trace_service.store.connection import Connection, connect

_LOOK_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)


class InspectionNights:
    """Plans for each brand once a night; several processes may try, one of them does it."""

    def __init__(self, dsn: str, schedule: str) -> None:
        self._dsn = dsn
        self._schedule = checked(schedule)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; a database that is away is waited for."""
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._look)
            except psycopg.OperationalError as error:
                log.warning("the plans wait for the database", action="inspect.database", error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)

    def _look(self) -> None:
        with connect(self._dsn, "inspection nights") as connection:
            plan_due(connection, datetime.now(UTC), self._schedule)


def plan_due(connection: Connection, now: datetime, schedule: str) -> list[str]:
    """Plan for every brand with bases that has no plan of tonight; return which. A failure keeps no other brand."""
    night = due_night(schedule, now)
    if night is None:
        return []
    done = []
    for (brand,) in connection.execute(SQL["brands_with_bases"], {"night": night}).fetchall():
        try:
            made = make_plan(connection, brand, night, now)
        except (CodefenceError, ValueError, psycopg.DataError):
            log.exception("a plan of inspections failed", action="inspect.failed", brand=brand)
            continue
        if made is not None:
            log.info("where to look next is planned", action="inspect.planned", brand=brand, plan=made)
            done.append(brand)
    return done
