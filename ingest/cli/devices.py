"""Commands of `codefence ingest` for the fleet: its state, a pause, and upkeep by hand."""

from datetime import timedelta
from functools import partial
from typing import Final

import click
import msgspec
from psycopg.rows import dict_row

from contracts.errors import CodefenceError
from contracts.messages import Pause, encode_command
from contracts.topics import command_topic
from contracts.wording import counted
from ingest.cli.parts import database, log_json, now_ms, orders_account_of, settings_from_environment, translated
from ingest.commands import Order, publish
from ingest.metrics import Metrics
from ingest.queries import QUERIES
from ingest.upkeep.tasks import Upkeep

_MAINTAIN_HELP: Final = """\b
Example:
  codefence ingest maintain

\b
Exit codes:
  0  done, or a running worker does it
  1  the database or the broker is away
"""
_DEVICES_HELP: Final = """\b
Examples:
  codefence ingest devices
  codefence ingest devices --json | jq 'select(.gaps > 0)'
"""
_PAUSE_HELP: Final = """\b
Examples:
  codefence ingest pause --site dc-east --minutes 30
  codefence ingest resume --site dc-east
  codefence ingest pause --device scanner-7 --minutes 5

\b
Exit codes:
  0  the broker has it, also for devices that connect later
  1  no such device or site, or the database or the broker is away
"""


class DeviceMissingError(CodefenceError):
    """A command is addressed to nobody."""

    code = "DEVICE_MISSING"


_site = click.option("--site", help="Every device of this site.")
_device = click.option("--device", help="This device.")


@click.command(epilog=_MAINTAIN_HELP)
def maintain() -> None:
    """Do one round of upkeep now: rollups, gaps, retention. Workers do the same by themselves."""
    log_json()
    settings = settings_from_environment()
    upkeep = Upkeep(settings, now_ms, partial(publish, orders_account_of(settings)), Metrics())
    with translated():
        done = upkeep.round()
        upkeep.close()
    if done is None:
        click.echo("a running worker does the upkeep")
        return
    removed = ", ".join(f"{number} {kind}" for kind, number in done.expired.items()) or "none"
    click.echo(
        f"{done.buckets} buckets added up; {done.asked} ranges asked for, {done.gaps} gaps open; removed: {removed}"
    )


@click.command(epilog=_DEVICES_HELP)
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def devices(*, as_json: bool) -> None:
    """List the registered devices with what is known of their health."""
    with database("codefence devices") as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(QUERIES["device_health"]).fetchall()
    if as_json:
        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    line = "{:24} {:16} {:8} {:20} {:>10} {:>8} {:>8} {:>8}  {}"
    titles = ("device", "site", "state", "last seen", "skew ms", "waiting", "most 24h", "missing", "firmware")
    click.echo(line.format(*titles))
    for row in rows:
        seen = f"{row['last_seen']:%Y-%m-%d %H:%M:%S}" if row["last_seen"] else "never"
        skew = "" if row["skew_ms"] is None else row["skew_ms"]
        state = "retired" if row["retired_at"] else row["state"]
        most = "" if row["most_waiting"] is None else row["most_waiting"]
        facts = (row["id"], row["site"], state, seen, skew, row["outbox_depth"], most, row["missing"], row["firmware"])
        click.echo(line.format(*facts))


@click.command(epilog=_PAUSE_HELP)
@_site
@_device
@click.option(
    "--minutes", type=click.IntRange(1, 24 * 60), required=True, help="How long; a device waits a day at most."
)
def pause(site: str | None, device: str | None, minutes: int) -> None:
    """Let devices keep what they capture and publish nothing for a while."""
    until = now_ms() + minutes * 60_000
    number = _command(site, device, encode_command(Pause(until=until)))
    click.echo(f"paused: {counted(number, 'device')}, for {timedelta(minutes=minutes)}")


@click.command(epilog=_PAUSE_HELP)
@_site
@_device
def resume(site: str | None, device: str | None) -> None:
    """Let devices publish again before their pause is over."""
    number = _command(site, device, b"")
    click.echo(f"{counted(number, 'device')} may publish")


def _command(site: str | None, device: str | None, payload: bytes) -> int:
    """Leave one retained command for each device addressed; return how many there are."""
    if (site is None) == (device is None):
        raise click.UsageError("name a site or a device: --site S or --device D")
    with database("codefence pause") as connection:
        found = connection.execute(QUERIES["addressed"], {"site": site, "device": device}).fetchall()
        if not found:
            raise DeviceMissingError(
                f"no device at {site}" if site else f"no device {device}", advice="Is it registered?"
            )
        orders = [Order(command_topic(place, name), payload, retain=True) for name, place in found]
        publish(orders_account_of(settings_from_environment()), orders)
    return len(found)
