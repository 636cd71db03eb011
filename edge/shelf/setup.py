"""What a shelf agent is made of, by its settings."""

import threading
from pathlib import Path

import msgspec

from contracts.errors import ConfigurationError
from edge.outbox import Outbox
from edge.settings import ShelfSettings
from edge.shelf.agent import ShelfAgent
from edge.shelf.climate import Limits
from edge.shelf.modbus import connect
from edge.shelf.planogram import by_cell, load_planogram
from edge.shelf.refills import RefillFeed


def equip(settings: ShelfSettings, outbox: Outbox, stop: threading.Event) -> list[ShelfAgent]:
    """Return the agent of each controller; raises `ConfigurationError` naming the file that is wrong."""
    lines = load_planogram(settings.planogram)
    most = max(line.controller for line in lines)
    own = [[line for line in lines if line.controller == number] for number in range(1, most + 1)]
    cells = [[cell for (_, cell), _ in by_cell(each)] for each in own]
    limits = load_limits(settings.climate)
    agents = [
        ShelfAgent(outbox, controller, planogram, limits if number == 0 else None)
        for number, (controller, planogram) in enumerate(zip(connect(settings.serial, cells), own, strict=True))
    ]
    if settings.trace_url and settings.trace_token is not None:
        for agent in agents:
            refills = RefillFeed(settings.trace_url, settings.trace_token.get_secret_value(), agent.heard_until)
            refills.start(stop)
            agent.announce(refills)
    return agents


def load_limits(path: Path | None) -> Limits:
    """Read a JSON object of limits; without a path there are none, and only a stale probe or an open door alarms."""
    if path is None:
        return Limits()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Limits)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the limits {path} cannot be used: {error}",
            advice='They look like {"warmest_c": 8, "coldest_c": 2, "minutes": 10}.',
        ) from error
