"""One world through the engine: alerts.jsonl and cells.jsonl out, scores where the truth is known."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from trace_service.backtest.contradictions import contradictions
from trace_service.backtest.events import unknown_keys
from trace_service.backtest.feed import Feed
from trace_service.backtest.naive import NaiveRules
from trace_service.backtest.noted import Noted, score_noted
from trace_service.backtest.scoring import Cell, Score, honest_codes, honest_scans, score, score_cells
from trace_service.backtest.truth import Finding, Truth, read_attacks
from trace_service.backtest.world import World, read_world
from trace_service.detection.changes import Alert, Raised, Retracted
from trace_service.detection.engine import CellProbability, Engine
from trace_service.detection.network import Network
from trace_service.detection.observations import Movement, Observation, Sighting
from trace_service.detection.settings import DAY_MS, Settings

Progress = Callable[[str], None]
EVIDENCE = "evidence"
_READINGS = frozenset((Sighting, Movement))


class Outcome(Struct, kw_only=True):
    """What one world gave."""

    world: str
    alerts: int
    retracted: int
    scans: int
    readings: int  # scans of items and cases by anybody: consumers', sales, receipts and what was sent on
    days: float
    read_s: float
    cpu_s: float
    notices: dict[str, int]
    remarks: list[str]
    timeline: list[tuple[int, bool | None]] = []  # each alert: days since the start, and whether it was right
    scores: dict[str, Score] = field(default_factory=dict)  # by method; empty without labels


class _Played(Struct, kw_only=True):
    """What one world's stream gave before it is scored."""

    engine: Engine
    feed: Feed
    tally: "Tally"
    naive: NaiveRules
    noted: Noted
    raised: list[Alert] = []
    retracted: dict[str, int] = {}


def run_world(folder: Path, out: Path, progress: Progress, settings: Settings | None = None) -> Outcome:
    """Feed a world to the engine and write what it says into `out`. Raises WorldError."""
    remarks: list[str] = []
    began = time.process_time()
    world = read_world(folder, remarks.append)
    remarks += contradictions(world)
    remarks += [f"events.jsonl: unknown key {key} ignored" for key in sorted(unknown_keys(folder))]
    attacks = read_attacks(folder)
    network = Network(world.channel)
    read = time.process_time()
    played = _play(world, network, settings)
    raised, tally, engine = played.raised, played.tally, played.engine
    progress(f"{folder.name}: {played.feed.scans} scans, {len(raised)} alerts, {len(played.retracted)} taken back")
    out.mkdir(parents=True, exist_ok=True)
    cells = engine.evaluated or []
    write_alerts(out / "alerts.jsonl", raised, played.retracted)
    write_cells(out / "cells.jsonl", cells)
    found = Outcome(
        world=str(folder),
        alerts=len(raised),
        retracted=len(played.retracted),
        scans=played.feed.scans,
        readings=tally.readings,
        days=tally.days,
        read_s=read - began,
        cpu_s=time.process_time() - read,
        notices=dict(played.feed.reader.notices + played.feed.notices + engine.notices),
        remarks=remarks,
        timeline=[((each.raised_at - tally.first) // DAY_MS, None) for each in raised],
    )
    if attacks is not None:
        _score(found, Truth(attacks, network), played)
    return found


def _score(found: Outcome, truth: Truth, played: _Played) -> None:
    tally = played.tally
    honest = honest_scans(tally.codes, truth)
    findings = [finding_of(each) for each in played.raised]
    found.timeline = [((each.raised_at - tally.first) // DAY_MS, bool(truth.right(each))) for each in findings]
    found.scores = {EVIDENCE: score(findings, truth, honest, tally.days)}
    score_cells(found.scores[EVIDENCE], (Cell(*each) for each in played.engine.evaluated or ()), truth)
    score_noted(found.scores[EVIDENCE], played.noted, truth, len(truth.network.dealers))
    found.scores[EVIDENCE].honest_codes = honest_codes(tally.codes, truth)
    for rule, alerts in played.naive.findings().items():
        found.scores[rule] = score(alerts, truth, honest, tally.days)


def _play(world: World, network: Network, settings: Settings | None) -> _Played:
    engine = Engine(network, settings)
    played = _Played(
        engine=engine, feed=Feed(world, network), tally=Tally(), naive=NaiveRules(network), noted=Noted(engine)
    )
    played.engine.evaluated = []
    for observation in played.tally.watch(played.feed):
        played.naive.observe(observation)
        for change in played.engine.observe(observation):
            if isinstance(change, Raised):
                played.raised.append(change.alert)
            elif isinstance(change, Retracted):
                played.retracted[change.alert.number] = change.at
        played.noted.look()
    return played


class Tally:
    """Keeps the codes of consumer scans by event; counts readings, and the days of the stream, while it flows by."""

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.readings = 0
        self._first: int | None = None
        self._last = 0

    def watch(self, stream: Feed) -> Iterator[Observation]:
        """Pass the stream on."""
        for observation in stream:
            if isinstance(observation, Sighting) and observation.kind == "scan":
                self.codes[observation.event] = observation.goods.unit
            self.readings += type(observation) in _READINGS
            self._first = observation.received_at if self._first is None else self._first
            self._last = max(self._last, observation.received_at)
            yield observation

    @property
    def first(self) -> int:
        """When the stream began (milliseconds)."""
        return self._first or 0

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


def finding_of(alert: Alert) -> Finding:
    """Return what scoring looks at in an alert."""
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
