"""The command line of the simulators: `codefence simulate`."""

import asyncio
import signal
import sys
from pathlib import Path

import click
import structlog

from firmware_sim.shelves.controller import Trouble
from firmware_sim.shelves.shop import Shop
from firmware_sim.world import load_world

_WORLD = click.option(
    "--world",
    "world_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The print job, market.json.",
)
_SEED = click.option("--seed", default=1, show_default=True, help="The same seed gives the same behaviour.")


@click.group()
def simulate() -> None:
    """Emulate shelf controllers on serial lines, or a whole market."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


@simulate.command()
@_WORLD
@_SEED
@click.option("--links", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the lines.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="Keep stock across restarts here.")
@click.option("--fault", "faults", multiple=True, metavar="DEVICE=KIND", help="silence, crc, stuck or saturated.")
def shelves(world_file: Path, seed: int, links: Path, state: Path | None, faults: tuple[str, ...]) -> None:
    """Serve every shelf of the print job over Modbus RTU at LINKS/<device>.tty until stopped."""
    world = load_world(world_file)
    shop = Shop(world.shelves, seed=seed, state_file=state, troubles=dict(map(_trouble, faults)))
    asyncio.run(_until_stopped(shop, links))


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
