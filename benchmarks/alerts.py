"""Alerts: from a scan's commit to the change of its alert, at 500 scans/s, by the engine and by weighing cells anew."""

import base64
import random
import statistics
import threading
import time
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from pydantic import SecretStr

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.servers import servers
from geofence.maps import AtomMap, Level, load_installed_map
from trace_service.cases.model import Policy
from trace_service.cases.service import set_policy
from trace_service.demo import run_demo
from trace_service.keys import KeyWrapper
from trace_service.store.connection import connect
from trace_service.worker import Worker

_KEYS: Final = KeyWrapper(SecretStr(base64.b64encode(bytes(32)).decode()))
_BRAND: Final = "qingyuan"
_BOOT: Final = UUID(int=11)
_RATE, _SECONDS, _RUNS, _FIRST = 500, 8, 8, 14
_NANJING: Final = (118.80, 32.06)
_CITIES: Final = ((104.07, 30.67), (120.15, 30.27), (113.26, 23.13), (116.41, 39.90), (106.55, 29.56), (114.31, 30.59))
_TARGETS: Final = {"engine.p99_ms": Target("<=", 500)}


class _Scan(NamedTuple):
    code: str
    activity: str
    parent: str = ""
    reference: str = ""
    recipient: str = ""
    point: tuple[float, float] | None = None


def run(progress: Progress) -> Outcome:
    """Return milliseconds from the commit of a scan to the commit of the alert that it changed."""
    atoms = load_installed_map()
    atoms.layer(Level.COUNTY)
    figures: dict[str, Figure] = {}
    for detector in ("cells", "engine"):
        progress(f"{_SECONDS} s of {_RATE} scans/s, alerts by {detector}")
        with servers() as parts:
            took = _Trial(parts.owner_dsn, atoms, detector).play()
        cuts = statistics.quantiles(took, n=100)
        figures |= {f"{detector}.changes": len(took), f"{detector}.p50_ms": cuts[49], f"{detector}.p99_ms": cuts[98]}
    figures["cells_to_engine.p50"] = float(figures["cells.p50_ms"]) / float(figures["engine.p50_ms"])
    return Outcome(figures, _TARGETS)


