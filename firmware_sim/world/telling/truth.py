"""The truth about a world, which no detector reads: labels of the attacks, and a summary."""

from collections import Counter, defaultdict
from typing import Any, Final

import msgspec
import numpy as np

from firmware_sim.world.fates import Attack
from firmware_sim.world.model import World
from firmware_sim.world.parameters import DAY_MS, start_ms
from firmware_sim.world.telling.ledger import iso
from firmware_sim.world.telling.readers import shipment_id

_FORMAT: Final = 1


def labels(world: World, codes: list[str], events_of: defaultdict[int, list[str]]) -> list[dict[str, Any]]:
    """Return the label of each attack as the folder's format wants it."""
    return [_label(world, number, attack, codes, events_of[number]) for number, attack in enumerate(world.attacks)]


def _label(world: World, number: int, attack: Attack, codes: list[str], events: list[str]) -> dict[str, Any]:
    dealers = world.network.dealers
    items, lost = _items(world, attack)
    named = [codes[item] for item in items] + attack.codes
    scanned = np.unique(world.scans.item[world.scans.attack == number])
    seen = [codes[item] if item >= 0 else attack.codes[-1 - item] for item in scanned.tolist()]
    return {
        "id": attack.id,
        "type": attack.type,
        "dealer": dealers[attack.dealer].id,
        "parties": [dealers[party].id for party in attack.parties],
        "origin": _city(world, int(world.land.county_city[dealers[attack.dealer].site])),
        "destinations": [_city(world, city) for city in attack.cities.tolist()],
        "first_at": _moments(world, [attack.first_day])[0],
        "shipments": _shipments(world, attack),
        "cases": world.goods.sscc(attack.cases),
        "items": named,
        "leaks": _moments(world, lost),
        "scanned_items": sorted(seen),
        "events": sorted(events),
    }


def summary(world: World, events: int) -> dict[str, Any]:
    """Return counts, and the parameters that made the world."""
    difficulty = world.difficulty
    rule = {"precision": round(difficulty.precision, 4), "recall": round(difficulty.recall, 4)}
    return {
        "format": _FORMAT,
        "request": _request(world),
        "nature": msgspec.to_builtins(world.nature),
        "counts": {
            "dealers": len(world.network.dealers),
            "deepest_level": max(dealer.level for dealer in world.network.dealers),
            "stores": len(world.network.stores),
            "items": world.goods.item_count,
            "cases": int(world.goods.case_lot.size),
            "shipments": world.routes.table.count,
            "events": events,
            "consumer_scans": int(world.scans.item.size),
            "feasts": world.feasts,
            "attacks": dict(sorted(Counter(attack.type for attack in world.attacks).items())),
        },
        "difficulty": {**msgspec.to_builtins(difficulty), "three_cases_a_province_and_week": rule},
    }


def _request(world: World) -> dict[str, Any]:
    """Return what was asked for; attacks only where some were."""
    found: dict[str, Any] = msgspec.to_builtins(world.request)
    for name in ("extra", "second_phones"):
        if not found[name]:
            del found[name]
    return found


def _items(world: World, attack: Attack) -> tuple[list[int], list[float]]:
    """Return the genuine items of an attack and when each was lost; labels that were made up have no items."""
    first = world.goods.case_first
    if attack.type == "clone":
        return np.unique(attack.items).tolist(), attack.lost.tolist()
    if attack.type == "forged":
        return [], attack.lost.tolist()
    sizes = first[attack.cases + 1] - first[attack.cases]
    items = [item for case in attack.cases.tolist() for item in range(first[case], first[case + 1])]
    return items, np.repeat(attack.lost, sizes).tolist()


def _shipments(world: World, attack: Attack) -> list[str]:
    ways = world.routes.ways[np.unique(world.goods.case_lot[attack.cases])]
    hops = (ways >= 0).sum(axis=1)
    last = np.unique(ways[np.arange(len(ways)), np.maximum(hops - 1, 0)])
    return [shipment_id(number) for number in last.tolist() if number >= 0]


def _city(world: World, city: int) -> dict[str, Any]:
    cities = world.land.cities
    return {
        "adcode": cities.adcodes[city],
        "name": cities.names[city],
        "lat": float(cities.lat[city]),
        "lon": float(cities.lon[city]),
    }


def _moments(world: World, days: list[float]) -> list[str]:
    if not days:
        return []
    return iso(start_ms(world.nature) + np.round(np.array(days) * DAY_MS).astype(np.int64))
