"""Fault rounds: parts of one running system are killed at seeded moments, and after each round all is counted."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from cli.soaking.audit import Audit, audit_fleet, audit_station
from cli.soaking.system import Parts, System

RATES: Final = (30, 1000)
PARTS: Final = ("ingest", "broker", "database", "station-1")
_FLEET: Final = {30: 3, 1000: 20}
_STATIONS: Final = ("station-1", "station-2")
_STATION_RATE: Final = 10.0
_CAPTURE_SECONDS: Final = 2.5
_LONGEST_DOWN_SECONDS: Final = 0.6
_MOST_KILLS: Final = 3
_DRAIN_SECONDS: Final = 90.0
_PATIENCE_SECONDS: Final = 180.0
"""An event whose acknowledgement is overdue twice is sent a third time after 30 and at most 60 seconds."""


class Kill(NamedTuple):
    """A part that is killed `at` seconds into a round and started again `down` seconds later."""

    at: float
    part: str
    down: float


class Round(Struct, frozen=True, kw_only=True):
    """What a round did and found."""

    broker: str
    database: str
    number: int
    rate: int
    killed: tuple[str, ...]
    seconds: float
    audit: Audit
    broken_promises: int = 0
    """Codes for which a station has beeped and that it does not have."""


def plan(seed: int, number: int) -> tuple[int, list[Kill]]:
    """Return a round's rate in events a second, and its kills; any eight rounds kill every part at every rate."""
    draw = random.Random(f"{seed} {number}")  # noqa: S311  a round must be repeatable
    parts = [PARTS[number // len(RATES) % len(PARTS)]]
    parts += draw.choices(PARTS, k=draw.randrange(_MOST_KILLS))
    kills = [Kill(draw.uniform(0.6, _CAPTURE_SECONDS), part, draw.uniform(0, _LONGEST_DOWN_SECONDS)) for part in parts]
    return RATES[number % len(RATES)], sorted(kills)


def campaign(folder: Path, parts: Parts, rounds: int, seed: int, told: Callable[[Round], None]) -> list[Round]:
    """Run rounds on one system, tell of each as it ends, and last of the two stations that scanned all the while."""
    fleet = [f"fleet-{index}" for index in range(max(_FLEET.values()))]
    done: list[Round] = []
    with System(folder, parts, [*fleet, *_STATIONS]) as system:
        for device in _STATIONS:
            system.add_station(device, _STATION_RATE).scanner.on.set()
        for number in range(rounds):
            done.append(_round(system, fleet, seed, number))
            told(done[-1])
        done.append(_stations(system))
        told(done[-1])
    return done


def _round(system: System, fleet: list[str], seed: int, number: int) -> Round:
    rate, kills = plan(seed, number)
    devices = fleet[: _FLEET[rate]]
    started = time.monotonic()
    running = system.fleet(
        f"round-{number}",
        devices,
        *("--rate", rate / len(devices), "--seconds", _CAPTURE_SECONDS, "--drain", _DRAIN_SECONDS),
        *("--resend", 2, "--longest-reconnect", 2, "--seed", number),
    )
    begun = time.monotonic()
    for kill in kills:
        time.sleep(max(begun + kill.at - time.monotonic(), 0))
        system.kill(kill.part)
        time.sleep(kill.down)
        system.revive(kill.part)
    summary = running.finish(_CAPTURE_SECONDS + _DRAIN_SECONDS)
    audit = audit_fleet(system.owner_dsn, running.journal, summary.open)
    return Round(
        broker=system.parts.broker,
        database=system.parts.database,
        number=number,
        rate=rate,
        killed=tuple(kill.part for kill in kills),
        seconds=round(time.monotonic() - started, 1),
        audit=audit,
    )


def _stations(system: System) -> Round:
    """Let the stations come to rest, and count what they have captured over all rounds."""
    started = time.monotonic()
    for station in system.stations.values():
        station.scanner.on.clear()
    total, broken = Audit(), 0
    for station in system.stations.values():
        station.wait_drained(_PATIENCE_SECONDS)
        total += audit_station(system.owner_dsn, station.device, station.outbox)
        broken += len(station.unkept())
    return Round(
        broker=system.parts.broker,
        database=system.parts.database,
        number=-1,
        rate=round(_STATION_RATE * len(system.stations)),
        killed=(),
        seconds=round(time.monotonic() - started, 1),
        audit=total,
        broken_promises=broken,
    )
