"""Consumers' scans as events."""

from collections import defaultdict
from typing import Final

import numpy as np

from firmware_sim.world.country.positions import GPS, IP, PLATFORMS, SHOP
from firmware_sim.world.model import World
from firmware_sim.world.telling.ledger import Ledger, iso

_DEVICE_MASK: Final = (1 << 40) - 1
_DEVICE_FACTOR: Final = 0x9E3779B97F4A7C15


def tell_scans(world: World, ledger: Ledger, events_of: defaultdict[int, list[str]], codes: list[str]) -> None:
    """Tell every scan, and note which belong to each attack."""
    scans = world.scans
    forged = [code for attack in world.attacks for code in attack.codes]
    base = np.cumsum([0] + [len(attack.codes) for attack in world.attacks])
    occurred, received = ledger.phone_times(scans.day)
    ids = ledger.ids(scans.item.size)
    places = _places(world)
    moments = zip(iso(occurred), iso(received), strict=True)
    lines = []
    columns = zip(scans.item.tolist(), scans.device.tolist(), scans.attack.tolist(), strict=True)
    for number, ((item, device, attack), (told, came)) in enumerate(zip(columns, moments, strict=True)):
        code = codes[item] if item >= 0 else forged[base[attack] - 1 - item]
        phone = f"C{(device * _DEVICE_FACTOR) & _DEVICE_MASK:010x}"
        lines.append(
            f'{{"event_id":"{ids[number]}","type":"consumer_scan","occurred_at":"{told}","received_at":"{came}",'
            f'"device_id":"{phone}","actor":"consumer","codes":["{code}"],{places[number]}}}'.encode()
        )
        if attack >= 0:
            events_of[attack].append(ids[number])
    ledger.add(lines, received)


def _places(world: World) -> list[str]:
    """Return the part of each event that says where it was."""
    seen, cities = world.scans.seen, world.land.cities.adcodes
    rows = zip(
        seen.source.tolist(),
        seen.city.tolist(),
        seen.lat.round(6).tolist(),
        seen.lon.round(6).tolist(),
        seen.accuracy_m.round(1).tolist(),
        seen.platform.tolist(),
        world.scans.shop.tolist(),
        strict=True,
    )
    found = []
    for source, city, lat, lon, accuracy, platform, shop in rows:
        if source == GPS:
            place = f'"source":"gps","lat":{lat},"lon":{lon},"accuracy_m":{accuracy},"platform":"{PLATFORMS[platform]}"'
        elif source == IP:
            place = f'"source":"ip","adcode":"{cities[city]}","lat":{lat},"lon":{lon},"accuracy_m":{accuracy}'
        elif source == SHOP:
            place = f'"source":"store","place":"{world.network.stores[shop].id}"'
        else:
            place = '"source":"none"'
        found.append(place)
    return found
