"""The group `codefence ingest`: the worker, its fleet, and what it could not store."""

import gc
import signal
import threading
from typing import Final

import click

from ingest.cli import devices, letters
from ingest.cli.parts import consumer_of, log_json, now_ms, settings_from_environment
from ingest.metrics import Metrics
from ingest.upkeep.tasks import Upkeep
from ingest.worker import Worker

_RUN_HELP: Final = """\b
Example:
  INGEST_METRICS_PORT=9101 codefence ingest run

\b
Exit codes:
  0  stopped by SIGTERM or SIGINT, everything received is committed or still with the broker
  2  a setting is missing or wrong
"""


@click.group()
def ingest() -> None:
    """Store what devices publish; acknowledge what is committed."""


for command in (
    devices.maintain,
    devices.devices,
    devices.pause,
    devices.resume,
    letters.dead_letters_group,
):
    ingest.add_command(command)


@ingest.command(epilog=_RUN_HELP)
def run() -> None:
    """Run one worker until SIGTERM or SIGINT; settings come from INGEST_… in the environment.

    It waits for a database or a broker that is away, and says so on standard error, a JSON object a line.
    """
    settings = settings_from_environment()
    log_json()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    metrics = Metrics()
    if settings.metrics_port is not None:
        metrics.serve(settings.metrics_port)
    _calm_collector()
    worker = Worker(settings, now_ms, consumer_of(settings), metrics)
    upkeep = Upkeep(settings, now_ms, worker.order, metrics)
    beside = threading.Thread(target=upkeep.run, args=(stop,), name="upkeep", daemon=True)
    beside.start()
    worker.run(stop)


def _calm_collector() -> None:
    """Look for cycles rarely: a batch makes thousands of objects without any, and a fifth of the time went into it."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
