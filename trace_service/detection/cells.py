"""Dealer × city cells: recomputed whole whenever a verdict in them changed, and turned into alerts or taken back.

A dealer's cells are weighed under one lock, since how much of the dealer's goods was seen anywhere counts in each.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple

from trace_service.detection.drip import (
    LEAST_CASES,
    THRESHOLD_NATS,
    UNKNOWN_POPULATION,
    WINDOW,
    City,
    Hit,
    Score,
    Trade,
    flow_shares,
    weigh_city,
)
from trace_service.domain.territories import BrandBook
from trace_service.places import load_places
from trace_service.store.connection import Connection, one
from trace_service.store.locks import lock
from trace_service.store.queries import SQL
from trace_service.store.rows import recordset

Row = Any


class Cell(NamedTuple):
    """A dealer whose located scans changed."""

    brand: str
    dealer: str


class _Finding(NamedTuple):
    """One city's score, and the alert on it that is not closed yet."""

    cell: Cell
    city: str
    score: Score | None
    alert: Row | None


def weigh(connection: Connection, books: Mapping[str, BrandBook], cells: Collection[Cell]) -> set[tuple[str, str]]:
    """Weigh every city of the given dealers; return what the console should be told, as (kind, brand)."""
    if not cells:
        return set()
    lock(connection, {f"cell {cell.brand} {cell.dealer}" for cell in cells})
    suspicious = connection.execute(SQL["suspicious_dealers"], {**_columns(cells), "least": LEAST_CASES}).fetchall()
    if not suspicious:
        return set()
    dealers = [Cell(row.brand, row.dealer) for row in suspicious]
    told = set()
    for finding in _findings(connection, books, dealers):
        if _settle(connection, finding):
            told.add(("alert", finding.cell.brand))
    return told


def _columns(cells: Iterable[Cell]) -> dict[str, Any]:
    ordered = sorted(cells)
    return {"brands": [cell.brand for cell in ordered], "dealers": [cell.dealer for cell in ordered]}


def _findings(connection: Connection, books: Mapping[str, BrandBook], dealers: list[Cell]) -> Iterator[_Finding]:
    # Held until the end: an alert that a person closes meanwhile would be changed after the fact, or raised again.
    alerts = {
        (Cell(row.brand, row.dealer), row.city): row
        for row in connection.execute(SQL["open_alerts"], _columns(dealers))
    }
    hits: dict[Cell, list[Hit]] = defaultdict(list)
    cities: dict[tuple[Cell, str], list[Hit]] = defaultdict(list)
    for row in connection.execute(SQL["hits"], _columns(dealers)):
        cell, hit = Cell(row.brand, row.dealer), Hit(row.first_at, row.case_unit, row.shipment)
        hits[cell].append(hit)
        if row.outside:
            cities[cell, row.city].append(hit)
    busy = {place for place, found in cities.items() if len(found) >= LEAST_CASES}
    trades = {cell: Trade(found) for cell, found in hits.items()}
    for cell, city in sorted(busy | alerts.keys()):
        score = None
        if (here := cities[cell, city]) and len(here) >= LEAST_CASES:
            share = _share(connection, books[cell.brand], cell, city, max(here).at)
            score = weigh_city(here, trades[cell], share)
        yield _Finding(cell, city, score, alerts.get((cell, city)))


def _share(connection: Connection, book: BrandBook, cell: Cell, city: str, moment: datetime) -> float:
    """Return the share of the dealer's goods that honest customers carry to a city; at `moment` it was foreign."""
    home = book.home(cell.dealer, moment)
    atoms = book.territories.atoms
    foreign = {}
    for place in load_places():
        own = home and set(atoms.counties_of(place.adcode)) <= home[0]
        if place.adcode == city or not own:
            foreign[place.adcode] = City(place.lon, place.lat, place.population)
    if city not in foreign:
        middle = one(connection, SQL["city_middle"], {**cell._asdict(), "city": city})
        foreign[city] = City(middle.lon, middle.lat, UNKNOWN_POPULATION)
    here = foreign[city]
    return flow_shares(home[1] if home else (here.lon, here.lat), foreign)[city]


def _settle(connection: Connection, finding: _Finding) -> bool:
    """Raise, update or take back one alert; return whether anything changed."""
    cell, city, score, alert = finding
    if score is None or not score.alarming:
        if alert is None:
            return False
        remains = round(score.llr, 2) if score else None
        note = recordset([{"retracted_llr": remains}])[1:-1]
        connection.execute(SQL["withdraw_evidence"], {"alert": alert.id, "rows": "[]"})
        connection.execute(SQL["retract_alert"], {"id": alert.id, "note": note})
        return True
    query = {**cell._asdict(), "city": city, "cases": sorted(score.cases)}
    evidence = connection.execute(SQL["evidence_of_cases"], query).fetchall()
    reason = {"code": "drip", "parameters": _parameters(cell, city, score, evidence)}
    figures = {"cases": len(score.cases), "scans": len(evidence), "reason": recordset([reason])[1:-1]}
    if alert is None:
        (number,) = one(connection, SQL["insert_alert"], {**cell._asdict(), "city": city, **figures})
    elif (alert.cases, alert.scans, alert.reason) == (figures["cases"], figures["scans"], reason):
        return False
    else:
        number = alert.id
        connection.execute(SQL["update_alert"], {"id": number, **figures})
    rows = recordset(
        {key: getattr(row, key) for key in ("device", "boot", "seq", "unit", "case_unit")} for row in evidence
    )
    connection.execute(SQL["withdraw_evidence"], {"alert": number, "rows": rows})
    connection.execute(SQL["insert_evidence"], {"alert": number, "rows": rows})
    return True


def _parameters(cell: Cell, city: str, score: Score, evidence: list[Row]) -> dict[str, Any]:
    nearest = [
        reason["parameters"]["dealer"]
        for row in evidence
        for reason in row.reasons
        if reason["code"] == "nearest_legal"
    ]
    distances = [row.signed_distance_m for row in evidence if row.signed_distance_m is not None]
    return {
        "cases": len(score.cases),
        "scans": len(evidence),
        "items": len({row.unit for row in evidence}),
        "seen": score.seen,
        "expected": round(score.expected, 3),
        "llr": round(score.llr, 2),
        "threshold": THRESHOLD_NATS,
        "window_days": WINDOW.days,
        "first_seen": evidence[0].occurred_at.isoformat(),
        "last_seen": evidence[-1].occurred_at.isoformat(),
        "dealer": cell.dealer,
        "city": city,
        "nearest_legal": nearest[-1] if nearest else None,
        "distance_m": round(median(distances)) if distances else None,
        "shipments": sorted({row.shipment for row in evidence if row.shipment}),
    }
