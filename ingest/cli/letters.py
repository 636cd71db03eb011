"""The group `codefence ingest dead-letters`: what could not be stored, looked at, put through again, or closed."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
import msgspec

from contracts.errors import CodefenceError
from contracts.wording import counted
from ingest import dead_letters
from ingest.cli.parts import database, visible

_LETTERS_HELP: Final = """\b
Examples:
  codefence ingest dead-letters list
  codefence ingest dead-letters show 7 --json | jq -r .body > mended.json
  codefence ingest dead-letters replay 7 --mended mended.json
  codefence ingest dead-letters replay 7 8 9 --clock-behind 3d
  codefence ingest dead-letters close 7 --why "test of a new scanner"

\b
Exit codes:
  0  done
  1  no such letter, still refused, or the database is away
  2  wrong usage
"""
_LONGEST_REASON: Final = 500
_DURATION: Final = re.compile(r"(-?)(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_json_flag = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


class _Duration(click.ParamType[timedelta]):
    """A time span such as 90s, 30m, 2h or 3d, negative with a minus."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no time span such as 90s, 30m, 2h or 3d", param, ctx)
        sign, number, unit = match.groups()
        span = timedelta(**{_UNITS[unit]: int(number)})
        return -span if sign else span


@click.group("dead-letters", epilog=_LETTERS_HELP)
def dead_letters_group() -> None:
    """Look at messages that could not be stored, and put them through again."""


@dead_letters_group.command("list", epilog=_LETTERS_HELP)
@click.option("--all", "replayed", is_flag=True, help="Those already replayed or closed, too.")
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
@click.argument("numbers", type=int, nargs=-1, required=True)
@click.option(
    "--mended",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the mended JSON array of events, or with a whole mended message.",
)
@click.option("--topic", help="The topic on which the device should have published.")
@click.option("--clock-behind", type=_Duration(), default="0s", help="How far this server's clock was behind the true "
              "time when the letters came, such as 3d or 90m; -2h if ahead.")  # fmt: skip
@_json_flag
def replay(
    numbers: tuple[int, ...], *, mended: Path | None, topic: str | None, clock_behind: timedelta, as_json: bool
) -> None:
    """Put the dead letters NUMBERS through again, mended or as they came, and mark them as replayed."""
    if mended and len(numbers) > 1:
        raise click.UsageError("--mended replaces one letter: give one number")
    payload = mended.read_bytes() if mended else None
    committed = duplicates = refused = 0
    with database("codefence dead-letters") as connection:
        for number in numbers:
            try:
                outcome = dead_letters.replay(
                    connection, number, mended=payload, topic=topic, clock_behind=clock_behind
                )
            except CodefenceError as error:
                if len(numbers) == 1:
                    raise
                refused += 1
                click.echo(f"{number}: [{error.code}] {error.message}", err=True)
                continue
            committed += outcome.committed
            duplicates += outcome.duplicates
    if as_json:
        click.echo(msgspec.json.encode({"committed": committed, "duplicates": duplicates, "refused": refused}))
    else:
        click.echo(f"{counted(committed, 'event')} stored, {duplicates} stored before")
    if refused:
        raise SystemExit(1)


@dead_letters_group.command(epilog=_LETTERS_HELP)
@click.argument("numbers", type=int, nargs=-1, required=True)
@click.option("--why", required=True, help="The reason, which is kept with the letter.")
def close(numbers: tuple[int, ...], *, why: str) -> None:
    """Decide that the dead letters NUMBERS will not be replayed: they leave the list, and some day the database."""
    if not why.strip() or len(why) > _LONGEST_REASON:
        raise click.UsageError(f"--why takes 1 to {_LONGEST_REASON} characters")
    with database("codefence dead-letters") as connection, connection.transaction():
        for number in numbers:
            dead_letters.close(connection, number, why.strip())
    click.echo(f"{len(numbers)} dead letters closed")


def _as_json(letter: dead_letters.Letter) -> bytes:
    shown = {name: getattr(letter, name) for name in letter.__struct_fields__}
    if letter.payload:
        shown["body"] = letter.body.decode("utf-8", "backslashreplace")
    else:
        del shown["payload"]
    return msgspec.json.encode(shown)


def _line(letter: dead_letters.Letter) -> str:
    numbers = "" if letter.first_seq is None else f" {letter.first_seq}-{letter.last_seq}"
    state = " replayed" if letter.replayed_at else f" closed: {visible(letter.decision)}" if letter.closed_at else ""
    when = f"{letter.received_at:%Y-%m-%d %H:%M:%S}"
    return f"{letter.id}  {when}  {letter.reason}  {visible(letter.topic)}{numbers}{state}"
