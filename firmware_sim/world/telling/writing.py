"""The files of a world folder."""

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec
import numpy as np

from firmware_sim.world.arrays import Floats, Ints
from firmware_sim.world.extras import PALLETS_A_BATCH
from firmware_sim.world.model import World
from firmware_sim.world.network import Change
from firmware_sim.world.parameters import start_ms
from firmware_sim.world.routing import KINDS
from firmware_sim.world.telling import whereabouts
from firmware_sim.world.telling.ledger import Ledger, iso
from firmware_sim.world.telling.phones import tell_scans
from firmware_sim.world.telling.readers import Readers, batch_of, shipment_id
from firmware_sim.world.telling.truth import labels, summary

_LAST_HOP: Final = 1e8
_BEFORE: Final = -30.0
Progress = Callable[[str], None]


def write_world(
    world: World, folder: Path, progress: Progress, *, compressed: bool = False, truth: bool = False
) -> None:
    """Write every file, with `truth` where goods really stand; the same world gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Folder(folder, compressed=compressed)
    random = np.random.default_rng([world.request.seed, 2])
    ledger = Ledger(world.request, world.nature, random)
    _network_files(world, files, ledger)
    if world.withheld.since:
        files.table("batches.csv", "batch recalled expires", _batches(world, ledger))
    codes = world.goods.codes(np.arange(world.goods.item_count))
    _items(world, files, codes)
    progress(f"{len(codes)} items written")
    readers = Readers(world, ledger, random)
    readers.read(codes)
    tell_scans(world, ledger, readers.events_of, codes)
    with files.open("events.jsonl") as stream:
        stream.writelines(line + b"\n" for line in ledger.in_order())
    progress(f"{len(ledger)} events written")
    files.json("labels.json", {"attacks": labels(world, codes, readers.events_of)})
    files.json("summary.json", summary(world, len(ledger)))
    if truth:
        files.table("whereabouts.csv", whereabouts.HEADER, whereabouts.rows(world, ledger, codes))


class Folder:
    """Opens the files of a folder, compressed or not; bytes depend on contents alone."""

    def __init__(self, path: Path, *, compressed: bool) -> None:
        self._path, self._compressed = path, compressed

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for writing; large tables are compressed where that was wanted."""
        if not self._compressed:
            (self._path / f"{name}.gz").unlink(missing_ok=True)
            with (self._path / name).open("wb", buffering=1 << 20) as stream:
                yield stream
            return
        (self._path / name).unlink(missing_ok=True)
        with (
            (self._path / f"{name}.gz").open("wb") as raw,
            gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as packed,
        ):
            yield cast("BinaryIO", packed)

    def table(self, name: str, header: str, rows: Iterable[Iterable[object]]) -> None:
        """Write a CSV file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header.split())
        writer.writerows(rows)
        with self.open(name) as stream:
            stream.write(text.getvalue().encode())

    def json(self, name: str, content: object) -> None:
        """Write a small JSON file, never compressed."""
        (self._path / name).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _network_files(world: World, files: Folder, ledger: Ledger) -> None:
    network, land = world.network, world.land
    begin = iso(np.array([start_ms(world.nature)]) + int(_BEFORE * 86_400_000))[0]

    def moment(change: Change | None) -> str:
        return "" if change is None else iso(ledger.ms(np.array([change.day])))[0]

    dealers = network.dealers
    files.table("dealers.csv", "id parent_id level name kind lat lon", (
        (d.id, dealers[d.parent].id if d.parent >= 0 else "", d.level, d.name, d.kind, d.lat, d.lon) for d in dealers
    ))  # fmt: skip
    moves = {move.dealer: move for move in network.moves}
    swaps = {swap.dealer: swap for swap in network.swaps}
    adcodes = land.counties.adcodes
    sites, areas = [], []
    for number, dealer in enumerate(dealers):
        move, swap = moves.get(number), swaps.get(number)
        sites.append((dealer.id, dealer.lat, dealer.lon, adcodes[dealer.site], begin, moment(move)))
        if move is not None:
            sites.append((dealer.id, move.lat, move.lon, adcodes[move.site], moment(move), ""))
        areas.append((dealer.id, ";".join(dealer.units), dealer.channel, begin, moment(swap)))
        if swap is not None:
            areas.append((dealer.id, ";".join(swap.units), dealer.channel, moment(swap), ""))
    files.table("dealer_sites.csv", "dealer_id lat lon adcode valid_from valid_to", sites)
    files.table("territories.csv", "dealer_id adcodes channel valid_from valid_to", areas)
    files.table("stores.csv", "id dealer_id lat lon adcode kind valid_from valid_to", _stores(world, begin, ledger))
    files.table("places.csv", "adcode name province lat lon population is_capital level city_adcode", _places(world))
    files.table("products.csv", "gtin name items_per_case unit_price", (
        (product.gtin, product.name, product.items_per_case, product.unit_price) for product in world.goods.products
    ))  # fmt: skip
    files.table("shipments.csv", "id from to departed arrived document_time kind", _shipments(world, ledger))


def _stores(world: World, begin: str, ledger: Ledger) -> Iterator[tuple[object, ...]]:
    dealers, adcodes = world.network.dealers, world.land.counties.adcodes
    for store in world.network.stores:
        handed = iso(ledger.ms(np.array([store.handed_day])))[0] if store.heir >= 0 else ""
        where = (store.lat, store.lon, adcodes[store.county], store.kind)
        yield (store.id, dealers[store.dealer].id, *where, begin, handed)
        if store.heir >= 0:
            yield (store.id, dealers[store.heir].id, *where, handed, "")


def _places(world: World) -> Iterator[tuple[object, ...]]:
    cities, counties, land = world.land.cities, world.land.counties, world.land
    capitals = set(land.capitals.tolist())
    for n, code in enumerate(cities.adcodes):
        where = (cities.names[n], cities.provinces[n], cities.lat[n], cities.lon[n], int(cities.population[n]))
        yield (code, *where, int(n in capitals), "city", code)
    for n, code in enumerate(counties.adcodes):
        city = cities.adcodes[land.county_city[n]]
        if code != city:
            there = (counties.names[n], counties.provinces[n], counties.lat[n], counties.lon[n])
            yield (code, *there, int(counties.population[n]), 0, "county", city)


def _shipments(world: World, ledger: Ledger) -> Iterator[tuple[object, ...]]:
    table, network = world.routes.table, world.network
    left = table.floats("departed")
    days = [table.floats(name) for name in ("departed", "arrived", "document")]
    moments = zip(*(iso(ledger.ms(day.clip(0, _LAST_HOP))) for day in days), strict=True)
    ends = zip(table.ints("sender").tolist(), table.ints("receiver").tolist(), strict=True)
    kinds = table.ints("kind").tolist()
    for number, (times, (sender, receiver)) in enumerate(zip(moments, ends, strict=True)):
        if left[number] < world.request.days:
            to = network.dealers[receiver].id if receiver >= 0 else network.stores[-1 - receiver].id
            yield (shipment_id(number), network.dealers[sender].id, to, *times, KINDS[kinds[number]])


def _items(world: World, files: Folder, codes: list[str]) -> None:
    goods, first = world.goods, world.goods.case_first.tolist()
    cases, pallets = goods.sscc(np.arange(goods.case_lot.size)), goods.pallet_sscc(goods.case_pallet)
    with files.open("items.csv") as stream:
        stream.write(b"code,case,pallet,product,batch,shipments\n")
        for case, way in enumerate(_ways(world)):
            product = goods.products[goods.lot_product[goods.case_lot[case]]].gtin
            rest = f",{cases[case]},{pallets[case]},{product},{batch_of(int(goods.case_pallet[case]))},{way}\n"
            stream.write("".join([code + rest for code in codes[first[case] : first[case + 1]]]).encode())


def _batches(world: World, ledger: Ledger) -> Iterator[tuple[object, ...]]:
    """Yield the batches that were recalled or expired before the world's end."""
    withheld = world.withheld
    for batch, day in sorted(withheld.since.items()):
        moment = iso(ledger.ms(np.array([day])))[0]
        expired = batch in withheld.expired
        yield (batch_of(batch * PALLETS_A_BATCH), "" if expired else moment, moment if expired else "")


def _ways(world: World) -> Iterator[str]:
    """Yield the shipments of each case that left before the world's end, as its papers say."""
    left = world.routes.table.floats("departed")
    ways = np.where(world.routes.ways >= 0, world.routes.ways, -1)
    texts = [";".join(_names(way, left, world.request.days)) for way in ways]
    for lot, delivery in zip(world.goods.case_lot.tolist(), world.routes.case_delivery.tolist(), strict=True):
        gone = delivery >= 0 and left[delivery] < world.request.days
        yield f"{texts[lot]};{shipment_id(delivery)}" if gone else texts[lot]


def _names(way: Ints, left: Floats, end: float) -> list[str]:
    return [shipment_id(number) for number in way.tolist() if number >= 0 and left[number] < end]
