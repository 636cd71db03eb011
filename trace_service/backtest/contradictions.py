"""What the tables of a world say of each other that cannot be: counted and told; one wrong row is no reason to stop."""

from collections.abc import Iterable, Iterator
from typing import Final

from trace_service.backtest.world import World
from trace_service.detection.network import COUNTRY, province

_DEALERS: Final = frozenset(("brand", "regional", "city", "county", "sub", "online", "horeca"))
_PAPERS: Final = frozenset(("order", "dropship", "transfer", "return", "delivery"))


def contradictions(world: World) -> list[str]:
    """Return a line for each kind of contradiction: how many rows, and the first of them."""
    found = (*_channel(world), *_papers(world))
    return [
        f"{name}: {len(wrong):,} with {what}, the first {wrong[0]!r}"
        for name, what, rows in found
        if (wrong := list(rows))
    ]


def _channel(world: World) -> Iterator[tuple[str, str, Iterable[str]]]:
    channel = world.channel
    parents = {each.id: each.parent for each in channel.dealers}
    known = {each.adcode for each in channel.places}
    divisions = known | {province(each) for each in known} | {COUNTRY}
    yield "dealers.csv", "an id that another row has", _twice(each.id for each in channel.dealers)
    yield "dealers.csv", "an unknown parent", (
        each.id for each in channel.dealers if each.parent is not None and each.parent not in parents
    )  # fmt: skip
    yield "dealers.csv", "themselves among their parents", (each for each in parents if _circular(each, parents))
    yield "dealers.csv", "an unknown kind", (each.id for each in channel.dealers if each.kind not in _DEALERS)
    yield "territories.csv", "an unknown dealer", _without((each.dealer for each in channel.territories), parents)
    yield "territories.csv", "no division", (each.dealer for each in channel.territories if not each.adcodes)
    yield "territories.csv", "a division that places.csv does not have", (
        code for each in channel.territories for code in each.adcodes if code not in divisions
    )  # fmt: skip
    yield "dealer_sites.csv", "an unknown dealer", _without((each.dealer for each in world.sites), parents)
    yield "stores.csv", "an unknown dealer", (each.id for each in channel.stores if each.dealer not in parents)
    yield "places.csv", "an unknown city", (
        each.adcode for each in channel.places if each.city != each.adcode and each.city not in known
    )  # fmt: skip


def _papers(world: World) -> Iterator[tuple[str, str, Iterable[str]]]:
    papers, items = world.papers.values(), world.items.values()
    ends = {each.id for each in world.channel.dealers} | {each.id for each in world.channel.stores}
    products = {each.gtin for each in world.channel.products}
    yield "shipments.csv", "an unknown sender", (each.id for each in papers if each.sender not in ends)
    yield "shipments.csv", "an unknown receiver", (each.id for each in papers if each.receiver not in ends)
    yield "shipments.csv", "an unknown kind", (each.id for each in papers if each.kind not in _PAPERS)
    yield "shipments.csv", "an arrival before the departure", (
        each.id for each in papers if each.arrived is not None and each.arrived < each.departed
    )  # fmt: skip
    unknown = {chain for chain in {each.shipments for each in items} if any(key not in world.papers for key in chain)}
    yield "items.csv", "an unknown shipment", (each.code for each in items if each.shipments in unknown)
    yield "items.csv", "an unknown product", (each.code for each in items if each.product not in products)


def _without(dealers: Iterable[str], known: dict[str, str | None]) -> Iterator[str]:
    return (each for each in dealers if each not in known)


def _twice(keys: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            yield key
        seen.add(key)


def _circular(dealer: str, parents: dict[str, str | None]) -> bool:
    passed: set[str] = set()
    above = parents[dealer]
    while above is not None and above not in passed:
        passed.add(above)
        above = parents.get(above)
    return dealer in passed
