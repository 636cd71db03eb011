"""Reads a world folder: the channel, papers and items. Events are read as they are needed (`events`)."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from sys import intern
from typing import Final, Protocol, TypeVar

from msgspec import Struct, structs

from trace_service.backtest.errors import WorldError
from trace_service.backtest.tables import Row, find, open_bytes, require, rows
from trace_service.detection.network import COUNTRY, Channel, Dealer, Place, Product, Store, Territory, province

T = TypeVar("T")
Notice = Callable[[str], None]
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "dealers.csv": ("id", "parent_id", "level", "name", "kind", "lat", "lon"),
    "dealer_sites.csv": ("dealer_id", "lat", "lon", "adcode", "valid_from", "valid_to"),
    "territories.csv": ("dealer_id", "adcodes", "channel", "valid_from", "valid_to"),
    "places.csv": ("adcode", "name", "province", "lat", "lon", "population", "is_capital", "level", "city_adcode"),
    "stores.csv": ("id", "dealer_id", "lat", "lon", "adcode", "kind", "valid_from", "valid_to"),
    "products.csv": ("gtin", "name", "items_per_case", "unit_price"),
    "shipments.csv": ("id", "from", "to", "departed", "arrived", "document_time", "kind"),
    "items.csv": ("code", "case", "pallet", "product", "batch", "shipments"),
}
_EVER: Final = -(2**62)
NEVER: Final = 2**62


class Site(Struct, frozen=True):
    """Where a dealer's warehouse is, for a time."""

    dealer: str
    lat: float
    lon: float
    adcode: str
    valid_from: int
    valid_to: int | None


class Paper(Struct, frozen=True):
    """A row of shipments.csv; `receiver` is a dealer or a store."""

    id: str
    sender: str
    receiver: str
    departed: int
    arrived: int | None
    document_time: int
    kind: str


class Batch(Struct, frozen=True):
    """A row of batches.csv: when a batch was recalled, and when it expires."""

    batch: str
    recalled: int | None
    expires: int | None


class Item(Struct, frozen=True, gc=False):
    """A row of items.csv: nothing in it leads back to it, so that nobody looks through millions of them for garbage."""

    code: str
    case: str
    pallet: str
    product: str
    batch: str
    shipments: tuple[str, ...]


class World(Struct, frozen=True, kw_only=True):
    """Everything of a folder that is no event and no truth."""

    folder: Path
    channel: Channel
    names: dict[str, str]
    sites: tuple[Site, ...]
    papers: dict[str, Paper]
    items: dict[str, Item]
    batches: dict[str, Batch] = {}


def read_world(folder: Path, notice: Notice) -> World:
    """Read a folder; `notice` is told what is ignored. Raises WorldError naming file, line and column."""
    table = partial(_table, folder, notice)
    names = table("places.csv", lambda row: (row.text("adcode"), row.text("name")))
    require(folder, "events.jsonl")
    papers = table("shipments.csv", _paper)
    known = {each.id: each for each in papers}
    if len(known) < len(papers):
        notice(f"shipments.csv: {len(papers) - len(known):,} with an id that a later row has, which counts")
    return World(
        folder=folder,
        channel=_channel(folder, table, notice),
        names=dict(names),
        sites=tuple(table("dealer_sites.csv", _site)),
        papers=known,
        items=_items(folder, notice),
        batches=_batches(folder, notice),
    )


class _Table(Protocol):
    def __call__(self, name: str, read: Callable[[Row], T]) -> list[T]: ...


def _table(folder: Path, notice: Notice, name: str, read: Callable[[Row], T]) -> list[T]:
    return [read(row) for row in rows(folder, name, TABLES[name], notice)]


def _channel(folder: Path, table: _Table, notice: Notice) -> Channel:
    places = _divisions([each for each in table("places.csv", _place) if each.adcode != COUNTRY], notice)
    if not any(each.city in ("", each.adcode) for each in places):
        raise WorldError(f"{folder / 'places.csv'} has no city", advice="Without cities nothing can be placed.")
    digest = hashlib.sha256()
    with open_bytes(require(folder, "territories.csv")) as file:
        digest.update(file.read())
    return Channel(
        dealers=tuple(table("dealers.csv", _dealer)),
        territories=tuple(table("territories.csv", _territory)),
        places=places,
        stores=tuple(table("stores.csv", _store)),
        products=tuple(table("products.csv", _product)),
        version=digest.hexdigest()[:12],
    )


