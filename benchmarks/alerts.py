"""Alerts: from the commit of a scan to what an open page is told of it, 500 honest scans/s and diversions.

Beside the engine, the report that is commonly run instead looks at the same stream once a second: the dealers with
three cases and more in a city that is not theirs.
"""

import base64
import multiprocessing
import random
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import numpy as np
import psutil
import psycopg
from pydantic import SecretStr

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.servers import servers
from contracts.messages import Scan
from firmware_sim.market.people import distance_km, outlets, reading
from firmware_sim.market.plan import make_plan
from firmware_sim.print_job import World
from geofence.maps import Level, load_installed_map
from trace_service.demo import run_demo
from trace_service.health import WorkerHealth
from trace_service.keys import KeyWrapper
from trace_service.store.connection import connect
from trace_service.webhooks.outbox import subscribe
from trace_service.worker import Worker

_KEYS: Final = KeyWrapper(SecretStr(base64.b64encode(bytes(32)).decode()))
_BRAND: Final = "qingyuan"
_DIVERTER: Final = "D-CHENGDU"
_BOOT: Final = UUID(int=11)
_RATE, _RUNS, _ATTACK_EVERY = 500, 40, 5
_STEP_S: Final = 0.05
_FAR_KM: Final = 600.0
_FIRST_ATTACK_S, _ATTACK_S = 3.0, 15.0
_TARGETS: Final = {"p99_ms": Target("<=", 500)}


class _Told(NamedTuple):
    """One scan to come: as landed, and whether it is of diverted goods."""

    scan: Scan
    diverted: bool


def run(progress: Progress) -> Outcome:
    """Return milliseconds from a scan's commit to the alert that it raised or changed, and to the report's line."""
    figures: dict[str, Figure] = {}
    with servers() as parts, _worker(parts.owner_dsn) as worker, psycopg.connect(parts.owner_dsn) as connection:
        trial = _Trial(parts.owner_dsn)
        progress(f"packing and shipping {_RUNS} print runs")
        trial.prepare()
        before = _spent(worker, connection)
        progress(f"{len(trial.stream)} scans at {_RATE}/s")
        trial.play()
        spent = _spent(worker, connection)
    for name, seen in (("", trial.engine), ("report.", trial.report)):
        cuts = statistics.quantiles(seen.took, n=100)
        figures |= {f"{name}changes": len(seen.took)}
        figures |= {f"{name}p{part}_ms": cuts[part - 1] for part in (50, 95, 99)}
    figures["times_sooner"] = float(figures["report.p50_ms"]) / float(figures["p50_ms"])
    figures |= {f"{name}_ms_per_scan": 1000 * (spent[name] - before[name]) / len(trial.stream) for name in spent}
    figures["player_late_ms"] = 1000 * trial.late
    return Outcome(figures, _TARGETS)


