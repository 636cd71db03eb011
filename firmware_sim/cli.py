"""The command line of the simulators: `codefence simulate`."""

import asyncio
import signal
import threading
from pathlib import Path
from typing import Final, TextIO, TypedDict, Unpack, cast

import click
import structlog

from contracts.stderr import PatientStderr
from firmware_sim.fleet.cli import fleet
from firmware_sim.market.gateway import Account
from firmware_sim.market.play import Options, play
from firmware_sim.print_job import load_world
from firmware_sim.shelves.controller import Trouble
from firmware_sim.shelves.shop import Shop

_SHELVES_HELP: Final = """\b
Examples:
  codefence simulate shelves --world market.json --links /run/shelves
  codefence simulate shelves --world market.json --links /run/shelves --fault shelf-02=silence
"""
_MARKET_HELP: Final = """\b
Example:
  codefence simulate market --world market.json --stations stations --broker-port 1883 \\
    --password-file gateway-password --no-attack
"""
_WORLD = click.option(
    "--world",
    "world_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The print job, market.json.",
)
_SEED = click.option("--seed", default=1, show_default=True, help="The same seed gives the same behaviour.")


class _Choices(TypedDict):
    """The options of `market` that only say how it is played."""

    broker_host: str
    seed: int
    attack: bool
    speed: float
    stations: Path
    state: Path | None


@click.group()
def simulate() -> None:
    """Emulate shelf controllers on serial lines, a whole market, or a fleet of devices."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(cast("TextIO", PatientStderr())))


simulate.add_command(fleet)


@simulate.command(epilog=_SHELVES_HELP)
@_WORLD
@_SEED
@click.option("--links", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the lines.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="Keep stock across restarts here.")
@click.option(
    "--fault", "faults", multiple=True, metavar="DEVICE=KIND", help="silence, crc, stuck, saturated, cell or supply."
)
def shelves(world_file: Path, seed: int, links: Path, state: Path | None, faults: tuple[str, ...]) -> None:
    """Serve every shelf of the print job over Modbus RTU at LINKS/<device>.tty until stopped."""
    world = load_world(world_file)
    shop = Shop(world.shelves, seed=seed, state_file=state, troubles=dict(map(_trouble, faults)))
    asyncio.run(_until_stopped(shop, links))


@simulate.command(epilog=_MARKET_HELP)
@_WORLD
@_SEED
@click.option("--stations", required=True, type=click.Path(path_type=Path, file_okay=False), help="Stations' folders.")
@click.option("--broker-host", default="127.0.0.1", show_default=True)
@click.option("--broker-port", required=True, type=click.IntRange(1, 65_535))
@click.option("--user", default="gateway-market", show_default=True, help="The gateway's device and user name.")
@click.option("--password-file", required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--attack/--no-attack", default=True, show_default=True, help="Whether a dealer diverts goods.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(0.1, 100), help="Times as fast.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="[default: market-state.db by WORLD]")
def market(world_file: Path, broker_port: int, user: str, password_file: Path, **choices: Unpack[_Choices]) -> None:
    """Pack, ship and scan the goods of the print job in real time until stopped.

    Photos go to STATIONS/station-pack/in and STATIONS/station-ship/in, scans to the broker. What truly happened is
    written to truth.json beside WORLD, for people and scores only. Started again, the market goes on where it was.
    """
    world = load_world(world_file)
    device = world.devices.get(user)
    if device is None:
        raise click.BadParameter(f"{world_file} knows no device {user!r}", param_hint="--user")
    password = password_file.read_text("utf-8").strip()
    options = Options(
        seed=choices["seed"],
        attack=choices["attack"],
        speed=choices["speed"],
        stations=choices["stations"],
        state=choices["state"] or world_file.with_name("market-state.db"),
        truth=world_file.with_name("truth.json"),
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    play(world, Account(choices["broker_host"], broker_port, user, password, device.site), options, stop)


def _trouble(text: str) -> tuple[str, Trouble]:
    device, _, kind = text.partition("=")
    try:
        return device, Trouble(kind)
    except ValueError as error:
        raise click.BadParameter(f"{kind!r} is not one of {', '.join(Trouble)}", param_hint="--fault") from error


async def _until_stopped(shop: Shop, links: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await shop.serve(links, stop)
