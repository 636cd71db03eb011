"""What lies behind a generated world's alerts: scans as they landed, verdicts as the worker writes them, custody."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from engine_fences import city_of, findings, moment
from msgspec import structs

from geofence.finding import Finding
from trace_service.detection.network import Network
from trace_service.detection.observations import Binding, Movement, Observation, Position, Shipment, Sighting, Source
from trace_service.store.connection import Connection

BOOT = UUID("0d2c8a6e-51c4-4c0e-9a53-5c0f4b7d8e10")
BRAND = "w"
_STEPS = {"ship": "shipping", "receive": "receiving", "transfer": "transfer_approving", "return": "returning"}
_ACTIVITIES = {"scan": "consumer", "sale": "sell", "inspect": "inspect", "ship": "ship", "receive": "receive"}


def numbered(observations: Iterable[Observation]) -> list[Observation]:
    """Give every event the form of a message's number: a phone's scan by the gateway, a reader's by its station."""
    numbers: dict[str, int] = {}
    found: list[Observation] = []
    for each in observations:
        if isinstance(each, Movement | Sighting | Binding):
            # A reader sends a message a code, where a world's event names several.
            seq = numbers.setdefault(f"{type(each).__name__} {each.key}", len(numbers) + 1)
            device = "station" if isinstance(each, Movement) else "gateway"
            found.append(structs.replace(each, event=f"{device}/{BOOT}/{seq}"))
        else:
            found.append(each)
    return found


def write_facts(
    connection: Connection, network: Network, observations: list[Observation], cited: set[str], folder: Path
) -> None:
    """Write the verdict on every cited scan, and what is on record of every case that one was of."""
    latest = {
        each.event: each for each in observations if isinstance(each, Sighting | Movement) and each.event in cited
    }
    cases = {each.goods.case for each in latest.values() if each.goods.case}
    for each in observations:
        if isinstance(each, Binding) and each.event in cited:
            cases.update(each.cases)
    moved = {
        (each.event, each.goods.case): each
        for each in observations
        if isinstance(each, Movement) and each.goods.case in cases
    }
    papers = {each.key: each.receiver for each in observations if isinstance(each, Shipment)}
    seen = [_seen(each, network) for each in latest.values()]
    found = findings(network, seen)
    with connection.transaction():
        for each in seen:
            _verdict(connection, network, each, found.get(each.event))
        for number, (case, at) in enumerate(_packed(folder, cases), start=10_000_000):
            row = {"unit": case, "step": "packing", "site": "site-BRAND", "at": at, "seq": number}
            _custody(connection, row)
        for movement in moved.values():
            to = papers.get(movement.shipment or "") if movement.kind == "ship" else None
            place = movement.position.place or ""
            row = {
                "unit": movement.goods.case, "step": _STEPS[movement.kind], "at": moment(movement.occurred_at),
                "site": place if place.startswith("S") else f"site-{movement.site_dealer or 'BRAND'}",
                "dealer": to if to in network.dealers else None, "shipment": movement.shipment,
                "seq": int(movement.event.rsplit("/", 1)[1]),
            }  # fmt: skip
            _custody(connection, row)


def _seen(each: Sighting | Movement, network: Network) -> Sighting:
    """A movement as the sighting that its scan is: at the site of whoever runs the reader."""
    if isinstance(each, Sighting):
        return each
    keeper = network.dealers.get(each.site_dealer or "")
    at = each.position
    if keeper is not None and at.lat is None:
        at = Position(source=Source.SITE, lat=keeper.lat, lon=keeper.lon, place=keeper.id)
    return Sighting(
        key=each.key, event=each.event, kind=each.kind, goods=each.goods, position=at,
        occurred_at=each.occurred_at, received_at=each.received_at, device=each.device,
    )  # fmt: skip


def _packed(folder: Path, cases: set[str]) -> Iterator[tuple[str, datetime]]:
    with (folder / "events.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            if '"type":"pack"' in line and (event := json.loads(line))["parent"] in cases:
                yield event["parent"], datetime.fromisoformat(event["occurred_at"])


def _verdict(connection: psycopg.Connection[Any], network: Network, seen: Sighting, finding: Finding | None) -> None:
    """Write a scan with its finding, as it lands and as the worker writes the verdict on it."""
    goods, at = seen.goods, seen.position
    device, _, seq = seen.event.split("/")
    row = {
        "device": device, "boot": BOOT, "seq": int(seq), "brand": BRAND, "code": goods.unit,
        "gtin": goods.product or network.channel.products[0].gtin, "case": goods.case or goods.unit,
        "at": moment(seen.occurred_at), "state": "genuine" if goods.case else "unknown", "lon": at.lon, "lat": at.lat,
        "accuracy": at.accuracy_m, "platform": "address" if at.source is Source.IP else "web", "city": None,
        "far": None, "inside": None, "place": "not_checked", "dealer": None, "shipment": goods.shipment,
        "activity": _ACTIVITIES.get(seen.kind, "receive"), "phone": seen.device,
    }  # fmt: skip
    connection.execute(
        "INSERT INTO landing.scan VALUES (%(device)s, %(boot)s, %(seq)s, %(at)s, %(at)s, %(at)s, 0, 'market',"
        " %(code)s, 'qr', ']Q1', %(activity)s, '', '', '', %(phone)s, %(lon)s, %(lat)s, %(accuracy)s, %(platform)s,"
        " 'wgs84', NULL)",
        row,
    )
    if finding is None or finding.place is None:
        row |= {"lon": None, "lat": None}  # as the worker leaves what it has not judged
    if finding is not None:
        row |= {
            "place": finding.verdict.value, "inside": finding.p_inside, "far": finding.signed_distance_m,
            "city": city_of(finding), "dealer": goods.dealer,
        }  # fmt: skip
    connection.execute(
        "INSERT INTO trace.verdict (device, boot, seq, brand, code, unit, gtin, case_unit, activity, occurred_at,"
        " code_state, custody_state, place, p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment,"
        " territory) SELECT %(device)s, %(boot)s, %(seq)s, %(brand)s, %(code)s, %(code)s, %(gtin)s, %(case)s,"
        " %(activity)s, %(at)s, %(state)s, 'ok', %(place)s, %(inside)s, %(far)s, %(lon)s, %(lat)s, %(accuracy)s,"
        " %(city)s, %(dealer)s, %(shipment)s, max(id) FROM trace.territory"
        " WHERE dealer = %(dealer)s AND valid_from <= %(at)s AND (valid_to IS NULL OR %(at)s < valid_to)",
        row,
    )


def _custody(connection: psycopg.Connection[Any], row: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO trace.custody_event (brand, unit, biz_step, site, dealer, shipment, occurred_at, device, boot,"
        " seq) SELECT %(brand)s, %(unit)s, %(step)s, id, %(dealer)s, %(shipment)s, %(at)s, 'station', %(boot)s,"
        " %(seq)s FROM trace.site WHERE id = %(site)s ON CONFLICT DO NOTHING",
        {"brand": BRAND, "boot": BOOT, "dealer": None, "shipment": None, **row},
    )
