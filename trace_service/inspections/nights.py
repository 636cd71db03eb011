"""Every brand's plan of the day, made by itself each night: one task of the process that delivers webhooks."""

from datetime import datetime, timedelta

import psycopg
import structlog

from contracts.errors import CodefenceError
from trace_service.domain.zones import STORE_ZONE
from trace_service.inspections.queries import SQL
from trace_service.inspections.store import make_plan
from trace_service.nightly import due_night
from trace_service.store.connection import Connection

log = structlog.get_logger(__name__)


def plan_due(connection: Connection, now: datetime, schedule: str) -> list[str]:
    """Plan for every brand with bases that has no plan of tonight; return which. A failure keeps no other brand.

    A brand's first plan waits for no hour.
    """
    due, night = due_night(schedule, now), now.astimezone(STORE_ZONE).date()
    query = {"night": night, "young": now - timedelta(days=1)}
    done = []
    for brand, first in connection.execute(SQL["brands_with_bases"], query).fetchall():
        if due is None and not first:
            continue
        try:
            made = make_plan(connection, brand, night, now)
        except (CodefenceError, ValueError, psycopg.DataError):
            log.exception("a plan of inspections failed", action="inspect.failed", brand=brand)
            continue
        if made is not None:
            log.info("where to look next is planned", action="inspect.planned", brand=brand, plan=made)
            done.append(brand)
    return done
