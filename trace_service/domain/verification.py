"""One verdict on one scan, from what its code is, who holds the unit, and where it was seen."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, Final, TypeAlias

from contracts.messages import Activity
from contracts.messages import Platform as Origin
from geofence.coordinates import Crs
from geofence.evidence import Evidence, GpsEvidence, Platform, SiteEvidence
from geofence.finding import Finding
from geofence.maps import AtomMap, Level
from geofence.verdicts.check import check_many
from trace_service.domain.custody import Custody
from trace_service.domain.events import LOGISTIC_PREFIX, CustodyState, Refusal, Site, Source, Step
from trace_service.domain.territories import BrandBook

STEPS: Final[Mapping[str, Step]] = {
    Activity.COMMISSION: Step.COMMISSION,
    Activity.PACK: Step.PACK,
    Activity.SHIP: Step.SHIP,
    Activity.RECEIVE: Step.RECEIVE,
    Activity.SELL: Step.SELL,
    Activity.INSPECT: Step.INSPECT,
}
# What happens at a brand's own lines and docks says nothing about where goods are sold.
NOT_JUDGED: Final = frozenset({Activity.COMMISSION, Activity.PACK, Activity.SHIP})
# Wider than a city: such a position comes from a network address, and that alone never accuses anybody.
WIDEST_ACCURACY_M: Final = 50_000.0
_REFUSED_STATES: Final = {
    Refusal.ALREADY_SHIPPED: CustodyState.ALREADY_SHIPPED,
    Refusal.UNKNOWN_DEALER: CustodyState.UNKNOWN_DEALER,
}


class CodeState(StrEnum):
    """What a scanned text is. Outward, every failure of an item code is one and the same: unknown."""

    GENUINE = "genuine"
    UNKNOWN = "unknown"
    NOT_COMMISSIONED = "not_commissioned"
    MALFORMED = "malformed"
    FOREIGN = "foreign"
    LOGISTIC = "logistic"

    @property
    def accepted(self) -> bool:
        """Whether the unit may take part in custody."""
        return self in {CodeState.GENUINE, CodeState.LOGISTIC}


@dataclass(frozen=True, slots=True)
class Code:
    """A scanned code after verification; `unit` is empty where the text names no single unit.

    `reduced` where a genuine code can no longer be decrypted, because its key was killed after custody knew the unit.
    `lot` and `expires` are those of its batch.
    """

    state: CodeState
    unit: str = ""
    gtin: str = ""
    brand: str | None = None
    reduced: bool = False
    lot: str | None = None
    expires: date | None = None


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """One scan as it landed; position in degrees of the named system, accuracy in metres."""

    source: Source
    occurred_at: datetime
    site: str
    code: str
    activity: str
    lon: float | None
    lat: float | None
    accuracy_m: float | None
    platform: str | None
    crs: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one scan; the columns of trace.verdict. Positions are WGS-84."""

    device: str
    boot: str
    seq: int
    code: str
    unit: str
    gtin: str
    case_unit: str
    activity: str
    occurred_at: datetime
    code_state: str
    custody_state: str = CustodyState.NONE.value
    place: str = "not_checked"
    brand: str | None = None
    p_inside: float | None = None
    signed_distance_m: float | None = None
    lon: float | None = None
    lat: float | None = None
    accuracy_m: float | None = None
    city: str | None = None
    dealer: str | None = None
    shipment: str | None = None
    territory: int | None = None
    map_version: str | None = None
    reasons: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """What a verdict is decided against: custody, sites, the territories of each brand, and the present moment."""

    custody: Custody
    sites: Mapping[str, Site]
    books: Mapping[str, BrandBook]
    brand_of_dealer: Mapping[str, str]
    now: datetime


Asked: TypeAlias = tuple[ScanFacts, Code, Refusal | None]


