"""The group `codefence ingest`: the worker, and what it could not store."""

import gc
import signal
import threading
from pathlib import Path
from typing import Final

import click
import msgspec

from ingest import cli_devices, dead_letters
from ingest.cli_parts import consumer_of, database, log_json, now_ms, settings_from_environment, visible
from ingest.metrics import Metrics
from ingest.upkeep import Upkeep
from ingest.worker import Worker

_RUN_HELP: Final = """\b
Example:
  INGEST_METRICS_PORT=9101 codefence ingest run

\b
Exit codes:
  0  stopped by SIGTERM or SIGINT, everything received is committed or still with the broker
  2  a setting is missing or wrong
"""
_LETTERS_HELP: Final = """\b
Examples:
  codefence ingest dead-letters list
  codefence ingest dead-letters show 7 --json | jq -r .body > mended.json
  codefence ingest dead-letters replay 7 --mended mended.json

\b
Exit codes:
  0  done
  1  no such letter, still refused, or the database is away
  2  wrong usage
"""

_json_flag = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


@click.group()
def ingest() -> None:
    """Store what devices publish; acknowledge what is committed."""


for command in (cli_devices.maintain, cli_devices.devices, cli_devices.pause, cli_devices.resume):
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


@ingest.group("dead-letters", epilog=_LETTERS_HELP)
def dead_letters_group() -> None:
    """Look at messages that could not be stored, and put them through again."""


@dead_letters_group.command("list", epilog=_LETTERS_HELP)
@click.option("--all", "replayed", is_flag=True, help="Those already replayed, too.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The newest so many.")
@_json_flag
def list_letters(*, replayed: bool, limit: int, as_json: bool) -> None:
    """List dead letters, newest first."""
    with database("codefence dead-letters") as connection:
        letters = dead_letters.find(connection, replayed=replayed, limit=limit)
    for letter in letters:
        click.echo(_as_json(letter) if as_json else _line(letter))
    if not letters and not as_json:
        click.echo("no dead letters")


@dead_letters_group.command(epilog=_LETTERS_HELP)
@click.argument("number", type=int)
@_json_flag
def show(number: int, *, as_json: bool) -> None:
    """Show the dead letter NUMBER with its payload."""
    with database("codefence dead-letters") as connection:
        letter = dead_letters.get(connection, number)
    if as_json:
        click.echo(_as_json(letter))
        return
    click.echo(_line(letter))
    click.echo(visible(letter.detail))
    click.echo(visible(letter.payload.decode("utf-8", "backslashreplace")))


@dead_letters_group.command(epilog=_LETTERS_HELP)
@click.argument("number", type=int)
@click.option(
    "--mended",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the mended JSON array of events, or with a whole mended message.",
)
@click.option("--topic", help="The topic on which the device should have published.")
@_json_flag
def replay(number: int, *, mended: Path | None, topic: str | None, as_json: bool) -> None:
    """Put the dead letter NUMBER through again, mended or as it came, and mark it as replayed."""
    payload = mended.read_bytes() if mended else None
    with database("codefence dead-letters") as connection:
        outcome = dead_letters.replay(connection, number, mended=payload, topic=topic)
    if as_json:
        click.echo(msgspec.json.encode({"committed": outcome.committed, "duplicates": outcome.duplicates}))
    else:
        click.echo(f"{outcome.committed} events stored, {outcome.duplicates} were stored before")


def _as_json(letter: dead_letters.Letter) -> bytes:
    shown = {name: getattr(letter, name) for name in letter.__struct_fields__}
    if letter.payload:
        shown["body"] = letter.body.decode("utf-8", "backslashreplace")
    else:
        del shown["payload"]
    return msgspec.json.encode(shown)


def _line(letter: dead_letters.Letter) -> str:
    numbers = "" if letter.first_seq is None else f" {letter.first_seq}-{letter.last_seq}"
    state = " replayed" if letter.replayed_at else ""
    when = f"{letter.received_at:%Y-%m-%d %H:%M:%S}"
    return f"{letter.id}  {when}  {letter.reason}  {visible(letter.topic)}{numbers}{state}"
