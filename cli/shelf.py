"""`codefence shelf`: set a real shelf up, and move goods on a simulated one by hand."""

import getpass
import logging
import sys
from pathlib import Path
from typing import Final, Never

import click
import msgspec

from contracts.errors import CodefenceError, ConfigurationError
from contracts.wording import counted
from edge.shelf.calibrate import Bench, Record, store, watching
from edge.shelf.modbus import ShelfController
from firmware_sim.shelves.hands import Hand, Moved, ask

_MOVE_HELP: Final = """\b
Examples:
  codefence shelf take S-CHENGDU-01/1 3
  codefence shelf put shelf-01/1 12 --json

\b
Exit codes:
  0  done
  1  no simulated shelves run, or they do not answer
  2  there is no such channel
"""
_DELIVER_HELP: Final = """\b
Examples:
  codefence shelf deliver S-CHENGDU-01/1 2
  codefence shelf deliver S-HANGZHOU-01/1 1 --after 30 --json

\b
Exit codes:
  0  received and put up
  1  the system does not answer, or does not take the delivery in
  2  no system runs there, it has no such channel, or nothing is on its way
"""
_CALIBRATE_HELP: Final = """\b
Examples:
  codefence shelf calibrate /dev/ttyUSB0 1 --reference 5000 --units 10
  codefence shelf calibrate tcp://10.0.0.7:502#2 3 --reference 2000 --watch --by "Li Na" --json

\b
Exit codes:
  0  set and verified
  1  the channel does not work, or does not show the reference weight afterwards
  2  a value that cannot be right
"""
_LOOK_HELP: Final = """\b
Example:
  codefence shelf look now.jpg --slots slots.json --full full.jpg --empty empty.jpg --json

\b
Exit codes:
  0  judged
  2  a picture or the slots cannot be used
"""
_VAR = click.option(
    "--var",
    default=Path("var"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the running system.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
_UNITS = click.IntRange(1, 10_000)


@click.group()
def shelf() -> None:
    """Calibrate a shelf's channels; take goods off a simulated shelf by hand."""


@shelf.command(epilog=_MOVE_HELP)
@click.argument("place")
@click.argument("units", type=_UNITS)
@_VAR
@_JSON
def take(place: str, units: int, *, var: Path, as_json: bool) -> None:
    """Take UNITS off the simulated channel PLACE, named SITE/CHANNEL or DEVICE/CHANNEL."""
    _show(_move(place, units, var), "taken", as_json=as_json)


@shelf.command(epilog=_MOVE_HELP)
@click.argument("place")
@click.argument("units", type=_UNITS)
@_VAR
@_JSON
def put(place: str, units: int, *, var: Path, as_json: bool) -> None:
    """Put UNITS up on the simulated channel PLACE, named SITE/CHANNEL or DEVICE/CHANNEL."""
    _show(_move(place, -units, var), "put up", as_json=as_json)


@shelf.command(epilog=_DELIVER_HELP)
@click.argument("place")
@click.argument("cases", type=click.IntRange(1, 100))
@click.option("--after", default=12.0, show_default=True, type=click.FloatRange(0, 3600),
              help="Seconds before the goods are put up.")  # fmt: skip
@_VAR
@_JSON
def deliver(place: str, cases: int, *, after: float, var: Path, as_json: bool) -> None:
    """Receive CASES by scan at the store of the simulated channel PLACE, then put what is in them up.

    The cases are some that were shipped to the store's dealer; the shelf's agent hears of them before they come.
    """
    from cli.device import running_installation  # noqa: PLC0415  only this needs packages that a device does not have
    from cli.shelf_delivery import deliver as receive  # noqa: PLC0415  likewise

    hand = Hand(*_place(place), 1)
    try:
        done = receive(running_installation(var), hand, cases, after)
    except CodefenceError as error:
        _fail(error)
    if as_json:
        click.echo(msgspec.json.encode(done))
    else:
        received, put_up = counted(len(done.cases), "case"), counted(done.items, "item")
        click.echo(f"{received} received, {put_up} put up, {done.moved.left} on the shelf")


@shelf.command(epilog=_CALIBRATE_HELP)
@click.argument("controller")
@click.argument("channel", type=click.IntRange(1, 64))
@click.option("--reference", required=True, type=click.FloatRange(min=1), help="Grams of the reference weight.")
@click.option("--units", default=0, type=click.IntRange(0, 1000), help="Weigh this many units as well.")
@click.option("--by", default=getpass.getuser, help="Who does it.  [default: your login]")
@click.option("--watch", is_flag=True, help="Ask nobody: go on when the weight has changed.")
@click.option(
    "--record",
    default=Path("calibrations.jsonl"),
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to which the record is appended.",
)
@_JSON
def calibrate(controller: str, channel: int, **options: object) -> None:
    """Tare and calibrate CHANNEL of the shelf CONTROLLER with a known weight, check it, and keep a record.

    CONTROLLER is /dev/ttyUSB0, /dev/ttyUSB0#2 or tcp://HOST:502#2. Stop the shelf agent first: a line has one reader.
    """
    # Its own complaints repeat what is said below about a silent controller.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
    reference, units = float(str(options["reference"])), int(str(options["units"]))
    try:
        source = ShelfController(controller, [channel])
        wait = watching(reference, _say) if options["watch"] else _ask_person
        try:
            record = Bench(source, channel, wait).calibrate(reference, str(options["by"]), units)
        finally:
            source.close()
        store(record, Path(str(options["record"])))
    except CodefenceError as error:
        _fail(error)
    click.echo(msgspec.json.encode(record) if options["as_json"] else _table(record))
    if not record.passed:
        _say("The channel does not show what stands on it. Its old settings are in the record.")
        sys.exit(1)


@shelf.command(epilog=_LOOK_HELP)
@click.argument("picture", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--slots", required=True, type=click.Path(path_type=Path, dir_okay=False), help="JSON list of facings.")
@click.option("--full", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Picture, quite full.")
@click.option("--empty", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Picture, quite empty.")
@_JSON
def look(picture: Path, slots: Path, full: Path, empty: Path, *, as_json: bool) -> None:
    """Say which facings of a shelf PICTURE are filled, empty, or unknown because something is in the way."""
    from edge.shelf.facings import ShelfCamera, load_picture, load_slots, shares  # noqa: PLC0415  only this needs OpenCV

    try:
        camera = ShelfCamera(load_slots(slots), load_picture(full), load_picture(empty))
        seen = camera.look(load_picture(picture))
    except CodefenceError as error:
        _fail(error)
    found = shares(seen)
    if as_json:
        judged = [{**msgspec.structs.asdict(each.slot), "facing": each.facing, "other": each.other} for each in seen]
        click.echo(msgspec.json.encode({"slots": judged, "shares": [each._asdict() for each in found]}))
        return
    for share in found:
        counts = f"{share.filled} filled, {share.empty} empty, {share.unknown} unknown, {share.strange} strange"
        click.echo(f"{share.gtin}  {counts}, {100 * share.share:.0f} % of the shelf")


def _ask_person(what: str, _bench: Bench) -> None:
    load = "Take everything off the channel; the tray stays" if what == "empty" else f"Put {what} on the channel"
    click.prompt(f"{load}, then press Enter", default="", show_default=False, prompt_suffix=" ", err=True)


def _move(place: str, units: int, var: Path) -> Moved:
    name, channel = _place(place)
    try:
        return ask(var / "shelves", Hand(name, channel, units))
    except CodefenceError as error:
        _fail(error)


def _place(place: str) -> tuple[str, int]:
    name, _, channel = place.rpartition("/")
    if not name or not channel.isdecimal() or not 1 <= int(channel) <= 64:  # noqa: PLR2004  channels of a controller
        raise click.BadParameter("name a place as S-CHENGDU-01/1", param_hint="PLACE")
    return name, int(channel)


def _show(moved: Moved, what: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(moved))
    else:
        click.echo(f"{abs(moved.units)} {what} on {moved.device}, {moved.left} left")


def _table(record: Record) -> str:
    rows = [
        ("tare", f"{record.before.tare_g} g → {record.after.tare_g} g"),
        ("gain", f"{record.before.gain_ppm:+} ppm → {record.after.gain_ppm:+} ppm"),
        ("shows", f"{record.loaded_reads_g:g} g for {record.reference_g:g} g, {record.empty_reads_g:g} g when empty"),
    ]
    if record.unit_weight_g is not None:
        rows.append(("one unit", f"{record.unit_weight_g:g} g: write it into the planogram"))
    rows.append(("result", "passed" if record.passed else "FAILED"))
    return "\n".join(f"{name:<9} {value}" for name, value in rows)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _fail(error: CodefenceError) -> Never:
    click.echo(f"[{error.code}] {error.message}. {error.advice}", err=True)
    sys.exit(2 if isinstance(error, ConfigurationError) else 1)