@contextmanager
def _worker(dsn: str) -> Iterator[Pipe]:
    """Run a worker in a process of its own; it answers what it has spent."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(dsn, theirs), daemon=True)
    process.start()
    try:
        yield ours
    finally:
        ours.send("stop")
        process.join(30)


def _work(dsn: str, pipe: Pipe) -> None:
    atoms = load_installed_map()
    atoms.layer(Level.COUNTY)
    stop, health = threading.Event(), WorkerHealth()
    thread = threading.Thread(target=Worker(dsn, _KEYS, atoms, stop, health).run)
    thread.start()
    while pipe.recv() == "spent":
        engine = health.registry.get_sample_value("codefence_worker_engine_seconds_sum") or 0.0
        pipe.send({"worker_cpu": time.process_time(), "engine": engine})
    stop.set()
    thread.join()


def _spent(worker: Pipe, connection: psycopg.Connection[Any]) -> dict[str, float]:
    """Return CPU seconds by process until now, and how long the engine took."""
    worker.send("spent")
    spent: dict[str, float] = worker.recv()
    server = psutil.Process(connection.info.backend_pid).parent()
    if server is not None:
        running = [each.cpu_times() for each in (server, *server.children())]
        ended = server.cpu_times()
        spent["database_cpu"] = sum(each.user + each.system for each in running)
        spent["database_cpu"] += ended.children_user + ended.children_system
    return {**spent, "player_cpu": time.process_time()}


class _Trial:
    """One brand and one stream of scans."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._seq = 0
        self.late = 0.0
        self.committed: dict[int, float] = {}
        self.engine, self.report = _Seen(), _Seen()
        with connect(dsn, "bench") as connection:
            self._jobs = [run_demo(connection, _KEYS, "id.example") for _ in range(_RUNS)]
            # Whoever hears of alerts makes them dearer.
            subscribe(connection, _KEYS, (ip_network("127.0.0.0/8"),), (_BRAND, "https://127.0.0.1/told"), ["*"])
        self.stream = list(_stream([msgspec.convert(job, World) for job in self._jobs]))

    def prepare(self) -> None:
        """Let the worker take in what the warehouse did, before anybody scans."""
        to = {order["id"]: order["to"] for job in self._jobs for order in job["orders"]}
        with psycopg.connect(self._dsn, autocommit=True) as landing:
            for job in self._jobs:
                rows = [(item, "pack", "", case["label"], "") for case in job["cases"] for item in case["items"]]
                rows += [(case["label"], "ship", case["order"], "", to[case["order"]]) for case in job["cases"]]
                self._put(landing, rows)
            _wait(landing)

    def play(self) -> None:
        """Play the stream, and note when each scan is first seen in an alert and in the report."""
        ends = threading.Event()
        threads = [threading.Thread(target=each, args=(ends,)) for each in (self._watch, self._ask)]
        for thread in threads:
            thread.start()
        try:
            with psycopg.connect(self._dsn, autocommit=True) as landing:
                self._load(landing)
                _wait(landing)
                time.sleep(2)
        finally:
            ends.set()
            for thread in threads:
                thread.join()

    def _load(self, landing: psycopg.Connection[Any]) -> None:
        size = int(_RATE * _STEP_S)
        begun = time.perf_counter()
        for number, start in enumerate(range(0, len(self.stream), size)):
            part = self.stream[start : start + size]
            first = self._seq + 1
            self._put(landing, [_row(each.scan) for each in part])
            now = time.perf_counter()
            self.committed |= {first + place: now for place, each in enumerate(part) if each.diverted}
            ahead = begun + (number + 1) * _STEP_S - time.perf_counter()
            self.late = max(self.late, -ahead)
            time.sleep(max(0.0, ahead))

    def _put(self, landing: psycopg.Connection[Any], scans: list[tuple[Any, ...]]) -> None:
        now = datetime.now(UTC)
        rows = []
        for scan in scans:
            self._seq += 1
            said = scan if len(scan) > len(_PLAIN) else (*scan, *_NOWHERE)
            rows.append(("bench", _BOOT, self._seq, now, *said))
        with landing.transaction(), landing.cursor() as cursor:
            cursor.executemany(_SCAN, rows)
            cursor.executemany(_WORK, [(_BOOT, row[2], now) for row in rows])
            cursor.execute("NOTIFY work")

    def _watch(self, ends: threading.Event) -> None:
        """Look up what changed whenever the console is told, as its pages do."""
        with psycopg.connect(self._dsn, autocommit=True) as eye:
            eye.execute("LISTEN console")
            while not ends.is_set():
                if [each for each in eye.notifies(timeout=0.5, stop_after=1) if '"alert"' in each.payload]:
                    self.engine.note(eye.execute(_EVIDENCE).fetchall(), self.committed)

    def _ask(self, ends: threading.Event) -> None:
        """Run the report once a second."""
        with psycopg.connect(self._dsn, autocommit=True) as eye:
            while not ends.wait(1.0):
                self.report.note(eye.execute(_REPORT).fetchall(), self.committed)


