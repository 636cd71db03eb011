"""Rollups equal what the events add up to, whenever they come and whoever stores them."""

import random
import threading
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from conftest import TestDatabase
from ingest_parts import SITE, now_ms, query, register

from contracts.messages import Activity, Environment, Event, Scan, Stock, encode_event, pack
from contracts.topics import Kind, event_topic
from ingest.landing.decode import decode
from ingest.landing.writer import Writer, connect
from ingest.upkeep.rollups import roll_up

GTIN, OTHER = "06901234567892", "06901234567908"
WIDTHS = {5: timedelta(minutes=5), 60: timedelta(hours=1), 1440: timedelta(days=1)}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEVICES = ("station-1", "station-2")


@pytest.fixture(autouse=True)
def _registered(database: TestDatabase) -> None:
    register(database.owner_dsn, dict.fromkeys(DEVICES, SITE))


class Sender:
    """Numbers events and hands them to the real writer."""

    def __init__(self, database: TestDatabase) -> None:
        self._writer = Writer(database.ingest_dsn, "test")
        self._seq: Counter[str] = Counter()

    def send(self, device: str, kind: Kind, *events: Event) -> None:
        seq = self._seq[device] + 1
        self._seq[device] += len(events)
        boot = f"{DEVICES.index(device):032x}"
        payload = pack(boot, seq, now_ms(), [encode_event(event) for event in events])
        self._writer.write([decode(event_topic(SITE, device, kind), payload, now_ms())])

    def close(self) -> None:
        self._writer.close()


def bucket(ts: int, minutes: int) -> datetime:
    moment = EPOCH + timedelta(milliseconds=ts)
    return moment - (moment - EPOCH) % WIDTHS[minutes]


def renew(database: TestDatabase) -> int:
    with connect(database.ingest_dsn, "rollups") as connection:
        return roll_up(connection)


def scans(database: TestDatabase) -> dict[tuple[object, ...], int]:
    rows = query(database.owner_dsn, "SELECT minutes, bucket, activity, device, scans FROM landing.scan_rollup")
    return {tuple(row[:-1]): row[-1] for row in rows}


def test_counts_of_scans_are_exact_at_every_width_with_late_and_repeated_events(database: TestDatabase) -> None:
    chance = random.Random(7)
    sender = Sender(database)
    now = now_ms()
    expected: Counter[tuple[object, ...]] = Counter()
    for _ in range(6):
        for _ in range(5):
            # Most are fresh, some are up to four weeks late.
            age = chance.choice([chance.randrange(900_000), chance.randrange(28 * 86_400_000)])
            device, activity = chance.choice(DEVICES), chance.choice([Activity.SHIP, Activity.SELL])
            sender.send(device, Kind.SCAN, *[Scan(ts=now - age, code="x", symbology="qr", activity=activity)] * 3)
            for minutes in WIDTHS:
                expected[minutes, bucket(now - age, minutes), activity.value, device] += 3
        assert renew(database) > 0
        assert scans(database) == expected
    sender.close()
    assert renew(database) == 0
    assert scans(database) == expected


def test_stock_has_least_most_and_last_units_and_disbelieves_faulty_readings(database: TestDatabase) -> None:
    sender = Sender(database)
    start = int(bucket(now_ms() - 3 * 86_400_000, 1440).timestamp() * 1000)

    def reading(minute: float, units: int, *, gtin: str = GTIN, channel: int = 1, fault: str = "") -> Stock:
        ts = start + round(minute * 60_000)
        return Stock(ts=ts, channel=channel, gtin=gtin, grams=0, units=units, confidence=1, fault=fault)

    sender.send(DEVICES[0], Kind.STOCK, reading(1, 9), reading(4, 7), reading(2, 30, fault="UNSTABLE"))
    renew(database)
    sender.send(DEVICES[0], Kind.STOCK, reading(3, 8), reading(65, 12), reading(6, 5, gtin=OTHER, channel=2))
    sender.send(DEVICES[1], Kind.STOCK, reading(61, 0, fault="SILENT"))
    renew(database)
    sender.close()
    rows = query(
        database.owner_dsn,
        "SELECT minutes, extract(epoch FROM bucket)::bigint, device, gtin, readings, min_units, max_units, last_units,"
        " faults FROM landing.stock_rollup ORDER BY minutes, bucket, device, gtin",
    )
    origin = start // 1000
    one, two = DEVICES
    assert rows == [
        (5, origin, one, GTIN, 4, 7, 9, 7, 1),
        (5, origin + 300, one, OTHER, 1, 5, 5, 5, 0),
        (5, origin + 3600, two, GTIN, 1, None, None, None, 1),
        (5, origin + 3900, one, GTIN, 1, 12, 12, 12, 0),
        (60, origin, one, GTIN, 4, 7, 9, 7, 1),
        (60, origin, one, OTHER, 1, 5, 5, 5, 0),
        (60, origin + 3600, one, GTIN, 1, 12, 12, 12, 0),
        (60, origin + 3600, two, GTIN, 1, None, None, None, 1),
        (1440, origin, one, GTIN, 5, 7, 12, 12, 1),
        (1440, origin, one, OTHER, 1, 5, 5, 5, 0),
        (1440, origin, two, GTIN, 1, None, None, None, 1),
    ]


def test_climate_has_least_mean_and_most_and_a_sensor_without_humidity_has_none(database: TestDatabase) -> None:
    sender = Sender(database)
    start = int(bucket(now_ms() - 86_400_000, 60).timestamp() * 1000)
    for minute, temperature, humidity in [(0, 4.0, 50.0), (1, 8.0, None), (6, -3.0, 60.0)]:
        ts = start + minute * 60_000
        sender.send(DEVICES[0], Kind.ENV, Environment(ts=ts, temperature_c=temperature, humidity=humidity))
        sender.send(DEVICES[1], Kind.ENV, Environment(ts=ts, temperature_c=1.5))
        renew(database)
    sender.close()
    rows = query(
        database.owner_dsn,
        "SELECT minutes, device, readings, min_temperature_c, avg_temperature_c, max_temperature_c, min_humidity,"
        " avg_humidity, max_humidity FROM landing.environment_rollup WHERE minutes IN (5, 60) ORDER BY 1, bucket, 2",
    )
    assert rows == [
        (5, DEVICES[0], 2, 4.0, 6.0, 8.0, 50.0, 50.0, 50.0),
        (5, DEVICES[1], 2, 1.5, 1.5, 1.5, None, None, None),
        (5, DEVICES[0], 1, -3.0, -3.0, -3.0, 60.0, 60.0, 60.0),
        (5, DEVICES[1], 1, 1.5, 1.5, 1.5, None, None, None),
        (60, DEVICES[0], 3, -3.0, 3.0, 8.0, 50.0, 55.0, 60.0),
        (60, DEVICES[1], 3, 1.5, 1.5, 1.5, None, None, None),
    ]


def test_events_that_commit_while_buckets_are_added_up_are_not_forgotten(database: TestDatabase) -> None:
    now = now_ms()
    sent: dict[str, int] = defaultdict(int)

    def store(device: str) -> None:
        sender = Sender(database)
        for _ in range(60):
            sender.send(device, Kind.SCAN, *[Scan(ts=now, code="x", symbology="qr")] * 2)
            sent[device] += 2
        sender.close()

    threads = [threading.Thread(target=store, args=(device,)) for device in DEVICES]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        renew(database)
    renew(database)
    for minutes in WIDTHS:
        for device in DEVICES:
            assert scans(database)[minutes, bucket(now, minutes), "observe", device] == sent[device] == 120
