"""The brand's channel as the engine wants it, from the database, the list of divisions and the installed map."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import shapely

from geofence.errors import UnknownAdcodeError
from geofence.maps import AtomMap, Level
from trace_service.detection.divisions import load_divisions
from trace_service.detection.live.feed import milliseconds
from trace_service.detection.live.queries import SQL
from trace_service.detection.network import (
    COUNTRY,
    Channel,
    Dealer,
    Network,
    Place,
    Product,
    Store,
    Territory,
    province,
)
from trace_service.store.connection import Connection

_MIDDLE: Final = (35.0, 104.0)
_MUNICIPALITIES: Final = frozenset({"11", "12", "31", "50"})
Centres = Mapping[str, tuple[float, float]]


def load_network(connection: Connection, brand: str, atoms: AtomMap) -> Network:
    """Return a brand's channel: dealers where their warehouses are, territories and shops with their dates, products.

    The brand itself is a dealer of kind `brand` above all others, by its own id where no row says another.
    """
    query = {"brand": brand}
    places = _places(atoms)
    territories = tuple(_territories(connection.execute(SQL["network_territories"], query).fetchall(), atoms))
    rows = connection.execute(SQL["network_dealers"], query).fetchall()
    products = tuple(
        Product(gtin=row.gtin, items_per_case=row.items_per_case, unit_price=row.unit_price)
        for row in connection.execute(SQL["network_products"], query)
    )
    digest = blake2b(msgspec.json.encode(territories), digest_size=6).hexdigest()
    return Network(
        Channel(
            dealers=tuple(
                _dealers(brand, rows, territories, {each.adcode: (each.lat, each.lon) for each in places}, atoms)
            ),
            territories=territories,
            places=places,
            stores=tuple(_stores(connection.execute(SQL["network_stores"], query))),
            products=products,
            version=f"{digest}, {atoms.version}",
        )
    )


def _dealers(
    brand: str, rows: list[Any], territories: Iterable[Territory], centres: Centres, atoms: AtomMap
) -> Iterator[Dealer]:
    held = {each.dealer: each.adcodes for each in territories}
    top = next((row.id for row in rows if row.kind == "brand"), None)
    below = 0 if top else 1
    if top is None:
        top = brand
        yield Dealer(id=brand, parent=None, level=0, kind="brand", lat=_MIDDLE[0], lon=_MIDDLE[1])
    for row in rows:
        known = row.lat is not None
        lat, lon = (row.lat, row.lon) if known else _home(held.get(row.id, ()), centres, atoms)
        parent = None if row.id == top else row.parent or top
        yield Dealer(id=row.id, parent=parent, level=row.level + below, kind=row.kind, lat=lat, lon=lon)


def _met(polygon: bytes | None, atoms: AtomMap) -> list[str]:
    """Return the counties that a drawn polygon meets."""
    if polygon is None:
        return []
    counties = atoms.records(Level.COUNTY)
    return [counties[index].adcode for index in atoms.layer(Level.COUNTY).meeting(shapely.from_wkb(bytes(polygon)))]


class Span(NamedTuple):
    """From a moment until before another; None where it is open."""

    begin: datetime
    end: datetime | None


def _territories(rows: list[Any], atoms: AtomMap) -> Iterator[Territory]:
    """Yield what is believed now: where a later recorded version holds, the earlier ones of its seller do not.

    The engine knows divisions only: of what was drawn beside them, every county that it meets is the dealer's, so that
    nobody is accused inside a drawn territory.
    """
    country = {province(each.adcode) for each in load_divisions()}
    sellers: dict[tuple[str, str, str | None], list[Any]] = defaultdict(list)
    for row in rows:
        sellers[row.dealer, row.channel, row.product_line].append(row)
    for (dealer, _, _), versions in sellers.items():
        later: list[Span] = []
        found: list[Territory] = []
        for row in reversed(versions):
            own = Span(row.valid_from, row.valid_to)
            codes = tuple(dict.fromkeys([*(code.ljust(6, "0") for code in row.adcodes), *_met(row.polygon, atoms)]))
            found += (
                Territory(
                    dealer=dealer,
                    adcodes=(COUNTRY,) if country <= set(codes) else codes,
                    valid_from=milliseconds(each.begin),
                    valid_to=milliseconds(each.end) if each.end else None,
                )
                for each in without(own, later)
            )
            later.append(own)
        yield from sorted(found, key=lambda each: each.valid_from)


def without(span: Span, others: Iterable[Span]) -> list[Span]:
    """Return what of a span no other one covers."""
    left = [span]
    for other in others:
        pieces = []
        for each in left:
            if (each.end is not None and each.end <= other.begin) or (
                other.end is not None and other.end <= each.begin
            ):
                pieces.append(each)
                continue
            if each.begin < other.begin:
                pieces.append(Span(each.begin, other.begin))
            if other.end is not None and (each.end is None or other.end < each.end):
                pieces.append(Span(other.end, each.end))
        left = pieces
    return left


def _stores(rows: Iterable[Any]) -> Iterator[Store]:
    """Yield shops with the dealer that they belonged to from each version until the next."""
    by_shop: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_shop[row.id].append(row)
    for shop, versions in by_shop.items():
        ends = [milliseconds(each.valid_from) for each in versions[1:]]
        for row, end in zip(versions, [*ends, None], strict=True):
            if row.dealer and not row.ended:
                yield Store(
                    id=shop, dealer=row.dealer, lat=row.lat or 0.0, lon=row.lon or 0.0, adcode=row.adcode or "",
                    valid_from=milliseconds(row.valid_from), valid_to=end,
                )  # fmt: skip


@cache
def _places(atoms: AtomMap) -> tuple[Place, ...]:
    """Return the divisions whose people are known, and what counties the map has beside them by their middles."""
    known = load_divisions()
    cities = {each.adcode for each in known}
    found = list(known)
    for code, (west, south, east, north) in zip(
        (record.adcode for record in atoms.records(Level.COUNTY)),
        atoms.layer(Level.COUNTY).bounds.tolist(),
        strict=True,
    ):
        if code not in cities:
            city = _city_of(code, atoms)
            lat, lon = (south + north) / 2, (west + east) / 2
            found.append(Place(adcode=code, lat=lat, lon=lon, population=1.0, city=city if city in cities else code))
    return tuple(found)


def _city_of(county: str, atoms: AtomMap) -> str:
    """Return a county's city: of a municipality's districts the municipality, and a county under none its own."""
    if county[:2] in _MUNICIPALITIES:
        return f"{county[:2]}0000"
    return next((each.adcode for each in atoms.ancestors(county) if each.level is Level.CITY), county)


def _home(adcodes: tuple[str, ...], centres: Centres, atoms: AtomMap) -> tuple[float, float]:
    points = []
    for adcode in adcodes:
        try:
            points += [centres[code] for code in atoms.counties_of(adcode) if code in centres]
        except UnknownAdcodeError:
            continue
    if not points:
        return _MIDDLE
    return sum(point[0] for point in points) / len(points), sum(point[1] for point in points) / len(points)