class _Seen:
    """When each scan was first seen in an alert or in a line of the report."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._noted: dict[Any, set[int]] = {}

    def note(self, rows: list[tuple[Any, list[int]]], committed: dict[int, float]) -> None:
        """Take in rows of (what it is, its scans); `committed` says when those that are measured were."""
        now = time.perf_counter()
        for name, seqs in rows:
            known = self._noted.get(name)
            # What is new rests on its newest scan: the ones before were not enough.
            fresh = set(seqs) - known if known is not None else {max(seqs)}
            self._noted[name] = (known or set()) | set(seqs)
            self.took += [1000 * (now - committed[seq]) for seq in fresh if seq in committed]


def _stream(worlds: list[World]) -> Iterator[_Told]:
    """Yield what an honest market's phones scan, with diversions of some runs' largest order among it, by time."""
    chance, random_ = random.Random(3), np.random.default_rng(3)
    honest: list[Scan] = []
    diverted: list[tuple[float, Scan]] = []
    seconds = _RUNS * 500 / _RATE
    for number, world in enumerate(worlds):
        dealer = next(each for each in world.dealers if each.id == _DIVERTER)
        far = [place for place in world.places if distance_km(dealer, place) > _FAR_KM]
        attacked = number % _ATTACK_EVERY == 0
        cases = [each for each in world.cases if attacked and world.dealer_of_order[each.order].id == _DIVERTER]
        gone = {item for case in cases for item in case.items}
        honest += [each.scan for each in make_plan(world, number, attack=False).scans if each.scan.code not in gone]
        begins = chance.uniform(_FIRST_ATTACK_S, seconds - _ATTACK_S)
        for case, shop in zip(cases, outlets(far[number % len(far)], len(cases), random_), strict=True):
            label = Scan(ts=0, code=case.items[0], symbology="QRCode", activity=honest[0].activity,
                position=reading(shop, random_))  # fmt: skip
            diverted.append((begins + chance.uniform(0, _ATTACK_S), label))
    chance.shuffle(honest)
    spread = [(seconds * place / len(honest), scan, False) for place, scan in enumerate(honest)]
    for _, scan, bad in sorted([*spread, *((at, scan, True) for at, scan in diverted)], key=lambda each: each[0]):
        yield _Told(scan, bad)


def _row(scan: Scan) -> tuple[Any, ...]:
    here = scan.position
    said = (scan.code, scan.activity.value, "", "", "", scan.symbology, "market")
    return (*said, here.lon, here.lat, here.accuracy_m, here.platform, here.crs) if here else (*said, *_NO_POSITION)


_PLAIN: Final = ("code", "activity", "reference", "parent", "recipient")
_NO_POSITION: Final = (None,) * 5
_NOWHERE: Final = ("QR", "dc-east", *_NO_POSITION)
_SCAN: Final = (
    "INSERT INTO landing.scan (device, boot, seq, ts, sent_at, received_at, content, code, activity, reference, parent,"
    " recipient, symbology, site, lon, lat, accuracy_m, platform, crs, aim, operator)"
    " VALUES (%s, %s, %s, %s, now(), now(), 0, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', '')"
)
_WORK: Final = "INSERT INTO landing.work (kind, device, boot, seq, ts) VALUES ('scan', 'bench', %s, %s, %s)"
_EVIDENCE: Final = (
    "SELECT alert, array_agg(seq) FROM trace.alert_evidence JOIN trace.alert ON id = alert"
    " WHERE updated_at > clock_timestamp() - interval '5 seconds' GROUP BY alert"
)
_DONE: Final = "SELECT NOT EXISTS (SELECT FROM landing.work) AND NOT EXISTS (SELECT FROM trace.observation_inbox)"
_REPORT: Final = (
    "SELECT (dealer, city)::text, array_agg(seq) FROM trace.verdict WHERE place = 'outside' GROUP BY dealer, city"
    " HAVING count(DISTINCT case_unit) >= 3"
)


def _wait(landing: psycopg.Connection[Any]) -> None:
    """Wait until everything is decided and the engine was told of it."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        row = landing.execute(_DONE).fetchone()
        if row is not None and row[0]:
            return
        time.sleep(0.05)
    raise TimeoutError("the worker does not end with its work")
