"""The geofence for programs: one position, many as GeoJSON, and one explained on a map."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

import numpy as np
import shapely
from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from geofence.errors import GeofenceError, TerritoryError
from geofence.evidence import Evidence, GpsEvidence, IpCityEvidence, SiteEvidence
from geofence.finding import Finding
from geofence.geometry.metric import metres_per_degree
from geofence.geometry.polygons import read_features
from geofence.territory import Query
from geofence.verdicts.check import check, check_many
from trace_service.api.check import Spot
from trace_service.api.territories import GEOJSON
from trace_service.domain.territories import BrandBook
from trace_service.store.rows import recordset
from trace_service.territories.access import Actor, ShelfOf, actor, body_of
from trace_service.territories.shown import feature_of
from trace_service.web.errors import InvalidParameterError

router = APIRouter(tags=["geofence"], prefix="/geofence")
LARGEST_BATCH: Final = 10_000
_LARGEST_BODY: Final = 8 * 1024 * 1024
_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
# How much around a position its map shows, in degrees; and how coarse the territory is drawn there.
_AROUND: Final = 0.5
_RINGS: Final = 64

Asker = Annotated[Actor, Depends(actor("check"))]


class Asked(BaseModel):
    """Whose goods were seen, when, and as known when; now by default."""

    model_config = ConfigDict(extra="forbid")

    dealer: Annotated[str, Field(pattern=_NAME)]
    channel: Annotated[str, Field(pattern=_NAME)] = "retail"
    product_line: Annotated[str | None, Field(min_length=1, max_length=100)] = None
    at: AwareDatetime | None = None
    known_at: AwareDatetime | None = None

    def query(self, now: datetime) -> Query:
        """Return it as the geofence takes it."""
        return Query(self.dealer, self.at or now, self.known_at or now, self.channel, self.product_line)


class Question(Asked):
    """One position, or the division that a network address was attributed to; neither is `no_location`."""

    position: Spot | None = None
    ip_city: Annotated[str | None, Field(pattern=r"^[0-9]{6}$")] = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.position is not None and self.ip_city is not None:
            raise ValueError("give a position or ip_city, not both")
        return self

    def evidence(self) -> Evidence | None:
        """Return what is known of the place."""
        if self.ip_city is not None:
            return IpCityEvidence(self.ip_city)
        return None if self.position is None else _evidence(self.position)


class Point(Asked):
    """The properties of a feature of a batch; its geometry is the position."""

    accuracy_m: Annotated[float | None, Field(ge=0, le=1_000_000, allow_inf_nan=False)] = None
    platform: str = "android"
    crs: str = "wgs84"


class Answer(BaseModel):
    """The verdict, what it rests on, and who may sell there."""

    verdict: str
    p_inside: float | None
    sigma_m: float | None
    signed_distance_m: float | None
    evidence: str
    owner_atom: str | None
    territory: int | None
    territory_sha256: str | None
    legal_dealers: list[str]
    nearest_legal: dict[str, Any] | None
    reasons: list[dict[str, Any]]
    map_version: str


class Explanation(Answer):
    """The answer with a map of it: the position, its error disc, and the territories around, as GeoJSON."""

    map: dict[str, Any]


@router.post("/check")
async def check_one(asker: Asker, shelf: ShelfOf, question: Question) -> Answer:
    """Ask whether a dealer's goods may be where they were seen."""

    def work() -> Answer:
        book = shelf.book(asker.brand)
        return Answer(**_answer(book, _checked(book, question)))

    return await run_in_threadpool(work)


@router.post("/explain")
async def explain(asker: Asker, shelf: ShelfOf, question: Question) -> Explanation:
    """Ask the same, with a map of the answer."""

    def work() -> Explanation:
        book = shelf.book(asker.brand)
        finding = _checked(book, question)
        return Explanation(**_answer(book, finding), map=_map(book, finding, question))

    return await run_in_threadpool(work)


@router.post("/check/batch", response_class=Response, responses={200: {"content": {GEOJSON: {}}}})
async def check_batch(request: Request, asker: Asker, shelf: ShelfOf) -> Response:
    """Judge a FeatureCollection of points; each has `dealer` and the like in its properties.

    The same features come back with the answer in their properties, or with `error` where one could not be judged.
    """
    content = await body_of(request, _LARGEST_BODY)
    return Response(await run_in_threadpool(lambda: _batch(shelf.book(asker.brand), content)), media_type=GEOJSON)


def _batch(book: BrandBook, content: bytes) -> str:
    try:
        features = read_features(content, _LARGEST_BODY)
    except TerritoryError as error:
        raise InvalidParameterError(str(error), advice=error.advice) from error
    if not 0 < len(features) <= LARGEST_BATCH:
        raise InvalidParameterError(f"{len(features)} features", advice=f"Between 1 and {LARGEST_BATCH:,}.")
    now = datetime.now(UTC)
    answers: list[dict[str, Any]] = []
    asked: list[tuple[Query, Evidence | None]] = []
    places: list[int] = []
    for number, feature in enumerate(features):
        try:
            asked.append(_asked(feature, now))
            places.append(number)
            answers.append({})
        except (ValidationError, GeofenceError, ValueError) as error:
            answers.append({"error": _said(error)})
    for number, finding in zip(places, check_many(book.territories, asked), strict=True):
        answers[number] = _answer(book, finding)
    found = [_answered(feature, answer) for feature, answer in zip(features, answers, strict=True)]
    return recordset([{"type": "FeatureCollection", "features": found}])[1:-1]


