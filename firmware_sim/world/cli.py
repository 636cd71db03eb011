"""The command line of generated worlds: `codefence world`."""

import json
import sys
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click
import msgspec

from contracts.wording import counted
from firmware_sim.world.extras import REQUESTED
from firmware_sim.world.model import make_world
from firmware_sim.world.parameters import Extra, Request
from firmware_sim.world.playing.cli import channel, play
from firmware_sim.world.telling.writing import write_world

_GENERATE_HELP: Final = """\b
Examples:
  codefence world generate worlds/one --seed 1
  codefence world generate worlds/hard --seed 2 --hard --gzip
  codefence world generate worlds/quiet --seed 3 --attack-free --dealers 50 --items 60000
  codefence world generate worlds/copies --seed 4 --attack-free --attacks clone:copies=100,labels=1,count=20
  codefence world generate worlds/recalls --seed 5 --attacks recalled:count=10 --attacks expired:count=10

\b
Exit codes:
  0  the folder is written
  1  it cannot be written
  2  wrong usage
"""


class _Wanted(click.ParamType["Extra"]):
    """Attacks on request: a type, and after a colon what is different, such as `clone:copies=100,count=10`."""

    name = "type[:name=number,...]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Extra:
        """Return the attacks that a text names."""
        if isinstance(value, Extra):
            return value
        kind, _, rest = str(value).partition(":")
        if kind not in REQUESTED:
            self.fail(f"{kind!r} is none of {', '.join(REQUESTED)}", param, ctx)
        numbers: dict[str, int] = {}
        for part in filter(None, rest.split(",")):
            name, _, number = part.partition("=")
            if name not in ("count", "copies", "labels") or not number.isdecimal() or not 1 <= int(number) <= _MOST:
                self.fail(f"{part!r} is not count, copies or labels and a number from 1 to {_MOST}", param, ctx)
            numbers[name] = int(number)
        return Extra(type=kind, **numbers)


_MOST: Final = 1000


class _Size(TypedDict):
    """The options that describe a world."""

    seed: int
    days: int
    dealers: int
    items: int
    scan_rate: float
    scans_times: float
    hard: bool
    attack_free: bool
    extra: tuple[Extra, ...]
    second_phones: float


@click.group()
def world() -> None:
    """Generate networks with known truth, and play them through real devices."""


world.add_command(play)
world.add_command(channel)


@world.command(epilog=_GENERATE_HELP)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="The same seed, the same bytes.")
@click.option("--days", default=365, show_default=True, type=click.IntRange(30, 1500))
@click.option("--dealers", default=200, show_default=True, type=click.IntRange(20, 2000))
@click.option("--items", default=300_000, show_default=True, type=click.IntRange(5_000, 10_000_000))
@click.option("--scan-rate", default=0.05, show_default=True, type=click.FloatRange(0.001, 0.9))
@click.option("--scans-times", default=1.0, show_default=True, type=click.FloatRange(1, 300), help="Times the scans.")
@click.option("--hard", is_flag=True, help="Attackers who hide, collude and stay near the border.")
@click.option("--attack-free", is_flag=True, help="A network in which nobody diverts anything.")
@click.option("--whereabouts", is_flag=True, help="Also write where goods really stand, for measuring inspections.")
@click.option(
    "--attacks", "extra", multiple=True, type=_Wanted(), help="More attacks of a type: clone, promo, recalled, …"
)
@click.option(
    "--second-phones", default=0.0, type=click.FloatRange(0, 1), help="Honest rescans that are by another phone."
)
@click.option("--gzip", "compressed", is_flag=True, help="Compress the tables and the events.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object on standard output.")
def generate(folder: Path, *, whereabouts: bool, compressed: bool, as_json: bool, **size: Unpack[_Size]) -> None:
    """Write a generated network with a year of events to FOLDER, labels apart."""
    made = make_world(Request(**size))
    try:
        write_world(made, folder, lambda line: click.echo(line, err=True), compressed=compressed, truth=whereabouts)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror}") from error
    if as_json:
        sys.stdout.write(json.dumps(msgspec.json.decode((folder / "summary.json").read_bytes())) + "\n")
    else:
        counts = ", ".join(
            (
                counted(made.goods.item_count, "item"),
                counted(made.scans.item.size, "consumer scan"),
                counted(len(made.attacks), "attack"),
            )
        )
        click.echo(f"{folder}: {counts}")
