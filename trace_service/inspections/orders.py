"""A visit of the plan becomes an inspector's task."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from trace_service.cases.checks import Task, order_check
from trace_service.cases.errors import CaseStateError
from trace_service.cases.machine import Actor
from trace_service.cases.model import DEFAULT_ZONE
from trace_service.inspections.queries import SQL
from trace_service.store.connection import Connection
from trace_service.web.errors import NotFoundError

_DAYS: Final = 2
_EVENING: Final = time(20)


def order_visit(connection: Connection, actor: Actor, visit: int, words: tuple[str, str], assignee: str | None) -> int:
    """Make a visit a field check and return its number; `words` are the place and what to do there.

    Raises `NotFoundError`, `RoleMissingError`, `InvalidParameterError` for a stranger, and `CaseStateError` where it
    has been ordered before.
    """
    with connection.transaction():
        found = connection.execute(SQL["lock_visit"], {"visit": visit, "brand": actor.brand}).fetchone()
        if found is None:
            raise NotFoundError(f"no visit {visit}")
        if found.field_check is not None:
            raise CaseStateError(f"the visit is check {found.field_check}", advice="Open it.")
        zone = ZoneInfo(DEFAULT_ZONE)
        day = datetime.now(UTC).astimezone(zone).date() + timedelta(days=_DAYS)
        due = datetime.combine(day, _EVENING, zone).astimezone(UTC)
        place, instructions = words
        task = Task(instructions=instructions, place=place, assignee=assignee, due_at=due)
        number = order_check(connection, actor, None, task)
        connection.execute(SQL["set_check"], {"visit": visit, "check": number})
    return number
