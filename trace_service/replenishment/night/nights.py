"""The nightly run of every brand, begun by itself: one task of the process that delivers webhooks."""

from datetime import datetime

import psycopg
import structlog

from contracts.errors import CodefenceError
from trace_service.nightly import due_night
from trace_service.replenishment.night.runs import run
from trace_service.replenishment.queries import SQL
from trace_service.store.connection import Connection

log = structlog.get_logger(__name__)


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
