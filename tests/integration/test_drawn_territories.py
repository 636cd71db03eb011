"""A territory that was drawn, not chosen by divisions: the engine takes what it meets for the dealer's own."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
import shapely
from conftest import TestDatabase

from geofence.maps import load_installed_map
from trace_service.detection.live.network import load_network
from trace_service.detection.observations import Goods, Position, Sighting, Source
from trace_service.detection.placing import Placer
from trace_service.detection.settings import Settings
from trace_service.store.connection import Connection, connect

CHENGDU = (104.07, 30.67)
NANJING = (118.80, 32.06)
NOW = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def connection(database: TestDatabase) -> Iterator[Connection]:
    with psycopg.connect(database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.brand VALUES ('w', '界', 'World')")
        owner.execute(
            "INSERT INTO trace.dealer (id, brand, name_zh, name_en, kind, level, lft, rgt)"
            " VALUES ('D', 'w', 'D', 'D', 'city', 1, 1, 2)"
        )
        drawn = shapely.to_wkb(shapely.Point(*CHENGDU).buffer(0.2))
        owner.execute(
            "INSERT INTO trace.territory (brand, dealer, channel, adcodes, polygon, exclusive, valid_from, sha256)"
            " VALUES ('w', 'D', 'offline', '{}', %s, true, '2020-01-01', sha256(''))",
            (drawn,),
        )
    with connect(database.trace_dsn, "tests of drawn territories") as connection:
        yield connection


def test_goods_inside_a_drawn_territory_are_at_home_and_far_from_it_they_are_not(connection: Connection) -> None:
    placer = Placer(load_network(connection, "w", load_installed_map()), Settings())
    foreign = []
    for number, (lon, lat) in enumerate((CHENGDU, NANJING)):
        goods = Goods(unit=f"u{number}", case=f"c{number}", dealer="D")
        where = Position(source=Source.GPS, lat=lat, lon=lon, accuracy_m=20.0)
        placed = placer.place(
            Sighting(key=str(number), event=str(number), kind="scan", goods=goods, position=where, occurred_at=NOW,
                     received_at=NOW)
        )  # fmt: skip
        assert placed is not None
        foreign.append(placed.foreign)
    assert foreign == [False, True]
