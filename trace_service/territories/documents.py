"""Drafts as people send them: GeoJSON features with properties, or a table of divisions."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import shapely
from msgspec import Struct
from shapely.geometry.base import BaseGeometry

from geofence.errors import TerritoryError
from geofence.geometry.polygons import read_features, read_polygon
from geofence.proposed.remarks import Remark, RemarkCode
from geofence.proposed.reports import Proposal
from geofence.territory import DEFAULT_CHANNEL, TerritoryVersion
from trace_service.channel.problems import FieldError
from trace_service.channel.values import many, moment, yes_or_no
from trace_service.territories.errors import DraftError

LARGEST_DRAFT: Final = 16 * 1024 * 1024
MOST_PROPOSALS: Final = 5_000
MOST_POINTS: Final = 200_000
_DEALER: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_POLYGON: Final = re.compile(r"\s*(MULTI)?POLYGON\b", re.IGNORECASE)
_LONGEST: Final = 100
_HEADINGS: Final = {
    "经销商编号": "dealer", "渠道": "channel", "产品线": "product_line", "授权区域": "adcodes", "独家": "exclusive",
    "生效日期": "valid_from", "失效日期": "valid_to", "区域图形": "wkt",
}  # fmt: skip
_COLUMNS: Final = frozenset(_HEADINGS.values())


class Stated(Struct, frozen=True):
    """One proposal as it was sent: everything that a version states, and the geometry in GeoJSON."""

    where: str
    dealer: str
    valid_from: datetime
    valid_to: datetime | None = None
    channel: str = DEFAULT_CHANNEL
    product_line: str | None = None
    exclusive: bool = True
    adcodes: tuple[str, ...] = ()
    geometry: dict[str, Any] | None = None

    def proposal(self, recorded_at: datetime) -> Proposal:
        """Return it as a version recorded at a moment. Raises TerritoryError."""
        polygon = None if self.geometry is None else _polygon(self.where, self.geometry)
        version = TerritoryVersion(
            dealer=self.dealer, adcodes=self.adcodes, valid_from=self.valid_from, valid_to=self.valid_to,
            recorded_at=recorded_at, channel=self.channel, exclusive=self.exclusive, product_line=self.product_line,
            polygon=polygon,
        )  # fmt: skip
        return Proposal(self.where, version)


def read_draft(content: bytes, name: str = "") -> tuple[list[Stated], list[Remark]]:
    """Return the proposals of a GeoJSON FeatureCollection or CSV table, and a remark for each that is none.

    Raises DraftError for a file that is neither, too large, or holds nothing.
    """
    if len(content) > LARGEST_DRAFT:
        raise DraftError(f"the draft has {len(content):,} bytes", advice=f"At most {LARGEST_DRAFT >> 20} MB.")
    features = _features(content) if content.lstrip()[:1] in (b"{", b"[") else _rows(content, name)
    if not 0 < len(features) <= MOST_PROPOSALS:
        raise DraftError(f"the draft holds {len(features):,} proposals", advice=f"Between 1 and {MOST_PROPOSALS:,}.")
    stated: list[Stated] = []
    remarks: list[Remark] = []
    for where, properties, geometry in features:
        try:
            found = _stated(where, properties, geometry)
            found.proposal(found.valid_from)
            stated.append(found)
        except TerritoryError as error:
            dealer = properties.get("dealer") if isinstance(properties, Mapping) else None
            detail = f"{error} {error.advice}".strip().removeprefix(f"{where} ")
            remarks.append(Remark(code=RemarkCode.UNREADABLE, where=where, dealer=str(dealer or ""), detail=detail))
    return stated, remarks


def _features(content: bytes) -> list[tuple[str, Any, Any]]:
    try:
        features = read_features(content, LARGEST_DRAFT)
    except TerritoryError as error:
        raise DraftError(str(error), advice=error.advice) from error
    found: list[tuple[str, Any, Any]] = []
    for number, each in enumerate(features):
        feature = each if isinstance(each, dict) and each.get("type") == "Feature" else {}
        name = feature.get("id")
        told = isinstance(name, str | int) and str(name).isprintable()
        where = f"feature {number} ({str(name)[:64]})" if told else f"feature {number}"
        found.append((where, feature.get("properties"), feature.get("geometry")))
    return found


def _rows(content: bytes, name: str) -> list[tuple[str, Any, Any]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DraftError(f"{name or 'the table'} is not UTF-8", advice="Save it as CSV in UTF-8.") from error
    table = csv.DictReader(io.StringIO(text, newline=""))
    headings = [_HEADINGS.get(each.strip(), each.strip()) for each in table.fieldnames or ()]
    unknown = [each for each in headings if each not in _COLUMNS]
    if unknown or "dealer" not in headings or "valid_from" not in headings or len(set(headings)) != len(headings):
        wrong = (
            f"the columns {', '.join(map(repr, unknown))}" if unknown else "other columns than expected, or one twice"
        )
        raise DraftError(f"the table has {wrong}", advice=f"There are: {', '.join(sorted(_COLUMNS))}.")
    table.fieldnames = headings
    found: list[tuple[str, Any, Any]] = []
    try:
        for row in table:
            wkt = (row.pop("wkt", None) or "").strip() if None not in row else ""
            found.append((f"line {table.line_num}", row, _wkt(wkt) if wkt else None))
    except csv.Error as error:
        raise DraftError(f"line {table.line_num} is no CSV: {error}", advice="Save it as CSV again.") from error
    return found


def _wkt(text: str) -> object:
    """Return a polygon in well-known text as GeoJSON, or the text where it is none, for the reader to refuse."""
    if not _POLYGON.match(text):  # collections within collections take the parser minutes
        return text[:80]
    try:
        geometry: object = json.loads(shapely.to_geojson(shapely.from_wkt(text)))
    except (shapely.errors.ShapelyError, ValueError):
        return text[:80]
    return geometry


def _stated(where: str, properties: Any, geometry: Any) -> Stated:  # noqa: ANN401  whatever a file holds
    if not isinstance(properties, Mapping) or None in properties:
        raise TerritoryError(f"{where} has no properties of its own, or more cells than headings", advice="")
    dealer = _text(where, properties, "dealer")
    if not _DEALER.fullmatch(dealer or ""):
        raise TerritoryError(f"{where} names no dealer", advice="`dealer` is an id of letters, digits, - and _.")
    channel = _text(where, properties, "channel") or DEFAULT_CHANNEL
    if not _DEALER.fullmatch(channel):
        raise TerritoryError(f"{where} has the channel {channel[:40]!r}", advice="Letters, digits, - and _.")
    starts = _parsed(where, properties, "valid_from", moment)
    if starts is None:
        raise TerritoryError(f"{where} has no valid_from", advice="A day (2026-03-01) or a time with its offset.")
    exclusive = _parsed(where, properties, "exclusive", yes_or_no)
    adcodes = tuple(_parsed(where, _joined(properties), "adcodes", many) or ())
    bad = next((each for each in adcodes if not _CODE.fullmatch(each)), None)
    if bad is not None:
        raise TerritoryError(f"{where} has the division {bad[:40]!r}", advice="Write codes, separated by blanks.")
    return Stated(
        where=where, dealer=str(dealer), valid_from=starts, valid_to=_parsed(where, properties, "valid_to", moment),
        channel=channel, product_line=_text(where, properties, "product_line") or None,
        exclusive=True if exclusive is None else exclusive, adcodes=adcodes, geometry=geometry,
    )  # fmt: skip


def _joined(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    codes = properties.get("adcodes")
    if isinstance(codes, Sequence) and not isinstance(codes, str):
        return {**properties, "adcodes": " ".join(map(str, codes))}
    return properties


def _text(where: str, properties: Mapping[str, Any], name: str) -> str | None:
    value = properties.get(name)
    if value is None or (isinstance(value, str) and len(value.strip()) <= _LONGEST and value.strip().isprintable()):
        return value.strip() if value else None
    raise TerritoryError(f"{where} has an unusable {name}", advice=f"At most {_LONGEST} printable characters.")


def _parsed(where: str, properties: Mapping[str, Any], name: str, parse: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    value = properties.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str | bool):
        raise TerritoryError(f"{where} has an unusable {name}", advice="Write it as text.")
    try:
        return parse(value)
    except (FieldError, OverflowError) as error:
        raise TerritoryError(f"{where} has an unusable {name}: {str(value)[:40]!r}", advice=_ADVICE[name]) from error


_ADVICE: Final = {
    "valid_from": "A day (2026-03-01) or a time with its offset.",
    "valid_to": "A day (2026-03-01), which no longer belongs to it, or a time with its offset.",
    "exclusive": "Write yes or no.",
    "adcodes": "Write codes, separated by blanks.",
}


def _polygon(where: str, geometry: dict[str, Any]) -> BaseGeometry:
    polygon = read_polygon(where, geometry)
    count = int(shapely.get_num_coordinates(polygon))
    if count > MOST_POINTS:
        raise TerritoryError(f"{where} has {count:,} points", advice=f"At most {MOST_POINTS:,}: simplify it.")
    return polygon
