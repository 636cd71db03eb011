"""A database that lost what a finished start of an agent had sent gets it back from that agent, without a word."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import TestBroker, TestDatabase
from edge_parts import SITE, keep
from ingest_parts import environment, ingest_process, query, register
from waiting import wait_for

from edge.outbox import Outbox
from edge.settings import AgentSettings
from edge.uplink import Uplink

DEVICE = "station-x"
CODES = [f"code-{number}" for number in range(30)]
RESTORE = """
WITH scans AS (DELETE FROM landing.scan WHERE boot = %(boot)s AND seq > %(last)s),
     states AS (DELETE FROM landing.status WHERE boot = %(boot)s AND seq > %(last)s),
     work AS (DELETE FROM landing.work WHERE boot = %(boot)s AND seq > %(last)s),
     part AS (UPDATE landing.work SET following = following[:%(last)s - seq] WHERE boot = %(boot)s AND seq <= %(last)s)
UPDATE landing.received SET ranges = ranges * int8multirange(int8range(1, %(last)s + 1)) WHERE boot = %(boot)s
RETURNING 1
"""


@pytest.mark.parametrize("last", [0, 10], ids=["it knows nothing of the start", "it lacks the end of the start"])
def test_what_a_finished_start_had_sent_comes_back(
    tmp_path: Path,
    database: TestDatabase,
    start_broker: Callable[[Mapping[str, str]], TestBroker],
    monkeypatch: pytest.MonkeyPatch,
    last: int,
) -> None:
    monkeypatch.setattr("edge.uplink.uplink.ROLL_CALL_SECONDS", 0.5)
    broker = start_broker({DEVICE: SITE})
    register(database.owner_dsn, {DEVICE: SITE})
    access = {"broker_port": broker.port, "broker_password": broker.passwords[DEVICE]}
    settings = AgentSettings.model_validate({"device": DEVICE, "site": SITE, "data": tmp_path, **access})
    upkeep = {"INGEST_MAINTENANCE_SECONDS": "0.5", "INGEST_GAP_SECONDS": "1"}

    def stored() -> Counter[str]:
        return Counter(code for (code,) in query(database.owner_dsn, "SELECT code FROM landing.scan"))

    log = tmp_path / "ingest.log"
    with ingest_process({**environment(database.ingest_dsn, broker), **upkeep}, log):
        # A broker drops what nobody has subscribed to yet, and the edge sends that again only after half a minute.
        wait_for(lambda: b'"ingest.connected"' in log.read_bytes())
        with Outbox(tmp_path / "outbox.db") as outbox:
            finished = outbox.boot
            uplink = Uplink(settings, outbox, "1.0", lambda: None)
            uplink.start()
            keep(outbox, *CODES)
            wait_for(lambda: outbox.depth == 0)
            uplink.stop(3)
        with Outbox(tmp_path / "outbox.db") as outbox:
            uplink = Uplink(settings, outbox, "1.0", lambda: None)
            uplink.start()
            try:
                wait_for(lambda: uplink.is_online and outbox.depth == 0)
                take_back(database.owner_dsn, finished, last)
                assert sum(stored().values()) < len(CODES)
                keep(outbox, "heard of since")  # a device that is away is not asked
                wait_for(lambda: stored() == Counter([*CODES, "heard of since"]))
            finally:
                uplink.stop(0)


def take_back(dsn: str, boot: str, last: int) -> None:
    """Take the database back to an earlier point, as far as one start of one device is concerned."""
    statement = RESTORE.replace("%(boot)s", f"'{boot}'::uuid").replace("%(last)s", str(last))
    assert query(dsn, statement) == [(1,)]
