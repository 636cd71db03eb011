"""The print job, `market.json`: all that a simulator knows of the brand whose market it plays."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from contracts.errors import ConfigurationError
from contracts.topics import NAME

_Id = Annotated[str, Meta(pattern=rf"^{NAME.pattern}\Z")]
Longitude = Annotated[float, Meta(ge=-180, le=180)]
Latitude = Annotated[float, Meta(ge=-90, le=90)]


class Device(Struct, frozen=True):
    """A device that the simulator itself is."""

    site: _Id


class Product(Struct, frozen=True):
    """A trade item; the weight is in grams."""

    gtin: str
    items_per_case: Annotated[int, Meta(ge=1)]
    unit_weight_g: Annotated[float, Meta(gt=0)]


class Dealer(Struct, frozen=True):
    """Who may sell where: `adcodes` are prefixes of division codes, lon and lat the warehouse's degrees (WGS-84)."""

    id: _Id
    lon: Longitude
    lat: Latitude
    adcodes: tuple[str, ...]


class Order(Struct, frozen=True):
    """A shipment to one dealer."""

    id: _Id
    to: str


class Case(Struct, frozen=True):
    """A case, the text of its label, and the texts of the labels of its items."""

    sscc: Annotated[str, Meta(pattern=r"^\d{18}\Z")]
    label: str
    aim_symbology: Annotated[str, Meta(pattern=r"^(datamatrix|qr|code128)\Z")]
    gtin: str
    order: str
    items: tuple[str, ...]


class Channel(Struct, frozen=True):
    """One load cell of a shelf with what lies on it; the weight of a unit is in grams."""

    channel: Annotated[int, Meta(ge=1, le=64)]
    gtin: str
    unit_weight_g: Annotated[float, Meta(gt=0)]
    units: Annotated[int, Meta(ge=0)]
    capacity: Annotated[int, Meta(ge=1)]


class Shelf(Struct, frozen=True):
    """One shelf controller and its load cells."""

    device: _Id
    site: _Id
    channels: tuple[Channel, ...]


class Place(Struct, frozen=True):
    """A city: its division code, its centre in degrees (WGS-84) and how many people live there."""

    adcode: Annotated[str, Meta(pattern=r"^\d{6}\Z")]
    lon: Longitude
    lat: Latitude
    population: Annotated[float, Meta(ge=0)]
    name_en: str = ""


class World(Struct, frozen=True, dict=True):
    """One print job: a batch of codes, whom they go to, and the country that they are sold in."""

    run: _Id
    devices: Mapping[str, Device]
    products: tuple[Product, ...]
    dealers: tuple[Dealer, ...]
    orders: tuple[Order, ...]
    cases: tuple[Case, ...]
    shelves: tuple[Shelf, ...]
    places: tuple[Place, ...]

    @cached_property
    def dealer_of_order(self) -> Mapping[str, Dealer]:
        """The dealer that each order goes to."""
        dealers = {dealer.id: dealer for dealer in self.dealers}
        return {order.id: dealers[order.to] for order in self.orders}

    def cases_of(self, order: str) -> tuple[Case, ...]:
        """Return the cases of one order, as printed."""
        return tuple(case for case in self.cases if case.order == order)


def load_world(path: Path) -> World:
    """Read a print job; raises `ConfigurationError` naming what is wrong with it."""
    advice = "Write it with: codefence trace demo --out market.json"
    try:
        world = msgspec.json.decode(path.read_bytes(), type=World)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", advice=advice) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no print job: {error}", advice=advice) from error
    _check(world, path)
    return world


def _check(world: World, path: Path) -> None:
    dealers, orders = {dealer.id for dealer in world.dealers}, {order.id for order in world.orders}
    lost = sorted({order.to for order in world.orders} - dealers | {case.order for case in world.cases} - orders)
    if lost:
        raise ConfigurationError(
            f"{path} refers to {', '.join(lost)}, which it does not describe",
            advice="Every order goes to a dealer of the file and every case belongs to an order of the file.",
        )
