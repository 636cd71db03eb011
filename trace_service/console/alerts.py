"""The queue of alerts, and one alert with everything that led to it."""

import asyncio
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from trace_service.cases.explain import held, per_case, phones
from trace_service.console.records import records
from trace_service.console.timeline import DRAWN, timelines
from trace_service.web import inquiries
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf, WorkerSession
from trace_service.web.models import Alert
from trace_service.web.parameters import AlertFilter, Before, Number, OutcomeField, Seen, SinceMs
from trace_service.web.render import Page

router = APIRouter()
STATES = ("open", "acknowledged", "closed")


@router.get("/")
async def queue(
    request: Request, console: ConsoleOf, session: SessionOf, state: AlertFilter = "open", before: Before = None
) -> Response:
    """Show the alerts in one state, newest first."""
    found = await inquiries.alerts(console.database, session.brand, state, before)
    numbers = await inquiries.counts(console.database, "alert_counts", session.brand)
    values = {"state": state, "states": STATES, "counts": numbers, "alerts": found.rows, "before": found.before}
    return console.renderer.page(request, Page("alerts.html", values | _seen(found.rows)), session)


@router.get("/alerts/news")
async def queue_news(
    request: Request, console: ConsoleOf, session: SessionOf, seen: Seen, state: AlertFilter = "open"
) -> Response:
    """Say how many alerts came since a queue was shown; the queue itself stays as it is."""
    news = await inquiries.news(console.database, "alert_news", session.brand, state, seen)
    numbers = await inquiries.counts(console.database, "alert_counts", session.brand)
    values = {"state": state, "states": STATES, "counts": numbers, "news": news}
    return console.renderer.page(request, Page("alerts_news.html", values), session)


@router.get("/alerts/{number}")
async def one(request: Request, console: ConsoleOf, session: SessionOf, number: Number) -> Response:
    """Show why an alert was raised, what happened, and what can be done."""
    alert = await inquiries.alert(console.database, session.brand, number)
    found = await inquiries.evidence(console.database, session.brand, number)
    scans = await asyncio.to_thread(inquiries.located, console.places, found)
    journeys = await inquiries.journeys(console.database, session.brand, scans, [alert])
    explanation = await inquiries.explanation(alert)
    values = {
        "alert": alert,
        "explanation": explanation,
        "names": await inquiries.dealer_names(console.database, session.brand, [alert], [explanation]),
        "cases": per_case(alert, scans),
        "held": held([alert], scans, journeys),
        "scans": scans,
        "records": await records(console.database, session.brand, [alert]),
        "timelines": timelines(journeys),
        "drawn": DRAWN,
        "phones": phones(scans),
        "since": _milliseconds(alert.updated_at),
        "map_version": console.places.version,
    }
    return console.renderer.page(request, Page("alert.html", values), session)


@router.get("/alerts/{number}/news")
async def one_news(
    request: Request, console: ConsoleOf, session: SessionOf, number: Number, since: SinceMs
) -> Response:
    """Say whether an alert changed since it was shown."""
    alert = await inquiries.alert(console.database, session.brand, number)
    values = {"alert": alert, "changed": _milliseconds(alert.updated_at) > since, "since": since}
    return console.renderer.page(request, Page("alert_news.html", values), session)


@router.post("/alerts/{number}/acknowledge")
async def acknowledge(console: ConsoleOf, session: WorkerSession, number: Number) -> Response:
    """Take an alert on."""
    await inquiries.acknowledge(console.database, session, number)
    return RedirectResponse(f"/alerts/{number}", 303)


@router.post("/alerts/{number}/close")
async def close(console: ConsoleOf, session: WorkerSession, number: Number, outcome: OutcomeField) -> Response:
    """Close an alert with its outcome."""
    await inquiries.close(console.database, session, number, outcome)
    return RedirectResponse(f"/alerts/{number}", 303)


def _seen(alerts: list[Alert]) -> dict[str, int]:
    newest = max((alert.updated_at for alert in alerts), default=datetime.now(UTC))
    return {"after": max((alert.id for alert in alerts), default=0), "since": _milliseconds(newest)}


def _milliseconds(time: datetime) -> int:
    # Rounded up, so that what was shown is never taken for news.
    return int(time.timestamp() * 1000) + 1
