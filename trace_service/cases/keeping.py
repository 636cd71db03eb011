"""What an alert was computed from, in and out of the database; and what it says of itself."""

from typing import Any

import msgspec

from trace_service.cases.queries import SQL
from trace_service.detection.changes import Alert
from trace_service.detection.explaining.explanation import Explanation
from trace_service.detection.explaining.stored import explain_stored
from trace_service.store.connection import Connection


def keep_material(connection: Connection, number: int, alert: Alert) -> None:
    """Store what an alert's row was computed from, in the transaction that wrote the row."""
    if alert.material:
        material = msgspec.json.encode(alert.material).decode()
        connection.execute(SQL["keep_material"], {"id": number, "material": material})


def explained(connection: Connection, case: int) -> list[tuple[Any, Explanation]]:
    """Return the alerts of a case, oldest first, each with what it says of itself."""
    rows = connection.execute(SQL["alerts_with_material"], {"case": case}).fetchall()
    return [(row, explain_stored(row.reason, row.probability, row.material)) for row in rows]
