"""Alerts with the scans they rest on and the custody of every case."""

from typing import Any

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel

from trace_service.web import inquiries
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import ApiWorkerSession, SessionOf
from trace_service.web.inquiries import Journey
from trace_service.web.models import Alert, Evidence, Outcome
from trace_service.web.parameters import Before, Number, OptionalAlertFilter

router = APIRouter(tags=["alerts"])


class AlertList(BaseModel):
    """Alerts, newest first; `before` is the parameter for the next part, null at the end."""

    alerts: list[Alert]
    before: int | None


class AlertDetail(BaseModel):
    """One alert; `evidence` names the message behind each scan, `custody` the journey of each case."""

    alert: Alert
    evidence: list[Evidence]
    custody: list[Journey]


class AlertExplanation(BaseModel):
    """Expectations, innocent explanations that were considered, what would change the verdict, and versions."""

    alert: int
    explanation: dict[str, Any]


class Closing(BaseModel):
    """How an investigation ended."""

    outcome: Outcome


@router.get("/alerts")
async def list_alerts(
    console: ConsoleOf, session: SessionOf, state: OptionalAlertFilter = None, before: Before = None
) -> AlertList:
    """List alerts, in one state or in all."""
    found = await inquiries.alerts(console.database, session.brand, state, before)
    return AlertList(alerts=found.rows, before=found.before)


@router.get("/alerts/{number}")
async def get_alert(console: ConsoleOf, session: SessionOf, number: Number) -> AlertDetail:
    """Return one alert with everything that led to it."""
    alert = await inquiries.alert(console.database, session.brand, number)
    scans = await inquiries.evidence(console.database, session.brand, number)
    journeys = await inquiries.journeys(console.database, session.brand, scans)
    return AlertDetail(alert=alert, evidence=scans, custody=journeys)


@router.get("/alerts/{number}/explanation")
async def explain_alert(console: ConsoleOf, session: SessionOf, number: Number) -> AlertExplanation:
    """Return what an alert says of itself, in codes and figures; takes up to some tenths of a second."""
    alert = await inquiries.alert(console.database, session.brand, number)
    said = await inquiries.explanation(alert)
    return AlertExplanation(alert=alert.id, explanation=msgspec.to_builtins(said))


@router.post("/alerts/{number}/acknowledge")
async def acknowledge_alert(console: ConsoleOf, session: ApiWorkerSession, number: Number) -> Alert:
    """Take an open alert on."""
    await inquiries.acknowledge(console.database, session, number)
    return await inquiries.alert(console.database, session.brand, number)


@router.post("/alerts/{number}/close")
async def close_alert(console: ConsoleOf, session: ApiWorkerSession, number: Number, closing: Closing) -> Alert:
    """Close an alert with its outcome."""
    await inquiries.close(console.database, session, number, closing.outcome)
    return await inquiries.alert(console.database, session.brand, number)