def _asked(feature: Any, now: datetime) -> tuple[Query, Evidence | None]:  # noqa: ANN401  whatever a file holds
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise ValueError("no Feature")
    properties = feature.get("properties")
    point = Point.model_validate(properties if isinstance(properties, dict) else {})
    geometry = feature.get("geometry")
    if geometry is None:
        return point.query(now), None
    coordinates = (
        geometry.get("coordinates") if isinstance(geometry, dict) and geometry.get("type") == "Point" else None
    )
    if not isinstance(coordinates, Sequence) or isinstance(coordinates, str) or len(coordinates) not in (2, 3):
        raise ValueError("no Point with two coordinates")
    given = {"accuracy_m": point.accuracy_m, "platform": point.platform, "crs": point.crs}
    return point.query(now), _evidence(Spot.model_validate({"lon": coordinates[0], "lat": coordinates[1], **given}))


def _said(error: Exception) -> str:
    """Say what is wrong with a row in one line; what was sent is not repeated."""
    if isinstance(error, ValidationError):
        return "; ".join(".".join(map(str, each["loc"])) + f": {each['msg']}" for each in error.errors()[:5])
    return f"{error} {getattr(error, 'advice', '')}".strip()


def _answered(feature: Any, answer: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401  likewise
    whole = feature if isinstance(feature, dict) else {}
    properties = whole.get("properties")
    kept = properties if isinstance(properties, dict) else {}
    named = {"id": whole["id"]} if isinstance(whole.get("id"), str | int) else {}
    return {"type": "Feature", **named, "geometry": whole.get("geometry"), "properties": kept | answer}


def _checked(book: BrandBook, question: Question) -> Finding:
    try:
        return check(book.territories, question.query(datetime.now(UTC)), question.evidence())
    except GeofenceError as error:
        raise InvalidParameterError(str(error), advice=error.advice) from error


def _evidence(spot: Spot) -> Evidence:
    if spot.accuracy_m is None and spot.crs == "wgs84":
        return SiteEvidence("", spot.lon, spot.lat)
    return GpsEvidence(spot.lon, spot.lat, spot.accuracy_m or 0.0, spot.platform, spot.crs)


def _answer(book: BrandBook, finding: Finding) -> dict[str, Any]:
    version = finding.territory_version
    return {
        "verdict": finding.verdict.value, "p_inside": _finite(finding.p_inside), "sigma_m": _finite(finding.sigma_m),
        "signed_distance_m": _finite(finding.signed_distance_m), "evidence": finding.evidence.value,
        "owner_atom": finding.owner_atom, "legal_dealers": list(finding.legal_dealers),
        "territory": book.version_ids.get(version.sha256) if version else None,
        "territory_sha256": version.sha256 if version else None, "nearest_legal": book.nearest_legal(finding),
        "reasons": [{"code": each.code.value, "parameters": dict(each.parameters)} for each in finding.reasons],
        "map_version": finding.map_version,
    }  # fmt: skip


def _map(book: BrandBook, finding: Finding, question: Question) -> dict[str, Any]:
    """Return the position, its one- and two-sigma discs, and the territories around it, cut to half a degree."""
    features: list[dict[str, Any]] = []
    place = finding.place
    window = shapely.box(-180, -90, 180, 90)
    if place is not None:
        spot = {"type": "Point", "coordinates": [place.lon, place.lat]}
        features.append({"type": "Feature", "geometry": spot, "properties": {"role": "position"}})
        window = shapely.box(place.lon - _AROUND, place.lat - _AROUND, place.lon + _AROUND, place.lat + _AROUND)
        for sigmas in (1, 2):
            radius = sigmas * (finding.sigma_m or 0.0) or place.radius_m
            if radius:
                ring = {"type": "Polygon", "coordinates": [_ring(place.lon, place.lat, radius)]}
                told = {"role": "error", "sigmas": sigmas, "radius_m": radius}
                features.append({"type": "Feature", "geometry": ring, "properties": told})
    own = finding.territory_version
    query = question.query(datetime.now(UTC))
    shown = [own] if own else []
    shown += [each for each in book.territories.all_in_force(query) if each.dealer in finding.legal_dealers]
    for each in {version.sha256: version for version in shown}.values():
        feature = feature_of(each, book.territories.atoms, book.version_ids.get(each.sha256))
        if feature["geometry"] is not None:
            cut = shapely.intersection(shapely.from_geojson(json.dumps(feature["geometry"])), window)
            feature["geometry"] = None if cut.is_empty else json.loads(shapely.to_geojson(cut))
        feature["properties"]["role"] = "territory" if each is own else "legal"
        features.append(feature)
    return {"type": "FeatureCollection", "features": features}


def _ring(lon: float, lat: float, radius_m: float) -> list[list[float]]:
    east, north = metres_per_degree(np.array(lat))
    angles = np.linspace(0, 2 * np.pi, _RINGS + 1)
    points = np.stack([lon + np.cos(angles) * radius_m / east, lat + np.sin(angles) * radius_m / north], axis=1)
    points[-1] = points[0]
    ring: list[list[float]] = points.round(7).tolist()
    return ring


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
