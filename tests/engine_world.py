"""A generated world whose alerts the live engine raised into a real database, with verdicts and custody behind them."""

import base64
import secrets
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from console_world import PASSWORD, World
from engine_fences import city_of, divisions, findings, moment
from msgspec import structs
from pydantic import SecretStr

from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.writing import write_world
from geofence.finding import Finding
from trace_service.accounts import add_account
from trace_service.backtest.feed import Feed
from trace_service.backtest.world import read_world
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import put
from trace_service.detection.live.follow import Live
from trace_service.detection.live.snapshots import Snapshots
from trace_service.detection.network import Network
from trace_service.detection.observations import Binding, Movement, Observation, Sighting, Source
from trace_service.settings import TraceSettings
from trace_service.store.connection import Connection, connect
from trace_service.web.build_assets import ensure_assets

BRAND, MANAGER, SECOND = "w", "lin", "zhou"
BOOT = UUID("0d2c8a6e-51c4-4c0e-9a53-5c0f4b7d8e10")
_STEPS = {"ship": "shipping", "receive": "receiving", "transfer": "transfer_approving", "return": "returning"}
_ACTIVITIES = {"scan": "consumer", "sale": "sell", "inspect": "inspect"}


def make_engine_world(owner_dsn: str, trace_dsn: str, folder: Path, request: Request) -> World:
    """Fill a migrated database with a world's channel, and let the live engine take in its observations."""
    if not (folder / "events.jsonl").exists():
        write_world(make_world(request), folder, lambda _: None, compressed=False)
    read = read_world(folder, lambda _: None)
    network = Network(read.channel)
    observations, numbers = _numbered(list(Feed(read, network)))
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with connect(owner_dsn, "engine world") as connection:
        connection.execute("INSERT INTO trace.brand VALUES (%s, '蒙山酒业', 'Mengshan')", (BRAND,))
        _register(connection, network, _names(folder))
        for login, name in ((MANAGER, "林岚"), (SECOND, "周可")):
            profile = {"brand": BRAND, "name": name, "role": "manager", "language": "zh"}
            add_account(connection, login, PASSWORD, profile)
        _facts(connection, network, observations, _cited(network, observations), numbers)
    with connect(trace_dsn, "engine") as session:
        snapshots = Snapshots(trace_dsn, bytes(range(32)))
        live = Live(lambda _connection, _brand: network, lambda _connection, _told: None, snapshots)
        put(session, BRAND, observations)
        while live.follow(session):
            pass
        row = session.execute("SELECT min(id) FROM trace.alert").fetchone()
    ensure_assets(lambda _: None)
    settings = TraceSettings(database_url=SecretStr(trace_dsn), key_encryption_key=SecretStr(key))
    return World(owner_dsn, settings, int(row[0]) if row else 0, 0, [])


def _names(folder: Path) -> dict[str, str]:
    lines = (folder / "dealers.csv").read_text("utf-8").splitlines()[1:]
    return {line.split(",")[0]: line.split(",")[3] for line in lines}


def _numbered(observations: list[Observation]) -> tuple[list[Observation], dict[str, int]]:
    """Give every event the form of a message's number."""
    numbers: dict[str, int] = {}
    found: list[Observation] = []
    for each in observations:
        if isinstance(each, Sighting | Movement | Binding):
            seq = numbers.setdefault(each.event, len(numbers) + 1)
            found.append(structs.replace(each, event=f"gateway/{BOOT}/{seq}"))
        else:
            found.append(each)
    return found, {f"gateway/{BOOT}/{seq}": seq for seq in numbers.values()}


def _cited(network: Network, observations: list[Observation]) -> set[str]:
    """Return the events that any alert ever cites."""
    engine = Engine(network)
    return {event for each in observations for change in engine.observe(each) for event in change.alert.events}


def _register(connection: Connection, network: Network, names: dict[str, str]) -> None:
    for place, dealer in enumerate(network.dealers.values()):
        name = names.get(dealer.id, dealer.id)
        connection.execute(
            "INSERT INTO trace.dealer (id, brand, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            (dealer.id, BRAND, name, f"Dealer {dealer.id}", dealer.kind, dealer.level, 2 * place, 2 * place + 1),
        )
        connection.execute(
            "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, lon, lat)"
            " VALUES (%s, 'warehouse', %s, %s, %s, %s, %s)",
            (f"site-{dealer.id}", dealer.id, f"{name}仓库", f"Warehouse of {dealer.id}", dealer.lon, dealer.lat),
        )  # fmt: skip
        for territory in network.channel.territories:
            if territory.dealer != dealer.id:
                continue
            connection.execute(
                "INSERT INTO trace.territory (brand, dealer, adcodes, valid_from, valid_to, sha256)"
                " VALUES (%s, %s, %s, %s, %s, '')",
                (
                    BRAND, dealer.id, divisions(territory), moment(territory.valid_from),
                    moment(territory.valid_to) if territory.valid_to else None,
                ),
            )  # fmt: skip
    for product in network.channel.products:
        connection.execute(
            "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
            " VALUES (%s, %s, '蒙山老窖', 'Mengshan', %s, %s, 900)",
            (product.gtin, BRAND, product.items_per_case, product.unit_price),
        )


