"""Changes of the channel whose day has come: the present tables follow by themselves, within a minute of the day."""

from datetime import datetime

import psycopg
import structlog

from contracts.errors import CodefenceError
from trace_service.channel.importer import installed_map, refresh
from trace_service.channel.queries import SQL
from trace_service.store.connection import Connection

log = structlog.get_logger(__name__)


def refresh_due(connection: Connection, now: datetime, map_name: str) -> list[str]:
    """Bring the present tables of every brand up to date of which a change's day has come; return which.

    One brand's failure is logged, tried again by the next call, and keeps no other.
    """
    due = connection.execute(SQL["brands_due"], {"now": now}).fetchall()
    atoms = installed_map(map_name) if due else None
    done = []
    for (brand,) in due:
        try:
            refresh(connection, brand, atoms, now)
        except (CodefenceError, ValueError, psycopg.DataError, psycopg.IntegrityError):
            log.exception("changes of the channel did not come into force", action="channel.failed", brand=brand)
            continue
        log.info("changes of the channel came into force", action="channel.refreshed", brand=brand)
        done.append(brand)
    return done