def decide_all(asked: Iterable[Asked], world: World) -> list[Verdict]:
    """Return the verdicts on scans in their order; a refusal is the rule of custody that a scan broke as an event."""
    drafts = [_draft(*each, world) for each in asked]
    # 4. Those with a right place: are they there? All of a brand's at once.
    by_brand: dict[str, list[_Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.dealer is not None:
            by_brand[draft.fields["brand"]].append(draft)
    for brand, some in by_brand.items():
        _place(some, world.books[brand], world)
    reduced = _reason("reduced_assurance")
    return [Verdict(**each.fields, reasons=each.reasons + (reduced if each.code.reduced else ())) for each in drafts]


@dataclass(slots=True)
class _Draft:
    """A verdict on its way; `dealer` where the place is still to be judged."""

    scan: ScanFacts
    code: Code
    fields: dict[str, Any]
    reasons: tuple[dict[str, Any], ...] = ()
    dealer: str | None = None


def _draft(scan: ScanFacts, code: Code, refusal: Refusal | None, world: World) -> _Draft:
    fields = _facts(scan, code, world.custody)
    # 1. A code that nobody issued has no custody.
    if not code.state.accepted:
        state = CustodyState.NONE if refusal is None else CustodyState.QUARANTINED
        return _Draft(scan, code, fields | {"custody_state": state.value}, _reason(f"code_{code.state}"))
    # 2. Who is entitled to the unit at the time of the scan? While it is being made nobody, never another brand.
    made = scan.activity in {Activity.COMMISSION, Activity.PACK}
    holder = None if made else world.custody.entitled_at(code.unit, scan.occurred_at)
    dealer = holder.dealer if holder else None
    if dealer and holder:
        brand = world.brand_of_dealer.get(dealer)
        if brand == (code.brand or brand):
            fields |= {"dealer": dealer, "shipment": holder.shipment, "brand": brand}
        else:
            dealer = None
    state = _custody_state(scan, code, refusal, world, entitled=dealer is not None)
    fields["custody_state"] = state.value
    # 3. Only what somebody is entitled to, and what was seen outside the brand's own lines, has a right place.
    # Where the papers are wrong, the goods are still where they were seen.
    known = refusal is not Refusal.UNKNOWN_SITE and (fields["brand"] or "") in world.books
    if dealer is None or not known or scan.activity in NOT_JUDGED or _at_home(scan, world):
        return _Draft(scan, code, fields, () if state is CustodyState.OK else _reason(f"custody_{state}"))
    return _Draft(scan, code, fields, dealer=dealer)


def _facts(scan: ScanFacts, code: Code, custody: Custody) -> dict[str, Any]:
    case_unit = code.unit
    if code.unit and not code.unit.startswith(LOGISTIC_PREFIX):
        case_unit = custody.parent_at(code.unit, scan.occurred_at) or code.unit
    return {
        "device": scan.source.device,
        "boot": str(scan.source.boot),
        "seq": scan.source.seq,
        "code": scan.code,
        "unit": code.unit,
        "gtin": code.gtin,
        "case_unit": case_unit,
        "activity": scan.activity,
        "occurred_at": scan.occurred_at,
        "code_state": code.state.value,
        "brand": code.brand,
        "accuracy_m": scan.accuracy_m,
    }


def _reason(code: str) -> tuple[dict[str, Any], ...]:
    return ({"code": code, "parameters": {}},)


def _custody_state(
    scan: ScanFacts, code: Code, refusal: Refusal | None, world: World, *, entitled: bool
) -> CustodyState:
    if refusal:
        return _REFUSED_STATES.get(refusal, CustodyState.QUARANTINED)
    is_logistic = code.state is CodeState.LOGISTIC
    if scan.activity == Activity.SHIP:
        empty = is_logistic and not world.custody.has_contents(code.unit)
        return CustodyState.NOT_PACKED if empty else CustodyState.OK
    if entitled or scan.activity in NOT_JUDGED:
        return CustodyState.OK
    packed = world.custody.parent_at(code.unit, scan.occurred_at) is not None
    return CustodyState.UNBOUND if packed or is_logistic else CustodyState.NOT_PACKED


def _at_home(scan: ScanFacts, world: World) -> bool:
    site = world.sites.get(scan.site)
    return scan.lon is None and site is not None and site.home


def _place(drafts: Sequence[_Draft], book: BrandBook, world: World) -> None:
    """Enter where each scan was and what that means."""
    asked = [
        (
            book.query(each.dealer or "", each.code.gtin, each.scan.occurred_at, world.now),
            _evidence(each.scan, world.sites.get(each.scan.site)),
        )
        for each in drafts
    ]
    for draft, finding in zip(drafts, check_many(book.territories, asked, book.policy), strict=True):
        reasons = [{"code": each.code.value, "parameters": each.parameters} for each in finding.reasons]
        nearest = book.nearest_legal(finding)
        if nearest:
            reasons.append({"code": "nearest_legal", "parameters": nearest})
        version, place = finding.territory_version, finding.place
        draft.reasons = tuple(reasons)
        draft.fields |= {
            "place": finding.verdict.value,
            "p_inside": _finite(finding.p_inside),
            "signed_distance_m": _finite(finding.signed_distance_m),
            "lon": place.lon if place else None,
            "lat": place.lat if place else None,
            "city": _city(finding, book.territories.atoms),
            "territory": book.version_ids.get(version.sha256) if version else None,
            "map_version": finding.map_version,
        }


def _evidence(scan: ScanFacts, site: Site | None) -> Evidence | None:
    if scan.lon is not None and scan.lat is not None:
        if (scan.accuracy_m or 0.0) > WIDEST_ACCURACY_M or scan.platform == Origin.ADDRESS:
            return None
        platform = Platform(scan.platform or Platform.WEB)
        return GpsEvidence(scan.lon, scan.lat, scan.accuracy_m or 0.0, platform, Crs(scan.crs or Crs.WGS84))
    if site and site.position:
        return SiteEvidence(site.id, *site.position)
    return None


def _city(finding: Finding, atoms: AtomMap) -> str | None:
    if finding.owner_atom is None:
        return None
    record = atoms.record(finding.owner_atom)
    # A city without counties is its own county, a municipality its own city.
    return record.parent if record.level is Level.COUNTY and record.parent else record.adcode


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and isfinite(value) else None