def _facts(
    connection: psycopg.Connection[Any], network: Network, observations: list[Observation], cited: set[str],
    numbers: dict[str, int],
) -> None:  # fmt: skip
    """Write the verdict on every cited scan, and what is on record of every case that one was of."""
    latest: dict[str, Sighting] = {}
    for each in observations:
        if isinstance(each, Sighting) and each.event in cited:
            latest[each.event] = each
    cases = {each.goods.case for each in latest.values()}
    moved = {
        (each.event, each.goods.case): each
        for each in observations
        if isinstance(each, Movement) and each.goods.case in cases
    }
    found = findings(network, latest.values())
    with connection.transaction():
        for event, each in latest.items():
            _verdict(connection, network, each, (numbers[event], found.get(event)))
        for number, movement in enumerate(moved.values(), start=1_000_000):
            _custody(connection, movement, number)


def _verdict(
    connection: psycopg.Connection[Any], network: Network, seen: Sighting, judged: tuple[int, Finding | None]
) -> None:
    """Write a scan with its number and finding, as it lands and as the worker writes the verdict on it."""
    goods, at = seen.goods, seen.position
    seq, finding = judged
    by_address = at.source is Source.IP
    row = {
        "boot": BOOT, "seq": seq, "brand": BRAND, "code": goods.unit,
        "gtin": goods.product or network.channel.products[0].gtin, "case": goods.case or goods.unit,
        "at": moment(seen.occurred_at), "state": "genuine" if goods.case else "unknown", "lon": at.lon, "lat": at.lat,
        "accuracy": at.accuracy_m, "platform": "address" if by_address else "web", "city": None, "far": None,
        "inside": None, "place": "not_checked", "dealer": None, "shipment": goods.shipment,
        "activity": _ACTIVITIES[seen.kind],
    }  # fmt: skip
    connection.execute(
        "INSERT INTO landing.scan VALUES ('gateway', %(boot)s, %(seq)s, %(at)s, %(at)s, %(at)s, 0, 'market', %(code)s,"
        " 'qr', ']Q1', %(activity)s, '', '', '', '', %(lon)s, %(lat)s, %(accuracy)s, %(platform)s, 'wgs84', NULL)",
        row,
    )
    if finding is not None:
        row |= {
            "place": finding.verdict.value, "inside": finding.p_inside, "far": finding.signed_distance_m,
            "city": city_of(finding), "dealer": goods.dealer,
        }  # fmt: skip
    if by_address:
        row |= {"lon": None, "lat": None}
    connection.execute(
        "INSERT INTO trace.verdict (device, boot, seq, brand, code, unit, gtin, case_unit, activity, occurred_at,"
        " code_state, custody_state, place, p_inside, signed_distance_m, lon, lat, accuracy_m, city, dealer, shipment,"
        " territory) SELECT 'gateway', %(boot)s, %(seq)s, %(brand)s, %(code)s, %(code)s, %(gtin)s, %(case)s,"
        " %(activity)s, %(at)s, %(state)s, 'ok', %(place)s, %(inside)s, %(far)s, %(lon)s, %(lat)s, %(accuracy)s,"
        " %(city)s, %(dealer)s, %(shipment)s, max(id) FROM trace.territory"
        " WHERE dealer = %(dealer)s AND valid_from <= %(at)s AND (valid_to IS NULL OR %(at)s < valid_to)",
        row,
    )


def _custody(connection: psycopg.Connection[Any], moved: Movement, seq: int) -> None:
    site = moved.site_dealer or "BRAND"
    connection.execute(
        "INSERT INTO trace.custody_event"
        " (brand, unit, biz_step, site, dealer, shipment, occurred_at, device, boot, seq)"
        " SELECT %s, %s, %s, id, %s, %s, %s, 'station', %s, %s FROM trace.site WHERE id = %s",
        (
            BRAND, moved.goods.case, _STEPS[moved.kind], moved.goods.dealer, moved.shipment, moment(moved.occurred_at),
            BOOT, seq, f"site-{site}",
        ),
    )  # fmt: skip
