"""The questions that pages and JSON API ask, each limited to the brand of the session."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from trace_service.detection.explaining.explanation import Explanation
from trace_service.detection.explaining.stored import explain_stored
from trace_service.web.auth.sessions import Session
from trace_service.web.database import Database
from trace_service.web.errors import NotFoundError, ProposalChangedError, StateConflictError
from trace_service.web.models import (
    Alert,
    AlertState,
    CaseEvidence,
    CodeScan,
    Count,
    CustodyEvent,
    DealerName,
    DecisionCode,
    Device,
    Evidence,
    Model,
    News,
    Outcome,
    Proposal,
    ProposalState,
    Scan,
    Territory,
)
from trace_service.web.places import Places
from trace_service.web.stock_models import Stock

PAGE_SIZE: Final = 50
CODE_SCANS: Final = 20
_MOST_EXPORTED: Final = 10_000
_RELOAD: Final = "Reload to see who decided and how."
DECISIONS: Final[dict[str, ProposalState]] = {"approve": "approved", "reject": "rejected"}
Row = TypeVar("Row", Alert, Proposal)
Seen = TypeVar("Seen", bound=Evidence)


class Slice(NamedTuple, Generic[Row]):
    """Part of a list, newest first; `before` asks for the next part, None at the end."""

    rows: list[Row]
    before: int | None


class Override(NamedTuple):
    """Another quantity than was proposed, and why; the reason's code teaches the forecast.

    `seen` is the quantity that was shown to whoever decides.
    """

    quantity: int | None = None
    code: DecisionCode | None = None
    note: str = ""
    seen: int | None = None


class Journey(Model):
    """What is known of one case: its chain of custody, oldest first, and the scans that gave it away."""

    case_unit: str
    events: list[CustodyEvent]
    scans: list[Evidence]


async def alerts(database: Database, brand: str, state: AlertState | None, before: int | None) -> Slice[Alert]:
    """Return alerts in a state, all of them for None."""
    wanted = {"brand": brand, "state": state, "before": before, "id": None, "limit": PAGE_SIZE + 1}
    return _slice(await database.many("alerts", Alert, wanted | {"case": None, "whole": False}))


async def alert(database: Database, brand: str, number: int) -> Alert:
    """Return one alert. Raises NotFoundError."""
    wanted = {"brand": brand, "state": None, "before": None, "id": number, "limit": 1, "case": None, "whole": True}
    found = await database.one("alerts", Alert, wanted)
    if found is None:
        raise NotFoundError(f"no alert {number}")
    return found


async def alerts_of_case(database: Database, brand: str, case: int) -> list[Alert]:
    """Return the alerts of a case, oldest first."""
    wanted = {"brand": brand, "state": None, "before": None, "id": None, "limit": None, "case": case, "whole": True}
    return (await database.many("alerts", Alert, wanted))[::-1]


async def evidence_of_case(database: Database, brand: str, case: int) -> list[CaseEvidence]:
    """Return the scans that a case's alerts rest on, oldest first."""
    return await database.many("case_evidence", CaseEvidence, {"brand": brand, "case": case})


async def scans_of_code(database: Database, brand: str, unit: str, known_at: datetime | None) -> list[CodeScan]:
    """Return the last scans of a code, of what it lay in and of what else lay in its case, the newest first.

    Only scans and alerts that were on record at `known_at` count; the verdicts are those of now.
    """
    wanted = {"brand": brand, "unit": unit, "known": known_at, "limit": CODE_SCANS}
    return await database.many("code_scans", CodeScan, wanted)


async def dealer_names(
    database: Database, brand: str, alerts: Iterable[Alert], explanations: Iterable[Explanation]
) -> dict[str, tuple[str, str]]:
    """Return the Chinese and English names of the dealers and sites that alerts and their explanations name."""
    ids = sorted({
        *(who for each in explanations for who in each.parties.values()),
        *(str(who) for alert in alerts for who in alert.parameters.get("parties") or ()),
    })  # fmt: skip
    if not ids:
        return {}
    rows = await database.many("dealer_names", DealerName, {"brand": brand, "ids": ids})
    return {row.id: (row.name_zh, row.name_en) for row in rows}


