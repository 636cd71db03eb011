"""A generated world whose alerts the live engine raised into a real database, with verdicts and custody behind them."""

import base64
import secrets
from pathlib import Path

from console_world import PASSWORD, World
from engine_facts import BRAND, numbered, write_facts
from engine_fences import divisions, moment
from pydantic import SecretStr

from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.telling.writing import write_world
from trace_service.accounts import add_account
from trace_service.backtest.feed import Feed
from trace_service.backtest.world import read_world
from trace_service.detection.engine import Engine
from trace_service.detection.live.feed import put
from trace_service.detection.live.snapshots import Snapshots
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation
from trace_service.processing.follow import Live
from trace_service.settings import TraceSettings
from trace_service.store.connection import Connection, connect
from trace_service.web.build_assets import ensure_assets

MANAGER, SECOND = "lin", "zhou"


def make_engine_world(owner_dsn: str, trace_dsn: str, folder: Path, request: Request) -> World:
    """Fill a migrated database with a world's channel, and let the live engine take in its observations."""
    if not (folder / "events.jsonl").exists():
        write_world(make_world(request), folder, lambda _: None, compressed=False)
    read = read_world(folder, lambda _: None)
    network = Network(read.channel)
    observations = numbered(Feed(read, network))
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    with connect(owner_dsn, "engine world") as connection:
        connection.execute("INSERT INTO trace.brand VALUES (%s, '蒙山酒业', 'Mengshan')", (BRAND,))
        _register(connection, network, _names(folder))
        for login, name in ((MANAGER, "林岚"), (SECOND, "周可")):
            profile = {"brand": BRAND, "name": name, "role": "manager", "language": "zh"}
            add_account(connection, login, PASSWORD, profile)
        write_facts(connection, network, observations, _cited(network, observations), folder)
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
    for store in {each.id: each for each in network.channel.stores}.values():
        connection.execute(
            "INSERT INTO trace.site (id, kind, dealer, name_zh, name_en, lon, lat)"
            " VALUES (%s, 'store', %s, %s, %s, %s, %s)",
            (store.id, store.dealer, f"门店 {store.id[1:]}", f"Shop {store.id[1:]}", store.lon, store.lat),
        )
    for product in network.channel.products:
        connection.execute(
            "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
            " VALUES (%s, %s, '蒙山老窖', 'Mengshan', %s, %s, 900)",
            (product.gtin, BRAND, product.items_per_case, product.unit_price),
        )
