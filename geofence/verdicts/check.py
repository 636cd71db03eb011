"""May this be here? Judges the level state of each scan: where it is, not whether it crossed anything."""

from collections.abc import Iterable, Sequence
from itertools import starmap
from math import inf, isnan
from typing import NamedTuple

from geofence.evidence import CellEvidence, Evidence, EvidenceKind, IpCityEvidence, SiteEvidence
from geofence.finding import DEFAULT_POLICY, Finding, NearestLegal, Place, Policy, Reason, ReasonCode, Verdict
from geofence.maps.atoms import Level
from geofence.territory import Query, TerritoryBook
from geofence.verdicts.city import check_city
from geofence.verdicts.columns import NONE, VERDICTS, Judged
from geofence.verdicts.judging import judge
from geofence.verdicts.legal import Legal, legal
from geofence.verdicts.placing import Spot, places_of, scans_of


def check(book: TerritoryBook, query: Query, evidence: Evidence | None, policy: Policy = DEFAULT_POLICY) -> Finding:
    """Judge one scan of goods bound to `query.dealer`.

    Raises UnknownAdcodeError for a network address attributed to a division that the map does not know.
    """
    if isinstance(evidence, IpCityEvidence):
        book.atoms.record(evidence.adcode)
    (found,) = check_many(book, [(query, evidence)], policy)
    return found


def check_many(
    book: TerritoryBook, scans: Iterable[tuple[Query, Evidence | None]], policy: Policy = DEFAULT_POLICY
) -> list[Finding]:
    """Judge many scans, one finding each and in their order, the same as one by one.

    A network address in a division that the map does not know is `uncertain`, with the reason `unknown_division`.
    """
    asked = list(scans)
    found: list[Finding | None] = [None] * len(asked)
    spots: list[tuple[int, Query, Spot]] = []
    for number, (query, evidence) in enumerate(asked):
        if evidence is None:
            found[number] = _nowhere(book, query, policy)
        elif isinstance(evidence, IpCityEvidence):
            found[number] = check_city(book, query, evidence, policy)
        else:
            spots.append((number, query, evidence))
    if spots:
        queries, evidences = [query for _, query, _ in spots], [evidence for _, _, evidence in spots]
        judged = _at_places(book, queries, evidences, policy)
        for (number, _, _), finding in zip(spots, judged, strict=True):
            found[number] = finding
    return [each for each in found if each is not None]


def _at_places(
    book: TerritoryBook, queries: Sequence[Query], evidences: Sequence[Spot], policy: Policy
) -> Iterable[Finding]:
    places = places_of(book.atoms, evidences)
    scans = scans_of(queries, places)
    judged, others = judge(book, scans, policy), legal(book, scans)
    rows = zip(queries, evidences, places, _rows(judged), _legal_rows(others), strict=True)
    return starmap(_Words(book, policy).finding, rows)


class _Row(NamedTuple):
    verdict: Verdict
    p_inside: float | None
    distance_m: float | None
    version: int
    county: int


def _rows(judged: Judged) -> Iterable[_Row]:
    numbers = zip(judged.p_inside.tolist(), judged.distance_m.tolist(), strict=True)
    known: list[tuple[float | None, float | None]] = [
        (None, None) if isnan(p_inside) else (p_inside, metres) for p_inside, metres in numbers
    ]
    columns = zip(judged.verdict.tolist(), known, judged.version.tolist(), judged.county.tolist(), strict=True)
    return [
        _Row(VERDICTS[code], p_inside, metres, version, county) for code, (p_inside, metres), version, county in columns
    ]


def _legal_rows(found: Legal) -> Iterable[tuple[tuple[str, ...], NearestLegal | None]]:
    starts, dealers = found.starts.tolist(), found.dealers.tolist()
    for number, (nearest, metres) in enumerate(zip(found.nearest.tolist(), found.metres.tolist(), strict=True)):
        here = tuple(found.names[each] for each in dealers[starts[number] : starts[number + 1]])
        yield here, NearestLegal(found.names[nearest], metres) if nearest != NONE else None


class _Words:
    """Puts what was found into coded reasons."""

    def __init__(self, book: TerritoryBook, policy: Policy) -> None:
        self._book = book
        self._policy = policy
        self._counties = book.atoms.records(Level.COUNTY)

    def finding(
        self,
        query: Query,
        evidence: Spot,
        place: Place,
        row: _Row,
        others: tuple[tuple[str, ...], NearestLegal | None],
    ) -> Finding:
        """Return one scan's finding."""
        here, nearest = others
        off_map = () if row.county != NONE else (Reason(ReasonCode.OFF_MAP),)
        kind, known = _known(evidence, place)
        near = _border_reason(query, row, place)
        return Finding(
            verdict=row.verdict,
            evidence=kind,
            map_version=self._book.atoms.version,
            reasons=(*known, *off_map, near, *_owned_by_others(row.verdict, query, here)),
            p_inside=row.p_inside,
            sigma_m=place.sigma_m,
            signed_distance_m=row.distance_m,
            owner_atom=self._counties[row.county].adcode if row.county != NONE else None,
            territory_version=self._book.versions[row.version] if row.version != NONE else None,
            legal_dealers=here,
            nearest_legal=nearest,
            place=place,
            policy=self._policy,
        )


def _known(evidence: Spot, place: Place) -> tuple[EvidenceKind, tuple[Reason, ...]]:
    if isinstance(evidence, SiteEvidence):
        return EvidenceKind.SITE, (Reason(ReasonCode.REGISTERED_SITE, {"site_id": evidence.site_id}),)
    if isinstance(evidence, CellEvidence):
        return EvidenceKind.CELL, (Reason(ReasonCode.CELL_ONLY, {"radius_m": evidence.radius_m}),)
    unknown = (Reason(ReasonCode.CRS_UNKNOWN, {"sigma_m": place.crs_m}),) if evidence.crs is None else ()
    return EvidenceKind.GPS, unknown


def _border_reason(query: Query, row: _Row, place: Place) -> Reason:
    if row.distance_m is None:
        return Reason(ReasonCode.NO_TERRITORY_IN_FORCE, {"dealer": query.dealer})
    metres = abs(row.distance_m)
    if metres == inf:
        return Reason(ReasonCode.EMPTY_TERRITORY, {"dealer": query.dealer})
    if row.verdict is Verdict.UNCERTAIN:
        return Reason(ReasonCode.NEAR_BORDER, {"metres": metres, "sigma_m": place.radius_m or place.sigma_m})
    code = ReasonCode.WELL_INSIDE if row.verdict is Verdict.INSIDE else ReasonCode.WELL_OUTSIDE
    return Reason(code, {"metres": metres})


def _owned_by_others(verdict: Verdict, query: Query, here: tuple[str, ...]) -> tuple[Reason, ...]:
    others = [dealer for dealer in here if dealer != query.dealer]
    if verdict is Verdict.INSIDE or not others:
        return ()
    return (Reason(ReasonCode.OWNED_BY_OTHERS, {"dealers": " ".join(others)}),)


def _nowhere(book: TerritoryBook, query: Query, policy: Policy) -> Finding:
    return Finding(
        verdict=Verdict.NO_LOCATION,
        evidence=EvidenceKind.NONE,
        map_version=book.atoms.version,
        reasons=(Reason(ReasonCode.NO_LOCATION),),
        territory_version=book.in_force(query),
        policy=policy,
    )