async def explanation(alert: Alert) -> Explanation:
    """Return what an alert says of itself; hundreds of cases take some tenths of a second, in a thread."""
    return await asyncio.to_thread(explain_stored, alert.reason, alert.probability, alert.material)


def located(places: Places, scans: Iterable[Seen]) -> list[Seen]:
    """Return scans that have a position and no city with the city that holds it; the first answer reads the map."""
    return [
        scan.model_copy(update={"city": places.city_at(scan.lon, scan.lat)})
        if scan.city is None and scan.lon is not None and scan.lat is not None
        else scan
        for scan in scans
    ]


async def evidence(database: Database, brand: str, number: int) -> list[Evidence]:
    """Return the scans that an alert rests on, oldest first."""
    return await database.many("alert_evidence", Evidence, {"brand": brand, "id": number})


async def journeys(
    database: Database, brand: str, scans: list[Evidence], alerts: Iterable[Alert] = ()
) -> list[Journey]:
    """Return the journey of every case among the scans, in the order in which the cases were first seen.

    Cases that alerts name without a scan, such as those bound to another dealer by hand, come behind.
    """
    named = [str(each.get("case")) for alert in alerts for each in alert.contributions if each.get("case")]
    cases = list(dict.fromkeys([*(scan.case_unit for scan in scans), *named]))
    units = sorted({unit for scan in scans for unit in (scan.unit, scan.case_unit)}.union(cases))
    found = {case: Journey(case_unit=case, events=[], scans=[]) for case in cases}
    for event in await database.many("custody", CustodyEvent, {"brand": brand, "units": units}):
        for journey in {unit: found[unit] for unit in (event.unit, event.parent) if unit in found}.values():
            journey.events.append(event)
    for scan in scans:
        found[scan.case_unit].scans.append(scan)
    return list(found.values())


async def territory(database: Database, brand: str, dealer: str, scans: Iterable[Evidence]) -> list[str]:
    """Return the divisions where a dealer may sell, by the version the scans were judged with."""
    versions = sorted({scan.territory for scan in scans if scan.territory is not None})
    found = await database.one("territory", Territory, {"brand": brand, "dealer": dealer, "versions": versions})
    return found.adcodes if found else []


async def acknowledge(database: Database, session: Session, number: int) -> None:
    """Take an open alert on. Raises NotFoundError or StateConflictError."""
    wanted = {"brand": session.brand, "id": number, "login": session.login}
    if not await database.change("acknowledge_alert", wanted, _news("alert", session, number)):
        found = await alert(database, session.brand, number)
        raise StateConflictError(f"alert {number} is {found.state}", advice=_RELOAD)


async def close(database: Database, session: Session, number: int, outcome: Outcome) -> None:
    """Close an alert with its outcome. Raises NotFoundError or StateConflictError."""
    wanted = {"brand": session.brand, "id": number, "login": session.login, "outcome": outcome}
    if not await database.change("close_alert", wanted, _news("alert", session, number)):
        await alert(database, session.brand, number)
        raise StateConflictError(f"alert {number} is closed", advice=_RELOAD)


async def counts(database: Database, query: str, brand: str) -> dict[str, int]:
    """Return how many rows are in each state; `query` is alert_counts or proposal_counts."""
    return {row.state: row.number for row in await database.many(query, Count, {"brand": brand})}


async def news(database: Database, query: str, brand: str, state: str, seen: tuple[int, datetime]) -> News:
    """Return what changed since a list was shown: `seen` is its newest id and time."""
    wanted = {"brand": brand, "state": state, "after": seen[0], "since": seen[1]}
    found = await database.one(query, News, wanted)
    return found or News(fresh=0, changed=0)


