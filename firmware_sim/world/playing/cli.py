"""`codefence world play` and `codefence world channel`."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Final, TypedDict, Unpack

import click
import msgspec

from contracts.errors import CodefenceError
from firmware_sim.fleet.fleet import allow_connections
from firmware_sim.fleet.journal import Journal
from firmware_sim.fleet.link import Account
from firmware_sim.world.playing.channel import write_channel
from firmware_sim.world.playing.play import Interface, Played, Player, Stage

_PLAY_HELP: Final = """\b
Examples:
  codefence world play worlds/small --devices devices.json --broker-port 1883 --speed 5000
  codefence world play worlds/small --devices devices.json --broker-port 1883 --speed 20000 \\
    --epcis https://trace.example.com/epcis --token-file token

\b
devices.json: {"phones": {"site": "market", "password": "…"}, "R-D0001": {"site": "D0001", "password": "…"}, …}
Standard output: one JSON object with events, scans, captured, repeated, refused, open and unplayed.

\b
Exit codes:
  0  everything was acknowledged or refused by the server
  1  something is still open, or the folder or the stage is not usable
  2  wrong usage
"""
_CHANNEL_HELP: Final = """\b
Example:
  codefence world channel worlds/small tables
  codefence channel import tables/*.csv --brand qingyuan
"""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A device in the file."""

    site: str
    password: Annotated[str, msgspec.Meta(min_length=1)]


class _Choices(TypedDict):
    """The options of `play` that say how."""

    gateway: str
    broker_host: str
    broker_port: int
    speed: float
    drain: float


@click.command(epilog=_PLAY_HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--devices", "file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Who the devices are, as JSON.")  # fmt: skip
@click.option(
    "--gateway", default="phones", show_default=True, help="The device that speaks for all that are not in it."
)
@click.option("--broker-host", default="127.0.0.1", show_default=True)
@click.option("--broker-port", required=True, type=click.IntRange(1, 65_535))
@click.option("--speed", default=1000.0, show_default=True, type=click.FloatRange(1, 1e8), help="Times as fast.")
@click.option("--drain", default=60.0, show_default=True, help="Longest wait for acknowledgements at the end.")
@click.option("--epcis", help="Address of the EPCIS interface; without it only devices speak.")
@click.option("--token-file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its token.")
@click.option("--journal", type=click.Path(path_type=Path, dir_okay=False), help="[default: FOLDER/played.txt]")
def play(
    folder: Path, file: Path, journal: Path | None, epcis: str | None, token_file: Path | None,
    **choices: Unpack[_Choices],
) -> None:  # fmt: skip
    """Send the events of the world in FOLDER through MQTT, and what no device can say through EPCIS.

    The world's first event happens now, the others at their distance from it divided by the speed.
    """
    if (epcis is None) != (token_file is None):
        raise click.UsageError("--epcis and --token-file go together")
    interface = Interface(epcis, token_file.read_text("utf-8").strip()) if epcis and token_file else None
    try:
        accounts = _accounts(file)
        allow_connections(len(accounts))
        host, port = choices["broker_host"], choices["broker_port"]
        stage = Stage(host, port, accounts, choices["gateway"], interface, choices["speed"], choices["drain"])
        played = asyncio.run(_play(folder, stage, journal or folder / "played.txt"))
    except CodefenceError as error:
        raise click.ClickException(f"{error.message}\n  {error.advice}") from error
    click.echo(msgspec.json.encode(played))
    if played.open:
        raise SystemExit(1)


@click.command(epilog=_CHANNEL_HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def channel(folder: Path, out: Path) -> None:
    """Write the network of the world in FOLDER as tables for `codefence channel import` to OUT."""
    try:
        for path in write_channel(folder, out):
            click.echo(path)
    except CodefenceError as error:
        raise click.ClickException(f"{error.message}\n  {error.advice}") from error


def _accounts(file: Path) -> dict[str, Account]:
    try:
        entries = msgspec.json.decode(file.read_bytes(), type=dict[str, _Entry])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    return {device: Account(device, entry.site, entry.password) for device, entry in entries.items()}


async def _play(folder: Path, stage: Stage, journal: Path) -> Played:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with Journal(journal) as kept:
        player = Player(folder, stage, kept, lambda line: click.echo(line, err=True))
        return await player.play(stop)
