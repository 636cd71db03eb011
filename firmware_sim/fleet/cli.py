"""`codefence simulate fleet`."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Final, TypedDict, Unpack

import click
import msgspec

from contracts.errors import CodefenceError
from firmware_sim.fleet.behaviour import Behaviour
from firmware_sim.fleet.fleet import Run, Summary, allow_connections, run_fleet
from firmware_sim.fleet.journal import Journal
from firmware_sim.fleet.link import Account

_HELP: Final = """\b
Examples:
  codefence simulate fleet --devices fleet.json --broker-port 1883 --journal captures.txt --rate 10 --seconds 30
  codefence simulate fleet --devices fleet.json --broker-port 1883 --journal captures.txt --poison 0.2 --shuffle

\b
fleet.json: {"scanner-1": {"site": "dc-east", "password": "…"}, …}
Standard output: one JSON object with devices, captured, refused, open, resent, duplicated, connections, most_online.

\b
Exit codes:
  0  everything that was captured was acknowledged or refused by the server
  1  something is still open, or the fleet could not start
  2  wrong usage
"""
_SHARE = click.FloatRange(0, 1)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A device in the file."""

    site: str
    password: Annotated[str, msgspec.Meta(min_length=1)]


class _Choices(TypedDict):
    """The options that only say how the fleet behaves."""

    broker_host: str
    seconds: float
    drain: float
    seed: int
    rate: float
    duplicates: float
    shuffle: bool
    clock_offset: float
    poison: float
    victim: str
    gtin: str
    resend: float
    longest_reconnect: float


@click.command(epilog=_HELP)
@click.option("--devices", "file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Who the devices are, as JSON.")  # fmt: skip
@click.option("--broker-host", default="127.0.0.1", show_default=True)
@click.option("--broker-port", required=True, type=click.IntRange(1, 65_535))
@click.option("--journal", required=True, type=click.Path(path_type=Path, dir_okay=False),
              help="File to which each capture is appended before it is published.")  # fmt: skip
@click.option("--seconds", default=10.0, show_default=True, help="How long to capture; SIGTERM ends it sooner.")
@click.option("--drain", default=60.0, show_default=True, help="Longest wait for acknowledgements after that.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same choices.")
@click.option("--rate", default=1.0, show_default=True, type=click.FloatRange(0.001, 1000),
              help="Events a second that each device captures.")  # fmt: skip
@click.option("--duplicates", default=0.0, type=_SHARE, help="Share of messages that are sent twice at once.")
@click.option("--shuffle", is_flag=True, help="Send messages in any order.")
@click.option("--clock-offset", default=0.0, help="Seconds that the devices' clocks are ahead.")
@click.option("--poison", default=0.0, type=_SHARE, help="Share of events that are bad.")
@click.option("--victim", default="", help="A device whose acknowledgements, commands and events are forged.")
@click.option("--gtin", default="", help="The devices are shelves that hold this product, and send stock.")
@click.option("--resend", default=30.0, show_default=True, help="Seconds after which an event is sent again.")
@click.option("--longest-reconnect", default=60.0, show_default=True, help="Most seconds between two attempts.")
def fleet(file: Path, broker_port: int, journal: Path, **choices: Unpack[_Choices]) -> None:
    """Emulate many devices at wire level until everything that they captured is acknowledged."""
    try:
        entries = msgspec.json.decode(file.read_bytes(), type=dict[str, _Entry])
        allow_connections(len(entries))
    except (msgspec.DecodeError, CodefenceError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    accounts = [Account(device, entry.site, entry.password) for device, entry in entries.items()]
    run = Run(choices["broker_host"], broker_port, choices["seconds"], choices["drain"], choices["seed"])
    summary = asyncio.run(_play(accounts, _behaviour(choices), run, journal))
    click.echo(msgspec.json.encode(summary))
    if summary.open:
        raise SystemExit(1)


def _behaviour(choices: _Choices) -> Behaviour:
    return Behaviour(
        rate=choices["rate"],
        duplicates=choices["duplicates"],
        shuffle=choices["shuffle"],
        clock_offset_ms=round(choices["clock_offset"] * 1000),
        poison=choices["poison"],
        victim=choices["victim"],
        gtin=choices["gtin"],
        resend_seconds=choices["resend"],
        longest_reconnect_seconds=choices["longest_reconnect"],
    )


async def _play(accounts: list[Account], behaviour: Behaviour, run: Run, journal: Path) -> Summary:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with Journal(journal) as kept:
        return await run_fleet(accounts, behaviour, run, kept, stop)
