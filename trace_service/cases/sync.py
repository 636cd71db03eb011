"""Alerts into cases, in the transaction that raised or changed them; and cases opened again when their ground moves."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from trace_service.cases.grouping import Choice, Finding, Group, Spot, choose, destinations
from trace_service.cases.history import Step, append
from trace_service.cases.machine import LIVE, State
from trace_service.cases.model import Policy
from trace_service.cases.priority import cold_probability, either
from trace_service.cases.queries import SQL
from trace_service.places import load_places
from trace_service.store.connection import Connection, one
from trace_service.store.locks import lock
from trace_service.store.rows import key_columns

Row = Any
_RETRACTED: Final = "retracted"


def policy_of(connection: Connection, brand: str) -> Policy:
    """Return how a brand works; the defaults where it never said."""
    row = connection.execute(SQL["policy"], {"brand": brand}).fetchone()
    return Policy.model_validate(row) if row else Policy()


def follow_alerts(connection: Connection, brands: Iterable[str]) -> None:
    """Give every alert of these brands that has none a case, and take the figures of changed ones anew.

    The caller holds a transaction in which alerts were written.
    """
    for brand in sorted(set(brands)):
        lock(connection, {f"cases {brand}"})
        policy = policy_of(connection, brand)
        for alert in connection.execute(SQL["loose_alerts"], {"brand": brand}).fetchall():
            _place(connection, brand, alert, policy)
        for (case,) in connection.execute(SQL["stale_cases"], {"brand": brand}).fetchall():
            refresh(connection, brand, case, policy)


def follow_verdicts(connection: Connection, messages: Collection[tuple[str, Any, int]]) -> None:
    """Open closed cases again that rest on scans of which another verdict was written just now."""
    if not messages:
        return
    changed = connection.execute(SQL["changed_evidence"], key_columns(messages)).fetchall()
    for case, brand in sorted(set(changed)):
        _reopen(connection, brand, case, "evidence_retracted", {})


def _place(connection: Connection, brand: str, alert: Row, policy: Policy) -> None:
    spot = _spot(alert.city, alert.lon, alert.lat)
    finding = Finding(spot, _shipments(alert), alert.at)
    groups = _groups(connection, brand, alert.dealer)
    choice = choose(finding, groups)
    said = {"alert": alert.id, "city": alert.city}
    if choice.case is None:
        case = _open(connection, brand, alert.dealer, choice, policy)
        connection.execute(SQL["link_alert"], {"alert": alert.id, "case": case})
        refresh(connection, brand, case, policy)
        append(connection, brand, case, Step("opened", State.OPEN, State.OPEN, detail={**said, "kind": choice.kind}))
        for old in choice.absorbed:
            _absorb(connection, brand, old, case)
        return
    connection.execute(SQL["link_alert"], {"alert": alert.id, "case": choice.case})
    if next(group for group in groups if group.case == choice.case).live:
        state = State(_lock(connection, brand, choice.case).state)
        append(connection, brand, choice.case, Step("alert_joined", state, state, detail=said))
    else:
        _reopen(connection, brand, choice.case, "evidence_added", said)


def _open(connection: Connection, brand: str, dealer: str, choice: Choice, policy: Policy) -> int:
    row = {"brand": brand, "kind": choice.kind, "dealer": dealer, "days": policy.deadline_days}
    return int(one(connection, SQL["open_case"], row).id)


def _absorb(connection: Connection, brand: str, old: int, case: int) -> None:
    found = _lock(connection, brand, old)
    connection.execute(SQL["move_alerts"], {"cases": [old], "into": case})
    _write(connection, found, state=State.MERGED, merged_into=case, proposed_by=None, proposed_outcome=None)
    append(connection, brand, old, Step("merged", State(found.state), State.MERGED, detail={"into": case}))
    append(connection, brand, case, Step("absorbed", State.OPEN, State.OPEN, detail={"case": old}))


def _groups(connection: Connection, brand: str, dealer: str) -> list[Group]:
    spots: dict[int, list[Spot]] = {}
    rows = {}
    for row in connection.execute(SQL["groups"], {"brand": brand, "dealer": dealer}):
        spots.setdefault(row.id, []).append(_spot(row.city, row.lon, row.lat))
        rows[row.id] = row
    return [
        Group(case, row.kind, tuple(spots[case]), frozenset(row.shipments), row.last_at, State(row.state) in LIVE)
        for case, row in rows.items()
    ]


def _spot(city: str, lon: float | None, lat: float | None) -> Spot:
    place = next((each for each in load_places() if each.adcode == city), None)
    if place is not None:
        return Spot(city, (place.lon, place.lat))
    return Spot(city, None if lon is None or lat is None else (lon, lat))


def _shipments(alert: Row) -> frozenset[str]:
    named = alert.reason.get("parameters", {}).get("shipments", ())
    return frozenset(alert.shipments) | {each for each in named if isinstance(each, str)}


def refresh(connection: Connection, brand: str, case: int, policy: Policy) -> None:
    """Take a case's figures anew from its alerts, and end or re-open what they no longer bear."""
    connection.execute(SQL["keep_evidence"], {"case": case})
    alerts = connection.execute(SQL["alerts_of_case"], {"case": case}).fetchall()
    live = [each for each in alerts if each.outcome != _RETRACTED]
    extent = one(connection, SQL["extent"], {"case": case})
    shipments = sorted({*extent.shipments, *(name for each in alerts for name in _named(each))})
    named = _contributions(live)
    remaining, price = _remaining(connection, brand, extent, shipments, named)
    moments = [each["first_at"] for each in named if isinstance(each.get("first_at"), int)]
    probability = either(_probability(each) for each in live)
    figures = {
        "case": case,
        "destinations": destinations(_spot(each.city, None, None) for each in alerts),
        "shipments": shipments,
        "first_seen": extent.first_seen or _moment(min(moments, default=None)),
        "last_seen": extent.last_seen or _moment(max(moments, default=None)),
        "probability": probability,
        "calibrated": bool(live) and all(each.probability is not None for each in live),
        "remaining": remaining,
        "value": round(remaining * price, 2),
        "priority": round(probability * remaining * price * policy.loss_share, 2),
    }
    connection.execute(SQL["write_figures"], figures)
    if alerts and not live:
        _nothing_left(connection, brand, case)


