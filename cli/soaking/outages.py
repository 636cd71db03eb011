"""Two faults that take time: a database that is away, and a whole fleet that comes back at the same moment."""

import time
from pathlib import Path
from typing import Final

from msgspec import Struct

from cli.soaking.audit import Audit, audit_fleet
from cli.soaking.system import Parts, System, wait_for
from firmware_sim.fleet.fleet import allow_connections

_UNTIL_STOPPED: Final = 86_400.0
_DRAIN_SECONDS: Final = 600.0
_EVENTS_PER_SECOND: Final = 100.0


class Outage(Struct, frozen=True, kw_only=True):
    """What a database that was away cost: how long after its return the last event was acknowledged."""

    broker: str
    seconds: float
    caught_up_seconds: float
    audit: Audit


class Storm(Struct, frozen=True, kw_only=True):
    """What a broker that dies under a fleet costs: seconds until the last device is back, and until all is stored."""

    broker: str
    devices: int
    online_seconds: float
    back_seconds: float
    stored_seconds: float
    audit: Audit


def database_down(folder: Path, parts: Parts, seconds: float) -> Outage:
    """Kill the database, leave it so for a while, start it again, and count what ten devices captured meanwhile."""
    devices = [f"device-{number}" for number in range(10)]
    with System(folder, parts, devices) as system:
        running = system.fleet("outage", devices, "--rate", 5, "--seconds", _UNTIL_STOPPED, "--drain", _DRAIN_SECONDS,
                               "--resend", 5)  # fmt: skip
        wait_for(lambda: running.captured() > len(devices), "the fleet to capture")
        system.kill("database")
        time.sleep(seconds)
        system.revive("database")
        back = time.monotonic()
        running.stop_capturing()
        summary = running.finish(_DRAIN_SECONDS)
        caught_up = time.monotonic() - back
        return Outage(
            broker=parts.broker,
            seconds=seconds,
            caught_up_seconds=round(caught_up, 1),
            audit=audit_fleet(system.owner_dsn, running.journal, summary.open),
        )


def allow_storm(count: int) -> None:
    """Raise the limit of open files to what a broker with `count` devices takes, or raise `StartError`."""
    allow_connections(count + count // 2)


def storm(folder: Path, parts: Parts, count: int) -> Storm:
    """Connect `count` devices, kill the broker under them, and count what they captured before, during and after."""
    allow_storm(count)
    devices = [f"device-{number}" for number in range(count)]
    with System(folder, parts, devices) as system:
        begun = time.monotonic()
        running = system.fleet("storm", devices, "--rate", _EVENTS_PER_SECOND / count, "--seconds", _UNTIL_STOPPED,
                               "--drain", _DRAIN_SECONDS, "--longest-reconnect", 30)  # fmt: skip
        wait_for(lambda: running.times_complete() > 0, f"{count} devices to connect", _DRAIN_SECONDS, every=0.3)
        online = time.monotonic()
        system.kill("broker")
        system.revive("broker")
        killed = time.monotonic()
        wait_for(lambda: running.times_complete() > 1, f"{count} devices to come back", _DRAIN_SECONDS, every=0.3)
        back = time.monotonic()
        running.stop_capturing()
        summary = running.finish(_DRAIN_SECONDS)
        return Storm(
            broker=parts.broker,
            devices=count,
            online_seconds=round(online - begun, 1),
            back_seconds=round(back - killed, 1),
            stored_seconds=round(time.monotonic() - killed, 1),
            audit=audit_fleet(system.owner_dsn, running.journal, summary.open),
        )
