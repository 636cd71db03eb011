"""Reviewed outcomes for calibration: what was decided, on which figures, and how likely it was to be looked at."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from trace_service.cases.machine import Outcome
from trace_service.cases.queries import SQL
from trace_service.cases.sync import policy_of
from trace_service.store.connection import Connection

# A case that somebody took on before any day was planned was certain to be looked at.
_CERTAIN: Final = 1.0


def outcomes(connection: Connection, brand: str) -> Iterator[dict[str, Any]]:
    """Yield every case that a person decided, and every lead of the random share that somebody reviewed, oldest first.

    A lead has the number of its `lead`, and as `case` that number below zero.

    `selection_probability` is the chance that the case was given to a day at all: weight by its inverse. `expires_at`
    is until when a benign outcome says that such traffic is honest there; None for the others.
    """
    days = timedelta(days=policy_of(connection, brand).benign_days)
    cases = connection.execute(SQL["outcomes"], {"brand": brand}).fetchall()
    leads = connection.execute(SQL["lead_outcomes"], {"brand": brand}).fetchall()
    for row in sorted([*cases, *leads], key=lambda each: each.closed_at):
        benign = Outcome(row.outcome).benign
        yield {
            **row._asdict(),
            "confirmed": row.outcome == Outcome.CONFIRMED,
            "benign": benign,
            "expires_at": row.closed_at + days if benign else None,
            "selection_probability": row.selection_probability or _CERTAIN,
        }
