"""`codefence codes verify`: whether codes are genuine and issued, a JSON object a line."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Final, cast

import click
import msgspec

from contracts.tc20 import Profile
from contracts.tc20_bulk import BulkTc20
from trace_service.codes.batches import spans
from trace_service.codes.book import Book, Entry
from trace_service.codes.book_file import load_book
from trace_service.codes.check import Answer, Checker, read_item
from trace_service.codes.cli.lines import batches_of_lines
from trace_service.codes.master import read_master
from trace_service.codes.opened import database_is_set, opened
from trace_service.codes.queries import SQL
from trace_service.codes.reporting import OneLineCommand, Progress, RefusedError, reported
from trace_service.codes.values import GTIN, PROFILE, TENANT
from trace_service.keys import KeyWrapper
from trace_service.store.brands import is_brand
from trace_service.store.connection import Connection

_NO_BOOK: Final = "warning: no --batches and no TRACE_DATABASE_URL: that a code was issued is not checked"
_EPILOG = """\b
Examples:
  codefence codes verify --tenant acme --master-file master --batches batches.csv < scans.txt
  codefence codes verify --tenant acme < scans.txt

\b
Exit codes:
  0  every line was answered, valid or not
  1  the database cannot be reached
  2  a value or the file of batches is wrong
"""


@click.command(cls=OneLineCommand, epilog=_EPILOG)
@click.option("--tenant", type=TENANT, required=True, help="The brand whose codes these should be.")
@click.option("--gtin", type=GTIN, help="The product of lines that hold a serial alone.")
@click.option("--master-file", type=click.Path(path_type=Path), help="32 or more raw bytes; else the database's keys.")
@click.option("--profile", type=PROFILE, default=Profile.AES.value, help="With --master-file: the block cipher.")
@click.option("--batches", type=click.Path(path_type=Path), help="What was issued, CSV or JSON; else the database's.")
@reported
def verify(*, tenant: str, gtin: str | None, master_file: Path | None, profile: str, batches: Path | None) -> None:
    """Read one code a line from standard input and write one JSON object a line: input, valid, epoch, counter, batch.

    A line holds a Digital Link, an element string, a GTIN and a serial, or a serial alone. Whatever is wrong with a
    code, the answer is the same. With neither --batches nor a database, the tag alone is checked and batch is null.
    """
    if batches is not None and master_file is None:
        raise RefusedError("--batches needs --master-file: without a database there is no other key.")
    master = read_master(master_file) if master_file is not None else None

    @cache
    def from_file(epoch: int) -> BulkTc20 | None:
        return BulkTc20(master, tenant, epoch, Profile(profile)) if master is not None else None

    with ExitStack() as stack:
        if batches is not None:
            checker = Checker(from_file, load_book(batches))
        elif master is not None and not database_is_set():
            click.echo(
                "warning: no --batches and no TRACE_DATABASE_URL: that a code was issued is not checked", err=True
            )
            checker = Checker(from_file, None)
        else:
            connection, keys = stack.enter_context(opened("codes verify"))
            checker = _from_database(connection, keys, tenant, from_file if master is not None else None)
        _answer_lines(checker, gtin or "")


def _from_database(
    connection: Connection, keys: KeyWrapper, tenant: str, codec: Callable[[int], BulkTc20 | None] | None
) -> Checker:
    if not is_brand(connection, tenant):
        raise RefusedError(f"there is no brand {tenant}. Check --tenant.")
    rows = {row.epoch: row for row in connection.execute(SQL["keys"], {"brands": [tenant]})}
    killed = {epoch: row.killed_at for epoch, row in rows.items() if row.state == "killed"}
    batches = connection.execute(SQL["batches"], {"brand": tenant})
    book = Book(Entry(str(r.id), r.gtin, r.epoch, r.first, r.stop - 1, spans(r.excluded)) for r in batches)

    @cache
    def unwrapped(epoch: int) -> BulkTc20 | None:
        row = rows.get(epoch)
        return BulkTc20(keys.unwrap(row.wrapped), tenant, epoch, Profile(row.profile)) if row else None

    def seen(units: Mapping[str, int]) -> list[str]:
        moments = {"units": list(units), "moments": [killed[epoch] for epoch in units.values()]}
        return [unit for (unit,) in connection.execute(SQL["seen_before"], moments)]

    return Checker(codec or unwrapped, book, killed=frozenset(killed), seen=seen)


class _Line(msgspec.Struct, gc=False):
    """One line of output; all but the input are null where the code is not valid."""

    input: str
    valid: bool = False
    epoch: int | None = None
    counter: int | None = None
    batch: str | None = None
    assurance: str | msgspec.UnsetType = msgspec.UNSET


def _answer_lines(checker: Checker, gtin: str) -> None:
    progress = Progress("codes")
    encoder = msgspec.json.Encoder()
    for lines in batches_of_lines(cast("BufferedReader", sys.stdin.buffer)):
        texts = [line.removesuffix(b"\r").decode("utf-8", "replace") for line in lines]
        answers = checker.check([read_item(text, gtin) for text in texts])
        sys.stdout.buffer.write(encoder.encode_lines([*map(_line, texts, answers)]))
        sys.stdout.buffer.flush()
        progress.add(len(texts))
    progress.finish()


def _line(text: str, answer: Answer | None) -> _Line:
    if answer is None:
        return _Line(text)
    assurance = "reduced" if answer.reduced else msgspec.UNSET
    return _Line(text, True, answer.epoch, answer.counter, answer.batch, assurance)  # noqa: FBT003  a field
