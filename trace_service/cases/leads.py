"""Leads: what is worth a look on the spot and accuses nobody. Kept as the engine has them, listed, drawn, reviewed."""

from collections.abc import Mapping
from datetime import date, datetime
from math import isfinite
from typing import Any, Final, Literal

import msgspec

from trace_service.cases.machine import Actor, Outcome
from trace_service.cases.model import Model
from trace_service.cases.queries import SQL
from trace_service.detection.changes import Claim, Lead
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import tell_reviewed
from trace_service.domain.roles import Role
from trace_service.store.connection import Connection, one
from trace_service.store.rows import recordset
from trace_service.web.errors import NotFoundError, RoleMissingError, StateConflictError

PAGE: Final = 50
# Claims of these are leads because they are just below an alert's threshold; the others are never alerts.
_ALERTS: Final = frozenset({"drip", "bulk", "province", "collusion", "outflow"})
# What never becomes an alert has no threshold; its strength is put in order against this.
_STRONG_NATS: Final = 20.0
_MOST_NAMED: Final = 200


class LeadRow(Model):
    """A lead as pages and programs see it; `strength` is the share of the threshold that its evidence reaches."""

    id: int
    claim: str
    kind: str
    near: bool
    dealer: str | None
    dealer_name_zh: str | None
    dealer_name_en: str | None
    city: str
    cases: int
    strength: float
    probability: float | None
    reason: dict[str, Any]
    found_at: datetime
    updated_at: datetime
    ended_at: datetime | None
    ended: Literal["raised", "gone", "reviewed"] | None
    drawn_on: date | None
    outcome: str | None


def follow_leads(
    connection: Connection, brand: str, engine: Engine, known: Mapping[str, Lead] | None
) -> dict[str, Lead]:
    """Write what changed of an engine's leads since `known` (None: nobody knows); return what to know next time.

    The caller holds the transaction that took in what led to it.
    """
    standing = engine.ledger.standing
    leads = {
        key: lead for key, lead in engine.leads.items() if (entry := standing.get(key)) is None or entry.alert is None
    }
    if known is None:
        stored = {row.claim for row in connection.execute(SQL["open_leads"], {"brand": brand})}
        changed, gone = list(leads.values()), stored - leads.keys()
    else:
        changed = [lead for key, lead in leads.items() if known.get(key) is not lead]
        gone = known.keys() - leads.keys()
    if changed:
        rows = recordset(_row(each.claim, engine) for each in changed)
        connection.execute(SQL["write_leads"], {"brand": brand, "rows": rows})
    if gone:
        raised = [key for key in gone if (entry := standing.get(key)) is not None and entry.alert is not None]
        connection.execute(SQL["end_leads"], {"brand": brand, "claims": sorted(gone), "raised": raised})
    return leads


def _row(claim: Claim, engine: Engine) -> dict[str, Any]:
    named = claim.contributions[:_MOST_NAMED]
    parameters = {
        **claim.figures,
        "nats": round(claim.nats, 3),
        "llr": round(claim.nats, 3),
        "threshold": round(claim.threshold, 3) if isfinite(claim.threshold) else None,
        "shipments": list(claim.shipments),
        "contributions": [{"case": each.case, "nats": each.nats, "note": each.note} for each in named],
    }
    if claim.probability is not None:
        parameters["band"] = list(claim.band)
    near = claim.detector in _ALERTS
    asked = claim.threshold if near else _STRONG_NATS
    return {
        "claim": claim.key,
        "kind": claim.kind,
        "near": near,
        "dealer": claim.dealer,
        "city": claim.adcode or "",
        "cases": len({each.case for each in claim.contributions if each.case}),
        "strength": round(max(0.0, claim.nats) / asked, 4),
        "probability": claim.probability,
        "reason": {"code": claim.detector, "parameters": parameters, "versions": engine.versions},
        "material": msgspec.to_builtins(claim.material) or None,
    }


def leads(
    connection: Connection, brand: str, *, near: bool | None = None, page: int = 0, ended: bool = False
) -> list[LeadRow]:
    """Return a page of leads and one more, the strongest first: all, or those (not) just below a threshold."""
    wanted = {"brand": brand, "near": near, "id": None, "ended": ended, "limit": PAGE + 1, "offset": page * PAGE}
    return [LeadRow.model_validate(row) for row in connection.execute(SQL["leads"], wanted)]


def find_lead(connection: Connection, brand: str, number: int) -> tuple[LeadRow, Mapping[str, Any] | None]:
    """Return a lead with what it was computed from. Raises `NotFoundError`."""
    wanted = {"brand": brand, "near": None, "id": number, "ended": None, "limit": 1, "offset": 0}
    row = connection.execute(SQL["leads"], wanted).fetchone()
    if row is None:
        raise NotFoundError(f"no lead {number}")
    return LeadRow.model_validate(row), one(connection, SQL["lead_material"], {"id": number}).material


def review(connection: Connection, actor: Actor, number: int, outcome: Outcome, note: str) -> None:
    """Record what somebody found where a lead pointed to; it ends with that.

    Raises `NotFoundError`, `RoleMissingError`, `StateConflictError` for one that has ended.
    """
    if not actor.role.covers(Role.INSPECTOR):
        raise RoleMissingError("your role may only look", advice="Ask an inspector.")
    with connection.transaction():
        row = connection.execute(SQL["lock_lead"], {"id": number, "brand": actor.brand}).fetchone()
        if row is None:
            raise NotFoundError(f"no lead {number}")
        if row.ended is not None:
            raise StateConflictError(f"lead {number} has ended", advice="Reload to see how.")
        connection.execute(
            SQL["review_lead"], {"id": number, "outcome": outcome.value, "note": note, "login": actor.login}
        )
        answer = {"confirmed": outcome is Outcome.CONFIRMED, "benign": outcome.benign}
        tell_reviewed(connection, actor.brand, [(row.claim, f"lead/{number}")], **answer)
