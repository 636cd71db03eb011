"""What the worker decided, as the engine observes it; and the brand's one ordered stream of observations.

The worker appends to an inbox in its own transaction. The one consumer of a brand moves what it finds there into the
log, numbered without holes, in the transaction that writes what follows from it: the log is the order, for good.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from trace_service.detection.live.queries import SQL
from trace_service.detection.observations import (
    BENIGN_DAYS,
    Binding,
    Movement,
    Observation,
    Reviewed,
    Shipment,
    Sighting,
    Withdrawn,
)
from trace_service.store.connection import Connection

_KIND_OF: Final[Mapping[type, str]] = {
    Sighting: "sighting",
    Movement: "movement",
    Shipment: "shipment",
    Binding: "binding",
    Withdrawn: "withdrawn",
    Reviewed: "reviewed",
}
_TYPE_OF: Final[Mapping[str, type]] = {name: kind for kind, name in _KIND_OF.items()}
CLOCK: Final = "clock"
# JSON escapes it wherever it occurs.
_SEPARATOR: Final = "\x1e"


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def kind_of(observation: Observation) -> str:
    """Return the name of an observation's class."""
    return _KIND_OF[type(observation)]


def put(connection: Connection, brand: str, observations: Sequence[Observation]) -> None:
    """Queue observations for the brand's consumer, in the caller's transaction."""
    if observations:
        # As one text each: an array of texts is escaped element by element, which takes longer than all the rest.
        rows = {
            "brand": brand,
            "kinds": _SEPARATOR.join(_KIND_OF[type(each)] for each in observations),
            "bodies": _SEPARATOR.join(msgspec.json.encode(each).decode() for each in observations),
        }
        connection.execute(SQL["put"], rows)


def tell_engine(connection: Connection, brand: str, case: int, *, confirmed: bool, benign: bool) -> None:
    """Let the brand's engine know that a person closed the alerts of a case."""
    rows = connection.execute(SQL["claims_of_case"], {"case": case}).fetchall()
    tell_reviewed(connection, brand, [(row.claim, row.number) for row in rows], confirmed=confirmed, benign=benign)


def tell_reviewed(
    connection: Connection, brand: str, claims: Sequence[tuple[str, str]], *, confirmed: bool, benign: bool
) -> None:
    """Let the brand's engine know that a person answered claims, each with its number.

    A benign answer holds as long as the brand says; one that is neither allows for nothing more.
    """
    now = milliseconds(datetime.now(UTC))
    policy = connection.execute(SQL["benign_days"], {"brand": brand}).fetchone()
    days = 0 if not benign else policy.benign_days if policy else BENIGN_DAYS
    found = [
        Reviewed(key=key, number=number, confirmed=confirmed, received_at=now, benign_days=days)
        for key, number in claims
    ]
    if found:
        put(connection, brand, found)
        connection.execute("NOTIFY work")


def read(kind: str, body: str) -> Observation:
    """Return an observation as it was put."""
    found: Observation = msgspec.json.decode(body, type=_TYPE_OF[kind])
    return found
