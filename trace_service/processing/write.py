"""What the engine says, as rows: alerts with their evidence, in the transaction that took in what led to them."""

from statistics import median
from typing import Any, Final

import structlog

from trace_service.cases.keeping import keep_material
from trace_service.detection.changes import Alert, Change, Retracted
from trace_service.detection.live.queries import SQL
from trace_service.store.connection import Connection
from trace_service.store.queries import SQL as STORE
from trace_service.store.rows import key_columns, recordset

_MOST_EVIDENCE: Final = 2_000

log = structlog.get_logger(__name__)


def write(connection: Connection, brand: str, change: Change) -> bool:
    """Write one change; return whether any alert is other than before."""
    alert = change.alert
    found = connection.execute(SQL["find_alert"], {"brand": brand, "number": alert.number}).fetchone()
    if isinstance(change, Retracted):
        if found is None or found.state == "closed":
            return False
        note = recordset([{"retracted_llr": round(change.remaining_nats, 2)}])[1:-1]
        connection.execute(STORE["withdraw_evidence"], {"alert": found.id, "rows": "[]"})
        connection.execute(SQL["retract_alert"], {"id": found.id, "note": note})
        return True
    if found is not None and found.state == "closed":
        return False
    evidence = _evidence(connection, alert)
    row = _row(connection, brand, alert, evidence)
    if row is None:
        return False
    if found is None:
        made = connection.execute(SQL["raise_alert"], row).fetchone()
        if made is None:
            return False
        number = made.id
    else:
        number = found.id
        connection.execute(SQL["change_alert"], {**row, "id": number})
    rows = recordset({name: getattr(each, name) for name in _KEYS} for each in evidence)
    connection.execute(STORE["withdraw_evidence"], {"alert": number, "rows": rows})
    connection.execute(STORE["insert_evidence"], {"alert": number, "rows": rows})
    keep_material(connection, number, alert)
    return True


_KEYS: Final = ("device", "boot", "seq", "unit", "case_unit")


def _evidence(connection: Connection, alert: Alert) -> list[Any]:
    return connection.execute(SQL["evidence"], key_columns(_messages(alert))).fetchall()


def _messages(alert: Alert) -> list[tuple[str, str, int]]:
    return [each for event in alert.events[-_MOST_EVIDENCE:] if (each := _message(event)) is not None]


def _records(alert: Alert, evidence: list[Any]) -> list[str]:
    """Return the messages that an alert cites and that are no scans: what partners and clerks put on record."""
    scans = {(row.device, row.boot, row.seq) for row in evidence}
    return ["/".join(map(str, each)) for each in _messages(alert) if each not in scans]


def _message(event: str) -> tuple[str, str, int] | None:
    """Return the message that an event cites, None for one that is none, such as a paper."""
    device, _, rest = event.partition("/")
    boot, _, seq = rest.partition("/")
    return (device, boot, int(seq)) if seq.isdecimal() else None


def _row(connection: Connection, brand: str, alert: Alert, evidence: list[Any]) -> dict[str, Any] | None:
    dealer = alert.dealer
    if dealer is None:
        top = connection.execute(SQL["brand_dealer"], {"brand": brand}).fetchone()
        if top is None:
            log.warning("an alert names no dealer, and the brand has none", action="live.nobody", number=alert.number)
            return None
        dealer = top.id
    reason = {**alert.reason, "parameters": _parameters(alert, evidence), "versions": alert.versions}
    return {
        "brand": brand,
        "kind": alert.kind,
        "dealer": dealer,
        "city": alert.adcode or "",
        "cases": len(alert.cases),
        "scans": len(evidence),
        "reason": recordset([reason])[1:-1],
        "probability": alert.probability,
        "claim": alert.key,
        "number": alert.number,
    }


def _parameters(alert: Alert, evidence: list[Any]) -> dict[str, Any]:
    """Return the engine's figures, and what pages ask for under the names that they know."""
    given = alert.reason["parameters"]
    records = _records(alert, evidence)
    nearest = [
        each["parameters"]["dealer"] for row in evidence for each in row.reasons if each["code"] == "nearest_legal"
    ]
    distances = [row.signed_distance_m for row in evidence if row.signed_distance_m is not None]
    return {
        **given,
        "llr": given["nats"],
        **({"seen": sum(given["located"].values())} if "located" in given else {}),
        "items": len({row.unit for row in evidence}),
        "shipments": sorted({*alert.shipments, *(row.shipment for row in evidence if row.shipment)}),
        "nearest_legal": nearest[-1] if nearest else None,
        "distance_m": round(median(distances)) if distances else None,
        "band": list(alert.band),
        "parties": list(alert.parties),
        **({"records": records} if records else {}),
        "contributions": [
            {"case": each.case, "nats": each.nats, "first_at": each.first_at, "note": each.note}
            for each in alert.contributions
        ],
    }
