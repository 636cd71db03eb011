"""What the worker decided, as the engine observes it; and the brand's one ordered stream of observations.

The worker appends to an inbox in its own transaction. The one consumer of a brand moves what it finds there into the
log, numbered without holes, in the transaction that writes what follows from it: the log is the order, for good.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from trace_service.detection.live_queries import SQL
from trace_service.detection.observations import (
    Binding,
    CodeState,
    Goods,
    Movement,
    Observation,
    Position,
    Reviewed,
    Shipment,
    Sighting,
    Source,
    Withdrawn,
)
from trace_service.domain.verification import Verdict
from trace_service.store.connection import Connection

KINDS: Final[Mapping[str, str]] = {"consumer": "scan", "sell": "sale", "inspect": "inspect"}
# Beyond this a position names no city.
_WIDEST_M: Final = 50_000
_STATES: Final = {
    "genuine": CodeState.ACTIVE,
    "logistic": CodeState.ACTIVE,
    "not_commissioned": CodeState.INACTIVE,
}
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


def milliseconds(moment: datetime) -> int:
    """Return milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def sightings(
    verdicts: Iterable[Verdict], scans: Mapping[tuple[str, str, int], Any], moment: datetime
) -> dict[str, list[Observation]]:
    """Return each brand's observations of new and changed verdicts; `scans` are the rows as landed.

    `moment` is when the news came: the clock of the stream.
    """
    found: dict[str, list[Observation]] = {}
    for verdict in verdicts:
        kind = KINDS.get(verdict.activity)
        if kind is None or verdict.brand is None or verdict.code_state in ("malformed", "foreign"):
            continue
        row = scans.get((verdict.device, str(verdict.boot), verdict.seq))
        found.setdefault(verdict.brand, []).append(_sighting(verdict, kind, row, moment))
    return found


def _sighting(verdict: Verdict, kind: str, row: Any, moment: datetime) -> Sighting:  # noqa: ANN401  a row
    number = f"{verdict.device}/{verdict.boot}/{verdict.seq}"
    entitled = verdict.custody_state not in ("quarantined", "unknown_dealer")
    state = _STATES.get(verdict.code_state, CodeState.UNKNOWN)
    # Somebody who types a code slips: what nobody issued is then no label, whatever its form.
    typed = state is CodeState.UNKNOWN and row is not None and row.symbology == "Manual"
    goods = Goods(
        unit=verdict.unit,
        case=verdict.case_unit or verdict.unit,
        product=None if typed else verdict.gtin or None,
        dealer=verdict.dealer if entitled else None,
        shipment=verdict.shipment,
        state=state,
    )
    occurred = milliseconds(verdict.occurred_at)
    return Sighting(
        key=number,
        event=number,
        kind=kind,
        goods=goods,
        position=_position(verdict, own=row is not None and row.lon is not None),
        occurred_at=occurred,
        received_at=max(occurred, milliseconds(moment)),
        # A gateway speaks for many phones: only a reader at a site is one device.
        device="" if kind == "scan" else verdict.device,
        outside=verdict.place == "outside",
    )


def _position(verdict: Verdict, *, own: bool) -> Position:
    if verdict.lat is None or verdict.lon is None or (verdict.accuracy_m or 0) > _WIDEST_M:
        return Position(source=Source.NONE)
    return Position(
        source=Source.GPS if own else Source.STORE,
        lat=verdict.lat,
        lon=verdict.lon,
        accuracy_m=verdict.accuracy_m,
        adcode=verdict.city,
    )


def put(connection: Connection, brand: str, observations: Sequence[Observation]) -> None:
    """Queue observations for the brand's consumer, in the caller's transaction."""
    if observations:
        rows = {
            "brand": brand,
            "kinds": [_KIND_OF[type(each)] for each in observations],
            "bodies": [msgspec.json.encode(each).decode() for each in observations],
        }
        connection.execute(SQL["put"], rows)


def tell_engine(connection: Connection, brand: str, case: int, *, confirmed: bool) -> None:
    """Let the brand's engine know that a person closed the alerts of a case."""
    now = milliseconds(datetime.now(UTC))
    rows = connection.execute(SQL["claims_of_case"], {"case": case}).fetchall()
    found = [Reviewed(key=row.claim, number=row.number, confirmed=confirmed, received_at=now) for row in rows]
    if found:
        put(connection, brand, found)
        connection.execute("NOTIFY work")


def read(kind: str, body: str) -> Observation:
    """Return an observation as it was put."""
    found: Observation = msgspec.json.decode(body, type=_TYPE_OF[kind])
    return found
