"""Messages of cases that say why: they are queued with what they tell of, and worded here, by who delivers messages.

What an alert says of itself takes up to a second to compute. In the transaction that raised it every alert behind would
wait for that, and if it failed there would be no alert.
"""

from typing import Any, Final

import msgspec
import psycopg
import structlog

from trace_service.cases.history import publish
from trace_service.cases.keeping import explained
from trace_service.cases.queries import SQL
from trace_service.detection.explaining.explanation import Explanation
from trace_service.store.connection import Connection, one

_LOCK_SPACE: Final = 0x43415345
_MOST_EXPLAINED: Final = 5

log = structlog.get_logger(__name__)


def tell_waiting(connection: Connection) -> int:
    """Queue what waits for webhooks, chat robots and mail, in order; return how many messages that were.

    Each leaves the one queue in the transaction that puts it into the others, so that none is lost or told twice.
    """
    told = 0
    while _tell_next(connection):
        told += 1
    return told


def _tell_next(connection: Connection) -> bool:
    with connection.transaction():
        if not one(connection, SQL["own_messages"], {"space": _LOCK_SPACE}).had:
            return False
        row = connection.execute(SQL["next_message"]).fetchone()
        if row is None:
            return False
        payload = dict(row.payload)
        if row.explained:
            payload["explained"] = _explained(connection, row.brand, row.case_id)
        publish(connection, row.brand, row.topic, payload, row.actor)
        connection.execute(SQL["message_told"], {"id": row.id})
    return True


def _explained(connection: Connection, brand: str, case: int) -> list[dict[str, Any]]:
    try:
        with connection.transaction():
            found = explained(connection, case)[:_MOST_EXPLAINED]
            names = _names(connection, brand, [said for _, said in found])
            return [_told(*each, names) for each in found]
    except psycopg.OperationalError:
        raise
    except Exception:
        # The boundary of one message: that there is a case matters more than why.
        log.exception("a message cannot say why", action="case.unexplained", case=case)
        return []


def _names(connection: Connection, brand: str, said: list[Explanation]) -> dict[str, tuple[str, str]]:
    """Return the Chinese and English names of the dealers and sites that figures name by number."""
    figures = [value for each in said for change in each.changes for value in change.figures.values()]
    ids = sorted({each for each in figures if isinstance(each, str)})
    rows = connection.execute(SQL["names"], {"brand": brand, "ids": ids})
    return {row.id: (row.name_zh, row.name_en) for row in rows}


def _told(alert: Any, said: Explanation, names: dict[str, tuple[str, str]]) -> dict[str, Any]:  # noqa: ANN401  a row
    """Return what a message tells of an alert: figures and codes, no positions."""
    given = alert.reason.get("parameters", {})
    return {
        "alert": alert.id,
        "observed": given.get("observed"),
        "expected": given.get("expected"),
        "times": msgspec.to_builtins(said.times),
        "belief": msgspec.to_builtins(said.belief),
        "changes": [{"code": each.code, "figures": each.figures} for each in said.changes],
        "names": {
            who: names[who]
            for each in said.changes
            for who in each.figures.values()
            if isinstance(who, str) and who in names
        },
    }