class _Trial:
    """One brand, one worker, one stream of scans in which now and then one changes an alert."""

    def __init__(self, dsn: str, atoms: AtomMap, detector: str) -> None:
        self._dsn, self._atoms = dsn, atoms
        self._seq = 0
        self._committed: dict[int, float] = {}
        self._seen: dict[int, float] = {}
        self._chance = random.Random(3)
        with connect(dsn, "bench") as connection:
            jobs = [run_demo(connection, _KEYS, "id.example") for _ in range(_RUNS)]
            set_policy(connection, _BRAND, Policy(detector="engine" if detector == "engine" else "cells"), "bench")
        to = {order["id"]: order["to"] for job in jobs for order in job["orders"]}
        self._cases = [(case, to[case["order"]]) for job in jobs for case in job["cases"]]

    def play(self) -> list[float]:
        """Return how long each change of an alert took, in milliseconds."""
        stop = threading.Event()
        worker = threading.Thread(target=Worker(self._dsn, _KEYS, self._atoms, stop).run)
        watcher = threading.Thread(target=self._watch, args=(stop,))
        with psycopg.connect(self._dsn, autocommit=True) as landing:
            self._prepare(landing)
            for thread in (worker, watcher):
                thread.start()
            try:
                _wait(landing, "SELECT count(*) = 0 FROM landing.work")
                _wait(landing, "SELECT count(*) > 0 FROM trace.alert")
                self._load(landing)
                _wait(landing, "SELECT count(*) = 0 FROM landing.work")
                time.sleep(1)
            finally:
                stop.set()
                for thread in (worker, watcher):
                    thread.join()
        return [1000 * (self._seen[seq] - at) for seq, at in self._committed.items() if seq in self._seen]

    def _prepare(self, landing: psycopg.Connection[Any]) -> None:
        scans = []
        for case, dealer in self._cases:
            scans += [_Scan(item, "pack", case["label"]) for item in case["items"]]
            scans.append(_Scan(case["label"], "ship", reference=case["order"], recipient=dealer))
        scans += [self._diverted(place) for place in range(_FIRST)]
        self._put(landing, scans)

    def _load(self, landing: psycopg.Connection[Any]) -> None:
        """Put a twentieth of a second's scans at a time; every fifth of a second one of them changes the alert."""
        # Not Chengdu's own: a case that is seen at home as well speaks against its having been diverted.
        items = [item for case, dealer in self._cases if dealer != "D-CHENGDU" for item in case["items"]]
        self._chance.shuffle(items)
        drawn = cycle(items)
        step, place = 0.05, _FIRST
        begun = time.perf_counter()
        for number in range(int(_SECONDS / step)):
            scans = [
                _Scan(next(drawn), "consumer", point=self._chance.choice(_CITIES)) for _ in range(int(_RATE * step))
            ]
            trigger = None
            if number % 4 == 0 and place < self._chengdu():
                scans.append(self._diverted(place))
                place, trigger = place + 1, self._seq + len(scans)
            self._put(landing, scans)
            if trigger is not None:
                self._committed[trigger] = time.perf_counter()
            time.sleep(max(0.0, begun + (number + 1) * step - time.perf_counter()))

    def _chengdu(self) -> int:
        return sum(dealer == "D-CHENGDU" for _, dealer in self._cases)

    def _diverted(self, place: int) -> _Scan:
        """Return a scan of another of Chengdu's cases in Nanjing, far from where the others were seen."""
        case = [case for case, dealer in self._cases if dealer == "D-CHENGDU"][place]
        point = (_NANJING[0] + 0.04 * (place % 7 - 3), _NANJING[1] + 0.03 * (place // 7 - 4))
        return _Scan(case["items"][0], "consumer", point=point)

    def _put(self, landing: psycopg.Connection[Any], scans: list[_Scan]) -> None:
        now = datetime.now(UTC)
        rows = []
        for scan in scans:
            self._seq += 1
            lon, lat = scan.point or (None, None)
            place = (lon, lat, 20.0, "web", "wgs84") if scan.point else (None,) * 5
            site = "market" if scan.point else "dc-east"
            said = (scan.code, scan.activity, scan.reference, scan.parent, scan.recipient)
            rows.append(("bench", _BOOT, self._seq, now, site, *said, *place))
        with landing.transaction(), landing.cursor() as cursor:
            cursor.executemany(_SCAN, rows)
            cursor.executemany(_WORK, [(_BOOT, row[2], now) for row in rows])
            cursor.execute("NOTIFY work")

    def _watch(self, stop: threading.Event) -> None:
        """Note when each scan is first seen among an alert's evidence."""
        with psycopg.connect(self._dsn, autocommit=True) as eye:
            while not stop.is_set():
                rows = eye.execute("SELECT seq FROM trace.alert_evidence").fetchall()
                now = time.perf_counter()
                for (seq,) in rows:
                    self._seen.setdefault(seq, now)
                time.sleep(0.005)


_SCAN: Final = (
    "INSERT INTO landing.scan (device, boot, seq, ts, sent_at, received_at, content, site, code, symbology, aim,"
    " activity, reference, parent, recipient, operator, lon, lat, accuracy_m, platform, crs)"
    " VALUES (%s, %s, %s, %s, now(), now(), 0, %s, %s, 'QR', '', %s, %s, %s, %s, '', %s, %s, %s, %s, %s)"
)
_WORK: Final = "INSERT INTO landing.work (kind, device, boot, seq, ts) VALUES ('scan', 'bench', %s, %s, %s)"


def _wait(landing: psycopg.Connection[Any], question: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        row = landing.execute(question).fetchone()
        if row is not None and row[0]:
            return
        time.sleep(0.05)
    raise TimeoutError(question)
