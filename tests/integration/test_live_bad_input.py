"""What cannot be, from the landing tables to the engine: nothing stops, nobody is accused, and all of it shows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from conftest import TestDatabase
from psycopg import sql
from trace_market import BOOT, Market

from geofence.maps import AtomMap

NOW = datetime.now(UTC).replace(microsecond=0)
BEFORE = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
AFTER = datetime(2199, 12, 31, tzinfo=UTC)
IMPOSSIBLE = (BEFORE, AFTER, NOW + timedelta(days=3), NOW - timedelta(days=400))
HOME = (104.07, 30.67)
FAR = (118.80, 32.06)


@pytest.fixture
def market(database: TestDatabase, atoms: AtomMap) -> Iterator[Market]:
    market = Market(database, atoms, start=NOW - timedelta(days=2))
    yield market
    market.close()


class Bad:
    """Lands rows as they come, whatever they say, and the work for them."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.seq = 1_000

    def scan(self, code: str, ts: datetime, place: tuple[float, float] | None = FAR, **said: object) -> str:
        """Land one scan, by a phone unless said otherwise; return its number as the engine's log has it."""
        self.seq += 1
        row: dict[str, Any] = {
            "device": "gateway-market", "boot": BOOT, "seq": self.seq, "ts": ts, "sent_at": ts, "received_at": NOW,
            "content": 0, "site": "market", "code": code, "symbology": "QR", "aim": "", "activity": "consumer",
            "reference": "", "parent": "", "recipient": "", "operator": "",
        }  # fmt: skip
        if place is not None:
            row |= {"lon": place[0], "lat": place[1], "accuracy_m": 20.0, "platform": "android", "crs": "wgs84"}
        row |= said
        names = sql.SQL(", ").join(map(sql.Identifier, row))
        values = sql.SQL(", ").join(map(sql.Placeholder, row))
        with psycopg.connect(self.market.database.ingest_dsn) as ingest:
            statement = sql.SQL("INSERT INTO landing.scan ({}) VALUES ({}) ON CONFLICT DO NOTHING")
            ingest.execute(statement.format(names, values), row)
            ingest.execute(
                "INSERT INTO landing.work (kind, device, boot, seq, ts)"
                " VALUES ('scan', %(device)s, %(boot)s, %(seq)s, %(ts)s)",
                row,
            )
        return f"{row['device']}/{BOOT}/{row['seq']}"

    def station(self, activity: str, code: str, ts: datetime, **said: object) -> str:
        return self.scan(
            code, ts, None, **{"activity": activity, "device": f"station-{activity}", "site": "dc-east"} | said
        )


def land_what_cannot_be(bad: Bad, cases: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Land all of it; return the numbers of scans by a clock that nobody believes, and of those by a sound one."""
    items = [item for case in cases for item in case["items"]]
    wrong = [bad.scan(item, ts) for item, ts in zip(items, IMPOSSIBLE, strict=False)]
    for ts in (BEFORE, AFTER):
        bad.station("receive", cases[0]["label"], ts)
        bad.station("sell", items[6], ts, site="S-CHENGDU-01")
        bad.station("pack", items[7], ts, site="factory", parent=cases[2]["label"])
    # The same message again, with work of its own each time.
    twice = {bad.scan(items[-1], NOW, HOME, seq=77) for _ in range(3)}
    # Received long ago, and hours from now.
    order = [bad.scan(items[-2], NOW - timedelta(days=1), HOME, received_at=NOW + timedelta(hours=7))]
    order.append(bad.scan(items[-3], NOW - timedelta(days=21), HOME, received_at=NOW - timedelta(days=20)))
    # Dealers, sites, places and goods that nobody knows.
    bad.station("ship", cases[3]["label"], NOW, reference="SO-?", recipient="D-NOBODY")
    bad.station("receive", cases[4]["label"], NOW, site="nowhere")
    bad.station("receive", f"https://id.gs1.org/00/{0:018}", NOW)
    bad.station("ship", "", NOW, recipient="D-CHENGDU")
    bad.scan(items[-4], NOW, site="nowhere", device="stranger", accuracy_m=9e6)
    bad.scan(items[-5], NOW, (0.0, 0.0))
    bad.scan("\u202e](/01/99999999999999/21/'; DROP", NOW)
    return {"wrong": wrong, "sound": [*twice, *order]}


def test_rows_that_cannot_be_stop_nothing_accuse_nobody_and_show(market: Market) -> None:
    bad, worker = Bad(market), market.worker()
    cases = market.cases_to("D-CHENGDU")[:8]
    for case in cases:
        market.land(*market.pack(case), market.ship(case, "D-CHENGDU"))
    worker.drain(market.connection)
    numbers = land_what_cannot_be(bad, cases)
    worker.drain(market.connection)
    # The stream goes on: what comes next is decided as ever.
    good = bad.scan(cases[7]["items"][0], NOW, HOME)
    worker.drain(market.connection)
    last = "SELECT custody_state, place FROM trace.verdict WHERE device = 'gateway-market' AND seq = %s"
    assert market.rows(last, bad.seq) == [("ok", "inside")]
    assert market.rows("SELECT count(*) FROM trace.alert") == [(0,)]
    assert market.rows("SELECT count(*) FROM landing.work") == [(0,)]
    assert market.rows("SELECT count(*) FROM trace.observation_inbox") == [(0,)]
    # Nothing is left out without a word: each scan has a verdict, and what custody refuses a reason.
    assert market.rows(
        "SELECT count(*) FROM landing.scan LEFT JOIN trace.verdict USING (device, boot, seq) WHERE verdict.unit IS NULL"
    ) == [(0,)]
    reasons = {row[0] for row in market.rows("SELECT DISTINCT reason FROM trace.quarantine")}
    assert reasons >= {"unknown_dealer", "unknown_site", "code_not_accepted", "not_shipped"}
    # The engine was told once of each, and when nobody knows the time, that nobody knows it.
    told = market.rows("SELECT body ->> 'event', body ->> 'dated' FROM trace.observation WHERE kind = 'sighting'")
    assert sorted(row for row in told if row[0] in numbers["wrong"]) == sorted(
        (each, "false") for each in numbers["wrong"]
    )
    assert sorted(row for row in told if row[0] in {*numbers["sound"], good}) == sorted(
        (each, "true") for each in {*numbers["sound"], good}
    )
