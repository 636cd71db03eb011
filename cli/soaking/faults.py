"""Single faults that need no long time, each on a system of its own: what is captured meanwhile must be stored once."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from cli.soaking.audit import Audit, audit_fleet
from cli.soaking.proxy import CuttingProxy
from cli.soaking.system import FleetRun, Parts, System, wait_for
from firmware_sim.fleet.fleet import Summary

_FLEET: Final = tuple(f"device-{number}" for number in range(5))
_DRAIN_SECONDS: Final = 60.0
_IN_THE_DARK: Final = 400
_CUTS: Final = 20
_DAY_SECONDS: Final = 24 * 3600


class Fault(Struct, frozen=True, kw_only=True):
    """What a fault did to the events that were captured under it."""

    broker: str
    name: str
    audit: Audit
    cuts: int = 0
    summary: Summary


class _Harmed(NamedTuple):
    """A fleet that has ended after a fault."""

    journal: Path
    summary: Summary
    cuts: int = 0


def single_fault(folder: Path, parts: Parts, name: str) -> Fault:
    """Run the fault `name`, one of `FAULTS`, and count."""
    with System(folder, parts, _FLEET) as system:
        harmed = FAULTS[name](system)
        audit = audit_fleet(system.owner_dsn, harmed.journal, harmed.summary.open)
    return Fault(broker=parts.broker, name=name, audit=audit, cuts=harmed.cuts, summary=harmed.summary)


def _broker_away(system: System) -> _Harmed:
    running = system.fleet("dark", _FLEET, "--rate", 20, "--seconds", 6, "--longest-reconnect", 2)
    wait_for(lambda: running.captured() > len(_FLEET), "the fleet to capture")
    system.kill("broker")
    wait_for(lambda: running.captured() > _IN_THE_DARK, "the fleet to capture in the dark")
    system.revive("broker")
    return _ended(running)


def _connections_cut(system: System) -> _Harmed:
    with CuttingProxy(system.broker.port, 8000, 3) as proxy:
        options = ("--rate", 40, "--seconds", 5, "--resend", 2, "--longest-reconnect", 1)
        running = system.fleet("cut", _FLEET, *options, port=proxy.port)
        time.sleep(6)
        wait_for(lambda: proxy.cuts >= _CUTS, "connections to be cut", _DRAIN_SECONDS)
        proxy.heal()
        return _ended(running)._replace(cuts=proxy.cuts)


def _twice_and_shuffled(system: System) -> _Harmed:
    options = ("--rate", 100, "--seconds", 3, "--resend", 2, "--duplicates", 1, "--shuffle")
    running = system.fleet("twice", _FLEET, *options)
    _interrupt_ingest(system)
    return _ended(running)


def _poison(system: System) -> _Harmed:
    running = system.fleet("poison", _FLEET, "--rate", 60, "--seconds", 3, "--poison", 0.3, "--resend", 5)
    _interrupt_ingest(system)  # so that a backlog travels in arrays, in which the poison has neighbours
    return _ended(running)


def _clock_ahead(system: System) -> _Harmed:
    return _ended(system.fleet("ahead", _FLEET, "--rate", 20, "--seconds", 2, "--clock-offset", _DAY_SECONDS))


def _clock_behind(system: System) -> _Harmed:
    return _ended(system.fleet("behind", _FLEET, "--rate", 20, "--seconds", 2, "--clock-offset", -_DAY_SECONDS))


def _ended(running: FleetRun) -> _Harmed:
    return _Harmed(running.journal, running.finish(_DRAIN_SECONDS))


def _interrupt_ingest(system: System) -> None:
    system.kill("ingest")
    time.sleep(0.5)
    system.revive("ingest")


FAULTS: Final[Mapping[str, Callable[[System], _Harmed]]] = {
    "broker away": _broker_away,
    "connections cut": _connections_cut,
    "twice and shuffled": _twice_and_shuffled,
    "poison": _poison,
    "clock a day ahead": _clock_ahead,
    "clock a day behind": _clock_behind,
}
"""Each starts a fleet, does it harm, and waits until it has come to rest."""