def _dealer(row: Row) -> Dealer:
    lat, lon = row.degrees(0.0)
    return Dealer(
        id=row.name("id"),
        parent=row.text("parent_id") or None,
        level=int(row.number("level", 0)),
        kind=row.text("kind"),
        lat=lat,
        lon=lon,
    )


def _site(row: Row) -> Site:
    span = row.perhaps("valid_from"), row.perhaps("valid_to")
    return Site(row.name("dealer_id"), *row.degrees(), row.text("adcode"), _since(span[0]), span[1])


def _territory(row: Row) -> Territory:
    return Territory(
        dealer=row.name("dealer_id"),
        adcodes=row.texts("adcodes"),
        valid_from=_since(row.perhaps("valid_from")),
        valid_to=row.perhaps("valid_to"),
    )


def _place(row: Row) -> Place:
    adcode = row.name("adcode")
    lat, lon = row.degrees()
    return Place(
        adcode=adcode,
        lat=lat,
        lon=lon,
        population=max(1.0, row.at_least("population", 0, 1)),
        capital=row.text("is_capital").lower() in ("1", "true", "yes"),
        city=adcode if row.text("level") == "city" else row.text("city_adcode"),
    )


def _store(row: Row) -> Store:
    lat, lon = row.degrees()
    return Store(
        id=row.name("id"),
        dealer=row.name("dealer_id"),
        lat=lat,
        lon=lon,
        adcode=row.text("adcode"),
        valid_from=_since(row.perhaps("valid_from")),
        valid_to=row.perhaps("valid_to"),
    )


def _divisions(found: list[Place], notice: Notice) -> tuple[Place, ...]:
    """Return cities and counties: no province that has cities; a county that names no city in the one around it."""
    cities = {each.adcode for each in found if each.city == each.adcode}
    named = {each.city for each in found if each.city != each.adcode}
    whole = {province(each) for each in cities if each != province(each)} - named
    kept = [each for each in found if each.adcode not in whole]
    if len(kept) < len(found):
        notice(f"places.csv: provinces ignored, since a place is a city or a county: {len(found) - len(kept):,}")
    around = {each.adcode: each.adcode[:4] + "00" for each in kept if not each.city}
    return tuple(
        structs.replace(each, city=around[each.adcode]) if around.get(each.adcode) in cities else each for each in kept
    )


def _product(row: Row) -> Product:
    return Product(
        gtin=row.name("gtin"),
        items_per_case=int(row.at_least("items_per_case", 1, 1)),
        unit_price=row.at_least("unit_price", 0, 0),
    )


def _paper(row: Row) -> Paper:
    departed = row.moment("departed")
    known = row.perhaps("document_time")
    return Paper(
        id=row.name("id"),
        sender=row.text("from"),
        receiver=row.text("to"),
        departed=departed,
        arrived=row.perhaps("arrived"),
        # A paper that never came is never known.
        document_time=NEVER if known is None else known,
        kind=row.text("kind"),
    )


def _batches(folder: Path, notice: Notice) -> dict[str, Batch]:
    if find(folder, "batches.csv") is None:
        return {}
    table = rows(folder, "batches.csv", ("batch", "recalled", "expires"), notice)
    found = (Batch(row.text("batch"), row.perhaps("recalled"), row.perhaps("expires")) for row in table)
    return {each.batch: each for each in found}


def _items(folder: Path, notice: Notice) -> dict[str, Item]:
    chains: dict[str, tuple[str, ...]] = {}
    found: dict[str, Item] = {}
    twice = 0
    for row in rows(folder, "items.csv", TABLES["items.csv"], notice):
        text = row.text("shipments")
        chain = chains.get(text)
        if chain is None:
            chain = chains[text] = row.texts("shipments")
        code = row.name("code")
        # An item that was never packed is a case of its own.
        # What many items have in common is kept once.
        case, pallet, product, batch = (intern(row.text(name)) for name in ("case", "pallet", "product", "batch"))
        twice += code in found
        found[code] = Item(code, case or code, pallet, product, batch, chain)
    if not found:
        raise WorldError(
            f"{folder}: items.csv has no item", advice="Without items every code would pass for a forgery."
        )
    if twice:
        notice(f"items.csv: {twice:,} with a code that a later row has, which counts")
    return found


def _since(moment: int | None) -> int:
    return _EVER if moment is None else moment