class StockPage(NamedTuple):
    """Part of the stock by site and product; `after` asks for the next part, None at the end."""

    rows: list[Stock]
    after: str | None


async def stock(database: Database, brand: str, site: str | None, after: str | None, limit: int) -> StockPage:
    """Return the stock of every product at one site or all, in the order of their names, from `SITE/GTIN` on."""
    after_site, _, after_gtin = (after or "").partition("/")
    cursor = {"after_site": after_site or None, "after_gtin": after_gtin, "limit": limit + 1}
    rows = await database.many("stock", Stock, {"brand": brand, "site": site, "gtin": None, **cursor})
    last = rows[limit - 1] if len(rows) > limit else None
    return StockPage(rows[:limit], f"{last.site}/{last.gtin}" if last else None)


async def urgent_stock(database: Database, brand: str, limit: int) -> tuple[list[Stock], int]:
    """Return what a page can show, by name where all fits, and how many rows there are besides."""
    found = await stock(database, brand, None, None, limit)
    if found.after is None:
        return found.rows, 0
    number = await database.one("stock_count", _Number, {"brand": brand})
    rows = await database.many("stock_urgent", Stock, {"brand": brand, "limit": limit})
    return sorted(rows, key=lambda row: (not row.low, row.certainty)), (number.number if number else 0) - limit


class _Number(Model):
    number: int


async def proposals(database: Database, brand: str, state: ProposalState | None, before: int | None) -> Slice[Proposal]:
    """Return proposals in a state, all of them for None."""
    wanted = {"brand": brand, "state": state, "before": before, "id": None, "limit": PAGE_SIZE + 1}
    return _slice(await database.many("proposals", Proposal, wanted))


async def all_proposals(database: Database, brand: str, state: ProposalState | None) -> list[Proposal]:
    """Return up to 10,000 proposals in a state, newest first."""
    wanted = {"brand": brand, "state": state, "before": None, "id": None, "limit": _MOST_EXPORTED}
    return await database.many("proposals", Proposal, wanted)


async def proposal(database: Database, brand: str, number: int) -> Proposal:
    """Return one proposal. Raises NotFoundError."""
    wanted = {"brand": brand, "state": None, "before": None, "id": number, "limit": 1}
    found = await database.one("proposals", Proposal, wanted)
    if found is None:
        raise NotFoundError(f"no proposal {number}")
    return found


async def decide(database: Database, session: Session, number: int, state: ProposalState, told: Override) -> Proposal:
    """Approve or reject an open proposal and return it.

    Raises NotFoundError, StateConflictError, or ProposalChangedError where another quantity is proposed than was seen.
    """
    wanted = {"brand": session.brand, "id": number, "login": session.login, "state": state, **told._asdict()}
    changed = await database.change("decide_proposal", wanted, _news("proposal", session, number))
    found = await proposal(database, session.brand, number)
    if not changed and found.state == "open":
        raise ProposalChangedError(f"proposal {number} is for {found.quantity} by now", advice="Look at it again.")
    if not changed:
        raise StateConflictError(f"proposal {number} is {found.state}", advice=_RELOAD)
    return found


async def devices(database: Database, brand: str) -> list[Device]:
    """Return the devices that work for a brand."""
    return await database.many("devices", Device, {"brand": brand})


async def scan(database: Database, brand: str, message: tuple[str, UUID, int]) -> Scan:
    """Return a scan as it landed, by device, boot and sequence number. Raises NotFoundError."""
    device, boot, seq = message
    wanted = {"brand": brand, "device": device, "boot": boot, "seq": seq}
    found = await database.one("scan", Scan, wanted)
    if found is None:
        raise NotFoundError(f"no scan {device}/{boot}/{seq}")
    return found


def _slice(rows: list[Row]) -> Slice[Row]:
    more = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    return Slice(rows, rows[-1].id if more else None)


def _news(kind: str, session: Session, number: int) -> dict[str, object]:
    return {"kind": kind, "brand": session.brand, "id": number}
