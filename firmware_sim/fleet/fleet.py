"""Runs the devices of a fleet until everything that they captured is acknowledged."""

import asyncio
import resource
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog
from msgspec import Struct

from contracts.errors import StartError
from firmware_sim.fleet.behaviour import Behaviour
from firmware_sim.fleet.device import Device
from firmware_sim.fleet.journal import Journal
from firmware_sim.fleet.link import Account

_POLL_SECONDS: Final = 0.1
_SPARE_FILES: Final = 100
_log = structlog.get_logger(__name__)


class Run(NamedTuple):
    """How long a fleet captures and then waits for acknowledgements, and where its broker is."""

    host: str
    port: int
    capture_seconds: float
    drain_seconds: float
    seed: int


class Summary(Struct, frozen=True, kw_only=True):
    """What a fleet did; `open` events were captured and never acknowledged."""

    devices: int
    captured: int
    refused: int
    open: int
    resent: int
    duplicated: int
    connections: int
    most_online: int


async def run_fleet(
    accounts: Sequence[Account], behaviour: Behaviour, run: Run, journal: Journal, stop: asyncio.Event
) -> Summary:
    """Capture until the time is up or `stop` is set, then wait until nothing is open, and return what happened."""
    devices = [Device(account, behaviour, journal, run.seed) for account in accounts]
    loop = asyncio.get_running_loop()
    serving = [loop.create_task(device.serve(run.host, run.port), name=device.account.device) for device in devices]
    until = loop.time() + run.capture_seconds
    capturing = [loop.create_task(device.capture(until)) for device in devices]
    most_online = online = 0
    deadline = until + run.drain_seconds
    try:
        while loop.time() < deadline:
            before, online = online, sum(device.is_online for device in devices)
            most_online = max(most_online, online)
            if before < online == len(devices):
                _log.info("every device is online", action="fleet.complete", devices=online)
            if stop.is_set() and loop.time() < until:
                until, deadline = loop.time(), loop.time() + run.drain_seconds
                _cancel(capturing)
            if all(task.done() for task in capturing) and not any(device.open_count for device in devices):
                break
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        _cancel([*serving, *capturing])
        ended = await asyncio.gather(*serving, *capturing, return_exceptions=True)
        journal.flush()
    for failure in ended:
        if isinstance(failure, Exception):
            raise failure
    return _summary(devices, most_online)


def allow_connections(count: int) -> None:
    """Raise this process's own limit of open files, and so its children's, to what `count` connections take."""
    wanted = count + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise StartError(
            f"{wanted} open files are needed, and this account may have {hard}",
            advice=f"Raise the limit (ulimit -Hn {wanted}, as root), or simulate fewer devices.",
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _cancel(tasks: Sequence["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()


def _summary(devices: Sequence[Device], most_online: int) -> Summary:
    return Summary(
        devices=len(devices),
        captured=sum(device.captured for device in devices),
        refused=sum(device.refused for device in devices),
        open=sum(device.open_count for device in devices),
        resent=sum(device.resent for device in devices),
        duplicated=sum(device.duplicated for device in devices),
        connections=sum(device.connections for device in devices),
        most_online=most_online,
    )
