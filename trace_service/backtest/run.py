"""One world through the engine: alerts.jsonl and cells.jsonl out, scores where the truth is known."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from trace_service.backtest.events import unknown_keys
from trace_service.backtest.feed import Feed
from trace_service.backtest.scoring import Cell, Score, honest_scans, score, score_cells
from trace_service.backtest.truth import Finding, Truth, read_attacks
from trace_service.backtest.world import read_world
from trace_service.detection.changes import Alert, Raised, Retracted
from trace_service.detection.engine import CellProbability, Engine
from trace_service.detection.network import Network
from trace_service.detection.observations import Observation, Sighting
from trace_service.detection.settings import DAY_MS, Settings

Progress = Callable[[str], None]


class Outcome(Struct, kw_only=True):
    """What one world gave."""

    world: str
    alerts: int
    retracted: int
    scans: int
    days: float
    cpu_s: float
    notices: dict[str, int]
    remarks: list[str]
    scores: dict[str, Score] = field(default_factory=dict)  # by method; empty without labels


def run_world(folder: Path, out: Path, progress: Progress, settings: Settings | None = None) -> Outcome:
    """Feed a world to the engine and write what it says into `out`. Raises WorldError."""
    remarks: list[str] = []
    began = time.process_time()
    world = read_world(folder, remarks.append)
    remarks += [f"events.jsonl: unknown key {key} ignored" for key in sorted(unknown_keys(folder))]
    network = Network(world.channel)
    engine = Engine(network, settings)
    engine.evaluated = []
    feed, tally = Feed(world, network), Tally()
    raised: list[Alert] = []
    retracted: dict[str, int] = {}
    for observation in tally.watch(feed):
        for change in engine.observe(observation):
            if isinstance(change, Raised):
                raised.append(change.alert)
            elif isinstance(change, Retracted):
                retracted[change.alert.number] = change.at
    progress(f"{folder.name}: {feed.scans} consumer scans, {len(raised)} alerts, {len(retracted)} taken back")
    out.mkdir(parents=True, exist_ok=True)
    write_alerts(out / "alerts.jsonl", raised, retracted)
    write_cells(out / "cells.jsonl", engine.evaluated)
    found = Outcome(
        world=str(folder),
        alerts=len(raised),
        retracted=len(retracted),
        scans=feed.scans,
        days=tally.days,
        cpu_s=time.process_time() - began,
        notices=dict(feed.reader.notices + feed.notices + engine.notices),
        remarks=remarks,
    )
    attacks = read_attacks(folder)
    if attacks is not None:
        truth = Truth(attacks, network)
        honest = honest_scans(tally.scans, truth)
        found.scores["evidence"] = score([_finding(each) for each in raised], truth, honest, tally.days)
        cells = (Cell(each.week, each.dealer, each.adcode, each.probability) for each in engine.evaluated)
        score_cells(found.scores["evidence"], cells, truth)
    return found


class Tally:
    """Counts consumer scans by event, and the days of the stream, while it flows by."""

    def __init__(self) -> None:
        self.scans: Counter[str] = Counter()
        self._first: int | None = None
        self._last = 0

    def watch(self, stream: Feed) -> Iterator[Observation]:
        """Pass the stream on."""
        for observation in stream:
            if isinstance(observation, Sighting) and observation.kind == "scan":
                self.scans[observation.event] = 1
            self._first = observation.received_at if self._first is None else self._first
            self._last = max(self._last, observation.received_at)
            yield observation

    @property
    def days(self) -> float:
        """How long the stream lasted."""
        return 0.0 if self._first is None else (self._last - self._first) / DAY_MS


def write_alerts(path: Path, alerts: list[Alert], retracted: dict[str, int]) -> None:
    """Write alerts as they were when they were raised, one a line."""
    with path.open("wb") as file:
        for alert in alerts:
            line = _line(alert)
            if alert.number in retracted:
                line["retracted_at"] = iso(retracted[alert.number])
            file.write(msgspec.json.encode(line) + b"\n")


def write_cells(path: Path, cells: list[CellProbability]) -> None:
    """Write every evaluated dealer × city, one a line."""
    with path.open("wb") as file:
        for cell in cells:
            line = {
                "week_end": iso(cell.week),
                "dealer_id": cell.dealer,
                "adcode": cell.adcode,
                "probability": round(cell.probability, 5),
            }
            file.write(msgspec.json.encode(line) + b"\n")


def _line(alert: Alert) -> dict[str, Any]:
    line = {
        "alert_id": alert.number,
        "dealer_id": alert.dealer,
        "raised_at": iso(alert.raised_at),
        "destination": {"adcode": alert.adcode} if alert.adcode else None,
        "probability": round(alert.probability, 4),
        "band": [round(each, 4) for each in alert.band],
        "kind": alert.kind,
        "codes": alert.units,
        "cases": alert.cases,
        "shipments": alert.shipments,
        "first_scan_at": iso(alert.first_seen) if alert.first_seen is not None else None,
        "last_scan_at": iso(alert.last_seen) if alert.last_seen is not None else None,
        "detector": alert.detector,
        "reason": alert.reason,
        "evidence": alert.events,
        "parties": alert.parties,
        "contributions": alert.contributions,
        "versions": alert.versions,
    }
    return {key: value for key, value in line.items() if value not in (None, (), [], "")}


def iso(moment: int) -> str:
    """Return milliseconds since the epoch as ISO 8601 with milliseconds and Z."""
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _finding(alert: Alert) -> Finding:
    return Finding(
        dealer=alert.dealer,
        raised_at=alert.raised_at,
        adcode=alert.adcode,
        probability=alert.probability,
        kind=alert.kind,
        detector=alert.detector,
        codes=frozenset(alert.units),
        cases=frozenset(alert.cases),
        shipments=frozenset(alert.shipments),
    )