def _named(alert: Row) -> Iterable[str]:
    named = alert.reason.get("parameters", {}).get("shipments", ())
    return [each for each in named if isinstance(each, str)]


def _probability(alert: Row) -> float:
    if alert.probability is not None:
        return float(alert.probability)
    given = alert.reason.get("parameters", {})
    llr, threshold = given.get("llr"), given.get("threshold")
    if not isinstance(llr, int | float) or not isinstance(threshold, int | float):
        return 0.5
    return cold_probability(llr, threshold)


def _contributions(alerts: Iterable[Row]) -> list[dict[str, Any]]:
    found = [each.reason.get("parameters", {}).get("contributions", ()) for each in alerts]
    return [each for several in found for each in several if isinstance(each, dict)]


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _remaining(
    connection: Connection, brand: str, extent: Row, shipments: list[str], named: list[dict[str, Any]]
) -> tuple[int, float]:
    """Return how many items are left, and what one of them costs."""
    # Papers alone, such as a binding that was changed by hand, have no scan whose shipment could be asked for.
    known = extent.shipments or shipments
    cases = [] if known else sorted({str(each["case"]) for each in named if each.get("case")})
    counted = one(connection, SQL["remaining"], {"brand": brand, "shipments": known, "cases": cases})
    price = float(extent.unit_price or counted.unit_price or 0.0)
    if counted.items:
        return int(counted.items) - int(counted.gone), price
    # What is inside was never recorded: the cases seen, as full as the product comes.
    return round(int(extent.cases) * float(extent.items_per_case or 0)), price


def _nothing_left(connection: Connection, brand: str, case: int) -> None:
    """Every alert was taken back: end what nobody has begun with, and tell whoever has."""
    found = _lock(connection, brand, case)
    state = State(found.state)
    if state is State.OPEN:
        now = one(connection, SQL["now"]).at
        _write(connection, found, state=State.CLOSED, outcome=_RETRACTED, closed_at=now)
        append(connection, brand, case, Step("retracted", state, State.CLOSED))
    elif state in LIVE and _last_action(connection, case) != "evidence_retracted":
        _write(connection, found, state=State.INVESTIGATING, proposed_by=None, proposed_outcome=None)
        append(connection, brand, case, Step("evidence_retracted", state, State.INVESTIGATING))


def _last_action(connection: Connection, case: int) -> str:
    entries = connection.execute(SQL["history"], {"case": case}).fetchall()
    return str(entries[-1].action) if entries else ""


def _reopen(connection: Connection, brand: str, case: int, why: str, detail: dict[str, Any]) -> None:
    connection.execute(SQL["lock_alerts"], {"cases": [case]})
    found = _lock(connection, brand, case)
    before = State(found.state)
    connection.execute(SQL["reopen_alerts"], {"case": case, "login": None})
    fresh = {"outcome": None, "closed_at": None, "closed_by": None, "proposed_by": None, "proposed_outcome": None}
    _write(connection, found, state=State.INVESTIGATING, **fresh)
    said = {**detail, "was": found.outcome}
    append(connection, brand, case, Step(why, before, State.INVESTIGATING, detail=said))


def _lock(connection: Connection, brand: str, case: int) -> Row:
    return one(connection, SQL["lock_case"], {"brand": brand, "case": case})


def _write(connection: Connection, found: Row, **changes: object) -> None:
    connection.execute(SQL["write_case"], {**found._asdict(), **changes, "case": found.id})
