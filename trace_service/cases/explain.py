"""What else could be behind a case, held against its scans and custody. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import Any, Final

from trace_service.cases.grouping import distance_km
from trace_service.web.inquiries import Journey
from trace_service.web.models import Alert, Evidence

_ONE_VISIT: Final = timedelta(hours=6)
_ONE_PLACE_KM: Final = 2.0
_BORDER_KM: Final = 15.0
# Three radii: the position would have to be wrong by more than any platform states.
_SURE_RADII: Final = 3.0
_FEW_CASES: Final = 3
# Detectors whose alerts rest on where goods were seen.
_OF_PLACES: Final = frozenset({"drip", "bulk", "province", "collusion", "outflow"})
_PAPERS: Final = frozenset({"transfer_requesting", "transfer_approving", "returning"})
_EXPECTED: Final = ("packing", "shipping", "receiving")


class Bearing(StrEnum):
    """What the evidence says about an innocent explanation."""

    FOR = "for"
    AGAINST = "against"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Explanation:
    """An innocent explanation: a code that the catalogues have words for, what speaks for it, and the figures."""

    code: str
    bearing: Bearing
    figures: dict[str, Any] = field(default_factory=dict)


def held(alerts: Sequence[Alert], scans: Sequence[Evidence], journeys: Sequence[Journey]) -> list[Explanation]:
    """Return what scans and custody say of innocent explanations, those that they support first.

    What the engine considered itself is told by `detection.explaining`; without its material, travel and one buyer
    are held against the figures of the alert.
    """
    codes = {str(alert.reason.get("code", "")) for alert in alerts}
    if not codes & _OF_PLACES:
        return []
    found, papers = [_border(scans), _location(scans)], _papers(journeys)
    if any(alert.material for alert in alerts):
        # That papers may still come is among what the engine considered.
        found += [papers] if papers.bearing is Bearing.FOR else []
    else:
        found = [
            _travellers(alerts),
            _one_buyer(scans),
            *found,
            papers,
            _outage(journeys),
            Explanation("e_commerce", Bearing.OPEN),
        ]
    return sorted(found, key=lambda each: list(Bearing).index(each.bearing) != 0)


def _travellers(alerts: Sequence[Alert]) -> Explanation:
    cases = sum(alert.cases for alert in alerts)
    known = [alert.expected for alert in alerts if alert.expected is not None]
    if not known:
        return Explanation("travellers", Bearing.OPEN)
    bearing = Bearing.OPEN if cases <= _FEW_CASES else Bearing.AGAINST
    return Explanation("travellers", bearing, {"expected": sum(known), "cases": cases})


def _one_buyer(scans: Sequence[Evidence]) -> Explanation:
    points = [(scan.lon, scan.lat) for scan in scans if scan.lon is not None and scan.lat is not None]
    if len(scans) < 2 or not points:  # noqa: PLR2004  one scan says nothing of buyers
        return Explanation("one_buyer", Bearing.OPEN)
    hours = (scans[-1].occurred_at - scans[0].occurred_at).total_seconds() / 3600
    km = max(distance_km(points[0], point) for point in points)
    together = hours <= _ONE_VISIT.total_seconds() / 3600 and km <= _ONE_PLACE_KM
    return Explanation("one_buyer", Bearing.FOR if together else Bearing.AGAINST, {"hours": hours, "km": km})


def _border(scans: Sequence[Evidence]) -> Explanation:
    far = [max(0.0, scan.signed_distance_m) / 1000 for scan in scans if scan.signed_distance_m is not None]
    if not far:
        return Explanation("border", Bearing.OPEN)
    close = median(far) <= _BORDER_KM
    return Explanation("border", Bearing.FOR if close else Bearing.AGAINST, {"km": median(far)})


def _location(scans: Sequence[Evidence]) -> Explanation:
    # A scan without an accuracy was at a registered site, whose position is known.
    known = [scan for scan in scans if scan.signed_distance_m is not None and not scan.by_address]
    sure = sum((scan.signed_distance_m or 0) > _SURE_RADII * (scan.accuracy_m or 0) for scan in known)
    figures = {"sure": sure, "scans": len(scans)}
    return Explanation("location", Bearing.AGAINST if sure * 2 > len(scans) else Bearing.OPEN, figures)


def _papers(journeys: Iterable[Journey]) -> Explanation:
    papers = sum(any(event.biz_step in _PAPERS for event in journey.events) for journey in journeys)
    return Explanation("papers", Bearing.FOR if papers else Bearing.OPEN, {"cases": papers})


def _outage(journeys: Sequence[Journey]) -> Explanation:
    gaps = sum(not {event.biz_step for event in journey.events}.issuperset(_EXPECTED) for journey in journeys)
    bearing = Bearing.AGAINST if journeys and not gaps else Bearing.OPEN
    return Explanation("outage", bearing, {"gaps": gaps, "cases": len(journeys)})


def phones(scans: Iterable[Evidence]) -> dict[str, int]:
    """Return a number for each phone of a consumer, in the order of scans; what a phone is called says who has it."""
    found: dict[str, int] = {}
    for scan in scans:
        if scan.activity == "consumer" and scan.phone:
            found.setdefault(scan.phone, len(found) + 1)
    return found


def per_case(alert: Alert, scans: Iterable[Evidence]) -> list[dict[str, Any]]:
    """Return what each case contributes: its scans, and its nats where the detector says so."""
    given = [each for each in alert.parameters.get("contributions", ()) if isinstance(each, dict)]
    found: dict[str, dict[str, Any]] = {
        each["case"]: {
            "case": each["case"], "scans": 0, "first_at": datetime.fromtimestamp(each["first_at"] / 1000, UTC),
            "last_at": None, "nats": each["nats"], "note": each.get("note", ""),
        }
        for each in given
        if each["case"] and "first_at" in each
    }  # fmt: skip
    for scan in scans:
        row = found.setdefault(
            scan.case_unit,
            {
                "case": scan.case_unit,
                "scans": 0,
                "first_at": scan.occurred_at,
                "nats": None,
                "note": "",
            },
        )
        row["scans"] += 1
        row["last_at"] = scan.occurred_at
    return list(found.values())
