"""The brand's channel as the engine wants it, from the database and the installed map."""

from collections import defaultdict
from functools import cache
from typing import Any, Final

from geofence.errors import UnknownAdcodeError
from geofence.maps import AtomMap, Level
from trace_service.detection.live_feed import milliseconds
from trace_service.detection.live_queries import SQL
from trace_service.detection.network import Channel, Dealer, Network, Place, Product, Territory
from trace_service.places import load_places
from trace_service.store.connection import Connection

_UNKNOWN_CITY: Final = 1_000_000.0
_MIDDLE: Final = (35.0, 104.0)
_MUNICIPALITIES: Final = frozenset({"11", "12", "31", "50"})


def load_network(connection: Connection, brand: str, atoms: AtomMap) -> Network:
    """Return a brand's channel: dealers, territories with their dates, products, and every county of the map."""
    query = {"brand": brand}
    places = _places(atoms)
    centres = {place.adcode: (place.lat, place.lon) for place in places}
    territories = _territories(connection.execute(SQL["network_territories"], query).fetchall())
    held: dict[str, tuple[str, ...]] = {each.dealer: each.adcodes for each in territories}
    dealers = []
    for row in connection.execute(SQL["network_dealers"], query):
        lat, lon = _home(held.get(row.id, ()), centres, atoms)
        dealers.append(Dealer(id=row.id, parent=row.parent, level=row.level, kind=row.kind, lat=lat, lon=lon))
    products = tuple(
        Product(gtin=row.gtin, items_per_case=row.items_per_case, unit_price=row.unit_price)
        for row in connection.execute(SQL["network_products"], query)
    )
    version = f"{len(territories)} territories, {atoms.version}"
    return Network(
        Channel(dealers=tuple(dealers), territories=tuple(territories), places=places, products=products,
            version=version)
    )  # fmt: skip


def _territories(rows: list[Any]) -> list[Territory]:
    """Return what is believed now: a later recorded version of a dealer ends the earlier where it begins."""
    by_dealer: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        by_dealer[row.dealer].append(row)
    return [
        Territory(
            dealer=row.dealer,
            adcodes=tuple(code.ljust(6, "0") for code in row.adcodes),
            valid_from=milliseconds(row.valid_from),
            valid_to=milliseconds(row.valid_to) if row.valid_to else None,
        )
        for versions in by_dealer.values()
        for row in versions
    ]


@cache
def _places(atoms: AtomMap) -> tuple[Place, ...]:
    """Return counties and cities with their middles; a city's people are those of the list of cities, or a guess."""
    people = {place.adcode: float(place.population) for place in load_places()}
    codes = [record.adcode for record in atoms.records(Level.COUNTY)]
    found: list[Place] = []
    members: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for code, (west, south, east, north) in zip(codes, atoms.layer(Level.COUNTY).bounds.tolist(), strict=True):
        city = _city_of(code, atoms)
        lat, lon = (south + north) / 2, (west + east) / 2
        members[city].append((lat, lon))
        if code != city:
            found.append(Place(adcode=code, lat=lat, lon=lon, population=0.0, city=city))
    for city, points in sorted(members.items()):
        known = next((each for each in load_places() if each.adcode == city), None)
        lat = known.lat if known else sum(point[0] for point in points) / len(points)
        lon = known.lon if known else sum(point[1] for point in points) / len(points)
        population = people.get(city, _UNKNOWN_CITY)
        capital = city.endswith(("0100", "0000"))
        found.append(Place(adcode=city, lat=lat, lon=lon, population=population, capital=capital, city=city))
    return tuple(found)


def _city_of(county: str, atoms: AtomMap) -> str:
    """Return a county's city: of a municipality's districts the municipality, and a county under none its own."""
    if county[:2] in _MUNICIPALITIES:
        return f"{county[:2]}0000"
    return next((each.adcode for each in atoms.ancestors(county) if each.level is Level.CITY), county)


def _home(adcodes: tuple[str, ...], centres: dict[str, tuple[float, float]], atoms: AtomMap) -> tuple[float, float]:
    points = []
    for adcode in adcodes:
        try:
            points += [centres[code] for code in atoms.counties_of(adcode) if code in centres]
        except UnknownAdcodeError:
            continue
    if not points:
        return _MIDDLE
    return sum(point[0] for point in points) / len(points), sum(point[1] for point in points) / len(points)
