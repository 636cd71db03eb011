"""A tiny generated world against a real broker, a real ingest and a real database."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from conftest import TestBroker, TestDatabase
from epcis_parts import BRAND, send, serving
from ingest_parts import CODEFENCE, environment, ingest_process, query, register
from waiting import wait_for

from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Request
from firmware_sim.world.playing.channel import write_channel
from firmware_sim.world.playing.folder import events
from firmware_sim.world.playing.translate import DOCUMENTED, Clock, captured
from firmware_sim.world.telling.writing import write_world
from geofence.maps import load_installed_map
from trace_service.channel.importer import Job, import_files
from trace_service.store.connection import connect

StartBroker = Callable[[Mapping[str, str]], TestBroker]
READER = "R-BRAND"
PROCEED = {"GS1-Capture-Error-Behaviour": "proceed"}


def test_every_scan_of_a_played_world_is_stored_once_with_its_place_and_its_reader(
    tmp_path: Path, database: TestDatabase, start_broker: StartBroker
) -> None:
    folder = tmp_path / "world"
    write_world(make_world(Request(seed=4, days=40, dealers=20, items=600, scan_rate=0.5)), folder, lambda _: None)
    sites = {"phones": "market", READER: "BRAND"}
    broker = start_broker(sites)
    register(database.owner_dsn, sites)
    devices = {name: {"site": site, "password": broker.passwords[name]} for name, site in sites.items()}
    (tmp_path / "devices.json").write_text(json.dumps(devices))
    with ingest_process(environment(database.ingest_dsn, broker), tmp_path / "ingest.log"):
        wait_for(lambda: b'"ingest.connected"' in (tmp_path / "ingest.log").read_bytes())
        command = [CODEFENCE, "world", "play", folder, "--devices", tmp_path / "devices.json"]
        command += ["--broker-port", str(broker.port), "--speed", "1000000"]
        played = subprocess.run([str(part) for part in command], capture_output=True, check=True, timeout=800)
    report = json.loads(played.stdout)
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
    events = {line["event_id"]: line for line in lines}
    assert report["open"] == report["refused"] == 0
    assert (report["events"], report["repeated"]) == (len(events), len(lines) - len(events))
    told = [line for line in events.values() if line["type"] in {"pack", "ship", "receive", "consumer_scan", "sale"}]
    wanted = Counter(f"https://id.gs1.org{code}" for line in told for code in line["codes"] if code.startswith("/"))
    rows = query(database.owner_dsn, "SELECT code, activity, device FROM landing.scan")
    assert len(rows) == report["scans"]
    stored = Counter(code for code, activity, _ in rows if "/01/" in code and activity != "inspect")
    assert stored == wanted
    shipped = {device for _, activity, device in rows if activity == "ship"}
    assert READER in shipped
    located = [line for line in told if line["type"] == "consumer_scan" and line["source"] != "none"]
    [(positions,)] = query(
        database.owner_dsn, "SELECT count(*) FROM landing.scan WHERE activity = 'consumer' AND lon IS NOT NULL"
    )
    assert positions == len(located) > 0


def test_the_network_of_a_world_is_imported_and_its_papers_are_captured(tmp_path: Path, database: TestDatabase) -> None:
    folder, tables = tmp_path / "world", tmp_path / "tables"
    write_world(make_world(Request(seed=4, days=40, dealers=20, items=600, scan_rate=0.5)), folder, lambda _: None)
    files = write_channel(folder, tables)
    with serving(database) as interface:
        with connect(database.trace_dsn, "tests") as connection:
            contents = [(path.name, path.read_bytes()) for path in files]
            plan = import_files(connection, BRAND, contents, Job("tests", load_installed_map(), dry_run=False))
        assert [problem for problem in plan.problems if problem.severity == "error"] == []
        begin = datetime.now(UTC)
        told = [each for each in events(folder) if each.type in DOCUMENTED]
        clock = Clock(told[0].received_at, begin.timestamp() - 60, 1e6)
        kinds = {each.type: captured(each, clock) for each in reversed(told)}
        job = send(interface.client, *(event for each in kinds.values() for event in each), **PROCEED)
    assert "pack" in kinds
    assert job["success"], job["errors"]
