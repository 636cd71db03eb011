"""Messages of cases that say why: they are queued with what they tell of, and worded here, by who delivers messages.

What an alert says of itself takes up to a second to compute. In the transaction that raised it every alert behind would
wait for that, and if it failed there would be no alert.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog

from trace_service.cases.history import publish
from trace_service.cases.keeping import explained
from trace_service.cases.queries import SQL
from trace_service.detection.explaining.explanation import Explanation
from trace_service.store.connection import Connection, one

_LOCK_SPACE: Final = 0x43415345
_MOST_EXPLAINED: Final = 5
_ATTEMPTS: Final = 5
_FIRST_WAIT: Final = timedelta(seconds=10)
_LONGEST_ERROR: Final = 200

log = structlog.get_logger(__name__)


def tell_waiting(connection: Connection, stopped: Callable[[], bool] = lambda: False) -> int:
    """Queue what waits for webhooks, chat robots and mail, in order; return how many messages that were.

    Each leaves the one queue in the transaction that puts it into the others, so that none is lost or told twice. One
    that cannot be told lets those of other cases pass, is tried again, and is given up with its reason in the end.
    Nothing more is begun once `stopped`. Raises psycopg.OperationalError for a lost database.
    """
    told = 0
    while not stopped() and (done := _tell_next(connection)) is not None:
        told += done
    return told


def given_up(connection: Connection, brand: str | None) -> Sequence[Any]:
    """Return up to 1,000 messages of a brand, or of all, that could not be told, oldest first, with the last error."""
    return connection.execute(SQL["dead_messages"], {"brand": brand}).fetchall()


def tell_again(connection: Connection, brand: str | None) -> int:
    """Put what was given up back into the queue, in its old order; return how many messages that were."""
    return connection.execute(SQL["tell_again"], {"brand": brand}).rowcount


def _tell_next(connection: Connection) -> bool | None:
    """Tell the next message and return whether it went out; None where none may go now."""
    with connection.transaction():
        if not one(connection, SQL["own_messages"], {"space": _LOCK_SPACE}).had:
            return None
        row = connection.execute(SQL["next_message"]).fetchone()
        if row is None:
            return None
        try:
            with connection.transaction():
                _tell(connection, row)
        # The boundary of one message: let out, it would end the deliveries of every brand.
        except Exception as error:
            if connection.closed:
                raise
            _record(connection, row, error)
            return False
    return True


def _tell(connection: Connection, row: Any) -> None:  # noqa: ANN401  a row
    payload = msgspec.json.decode(row.payload, type=dict[str, Any])
    if row.explained:
        payload["explained"] = _explained(connection, row.brand, row.case_id)
    publish(connection, row.brand, row.topic, payload, row.actor)
    connection.execute(SQL["message_told"], {"id": row.id})


def _record(connection: Connection, row: Any, error: Exception) -> None:  # noqa: ANN401  a row
    failures = row.attempts + 1
    dead = failures >= _ATTEMPTS
    log.error(
        "a message of a case cannot be told", action="case.message_dead" if dead else "case.message_failed",
        message=row.id, brand=row.brand, case=row.case_id, topic=row.topic, attempts=failures, exc_info=error,
    )  # fmt: skip
    said = {
        "id": row.id,
        "state": "dead" if dead else "waiting",
        "wait": _FIRST_WAIT * 2.0 ** (failures - 1),
        # As it is written in a program: what made a text impossible to send could not be stored either.
        "error": ascii(error)[:_LONGEST_ERROR],
    }
    connection.execute(SQL["message_failed"], said)


def _explained(connection: Connection, brand: str, case: int) -> list[dict[str, Any]]:
    try:
        with connection.transaction():
            found = explained(connection, case)[:_MOST_EXPLAINED]
            names = _names(connection, brand, [said for _, said in found])
            return [_told(*each, names) for each in found]
    except Exception:
        if connection.closed:
            raise
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
