"""`codefence labels`: items, cases and pallets as pictures, sheets, printer commands and tables."""

import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from contracts.tc20 import COUNTERS, Profile
from contracts.tc20_bulk import BulkTc20
from trace_service.codes.batches import Batch, codec_of, find, product_name
from trace_service.codes.master import read_master
from trace_service.codes.opened import opened
from trace_service.codes.reporting import OneLineCommand, RefusedError, reported
from trace_service.codes.ssccs import allot_ssccs
from trace_service.codes.values import COUNT, COUNTER, EPOCH, GTIN, PROFILE, SPAN, TENANT
from trace_service.labels.jobs import Numbers
from trace_service.labels.model import Kind
from trace_service.labels.options import Output, label_options
from trace_service.labels.sources import Copies, Items, Lines, Units

_PREFIX: Final = re.compile(r"[0-9]{5,13}")
_DAY: Final = click.DateTime(["%Y-%m-%d"])
_EXIT_CODES: Final = """
\b
Exit codes:
  0  every label was written, now or by an earlier run
  1  the database cannot be reached
  2  a value, the template or a font is wrong; whole parts stay, the one at work is removed by the next run
"""


def _epilog(*examples: str) -> str:
    return "\n".join(("\b", "Examples:", *(f"  codefence labels {each}" for each in examples))) + "\n" + _EXIT_CODES


@click.group()
def labels() -> None:
    """Print labels, millions if need be; a job that was cut resumes where it stopped."""


@labels.command(
    cls=OneLineCommand,
    epilog=_epilog(
        "batch --tenant acme --batch 17 --format pdf --out sheets",
        "batch --tenant acme --batch 17 --counters 5000-5999 --format zpl --out - > /dev/usb/lp0",
    ),
)
@click.option("--tenant", type=TENANT, required=True, help="The brand whose batch it is.")
@click.option("--batch", type=click.IntRange(min=1), required=True, help="The batch's number.")
@click.option("--counters", type=SPAN, help="Only these counters of the batch.")
@label_options(Kind.QR)
@reported
def batch(*, tenant: str, batch: int, counters: tuple[int, int] | None, output: Output) -> None:
    """Print the items of a batch of the database, without the scrapped ones."""
    with opened("labels batch") as (connection, keys):
        found = find(connection, tenant, batch)
        codec = codec_of(connection, keys, found)
        name = output.name or product_name(connection, found.gtin)
    if found.commissioned_at is not None:
        click.echo("warning: the batch is commissioned; a second label of one item will be taken for a copy", err=True)
    first, last = counters or (found.first, found.first + found.count - 1)
    if not found.first <= first <= last < found.first + found.count:
        raise RefusedError(f"batch {batch} has counters {found.first} to {found.first + found.count - 1}.")
    source = Items(
        codec, tenant, found.gtin, output.kind, output.host, found.lot, found.expires_on, excluded=found.excluded
    )
    output.named(name).produce(source, Numbers(first, last - first + 1), _constants(found))


def _constants(found: Batch) -> Mapping[str, str]:
    expires = found.expires_on.isoformat() if found.expires_on else ""
    return {"gtin": found.gtin, "lot": found.lot, "produced": found.produced_on.isoformat(), "expires": expires}


@labels.command(
    cls=OneLineCommand,
    epilog=_epilog(
        "items --tenant acme --gtin 09506000134352 --epoch 1 --start 0 --count 5000 --master-file master --out labels"
    ),
)
@click.option("--tenant", type=TENANT, required=True, help="The brand whose codes these are.")
@click.option("--gtin", type=GTIN, required=True, help="The product.")
@click.option("--epoch", type=EPOCH, required=True, help="The key's epoch; 0 for training labels.")
@click.option("--start", type=COUNTER, required=True, help="The first counter.")
@click.option("--count", type=COUNT, required=True, help="How many labels.")
@click.option("--master-file", type=click.Path(path_type=Path), required=True, help="32 or more raw bytes.")
@click.option("--profile", type=PROFILE, default=Profile.AES.value, help="The block cipher.")
@click.option("--lot", default="", help="The lot, for texts and element strings.")
@click.option("--produced", type=_DAY, help="The production date, for texts.")
@click.option("--expires", type=_DAY, help="The expiry date, for texts and element strings.")
@label_options(Kind.QR)
@reported
def items(  # noqa: PLR0913  click passes each option by itself
    *,
    tenant: str,
    gtin: str,
    epoch: int,
    start: int,
    count: int,
    master_file: Path,
    profile: str,
    lot: str,
    produced: datetime | None,
    expires: datetime | None,
    output: Output,
) -> None:
    """Print items of a product by their counters, with the master in a file and without a database."""
    if start + count > COUNTERS:
        raise RefusedError(f"--start {start} and --count {count} reach beyond the last counter, {COUNTERS - 1}.")
    codec = BulkTc20(read_master(master_file), tenant, epoch, Profile(profile))
    until = expires.date() if expires else None
    dates = {"produced": f"{produced:%Y-%m-%d}" if produced else "", "expires": until.isoformat() if until else ""}
    source = Items(codec, tenant, gtin, output.kind, output.host, lot, until)
    output.produce(source, Numbers(start, count), {"gtin": gtin, "lot": lot, **dates})


@labels.command(
    cls=OneLineCommand,
    epilog=_epilog(
        "units --tenant acme --prefix 06901234 --count 200 --format pdf --out pallets",
        "units --prefix 06901234 --start 0 --count 200 --format zpl --out - | nc printer 9100",
    ),
)
@click.option("--tenant", type=TENANT, help="The brand for which the database notes what is given out.")
@click.option("--prefix", required=True, help="Extension digit and company prefix, 5 to 13 digits.")
@click.option("--start", type=COUNTER, help="The first serial number; with --tenant by default the next free one.")
@click.option("--count", type=COUNT, required=True, help="How many labels.")
@label_options(Kind.GS1_128)
@reported
def units(*, tenant: str | None, prefix: str, start: int | None, count: int, output: Output) -> None:
    """Print SSCCs of cases and pallets, which must never be given twice.

    With --tenant the database gives out numbers, each once. Without it nothing is noted: use it to print again what was
    given out, and to resume.
    """
    if _PREFIX.fullmatch(prefix) is None or output.kind is Kind.ITF14:
        raise RefusedError("--prefix has 5 to 13 digits, and no ITF-14 holds an SSCC.")
    if tenant is not None:
        with opened("labels units") as (connection, _):
            start = allot_ssccs(connection, tenant, prefix, count, start)
        click.echo(f"numbers {start} to {start + count - 1}; to resume: --start {start} without --tenant", err=True)
    if start is None:
        raise RefusedError("--start says the first number; or let the database give numbers out with --tenant.")
    output.produce(Units(prefix, output.kind, output.host), Numbers(start, count), {})


@labels.command(
    cls=OneLineCommand, epilog=_epilog("cases --gtin 19506000134359 --count 500 --name '苏打水 24 瓶' --out cases")
)
@click.option("--gtin", type=GTIN, required=True, help="The case's own GTIN-14.")
@click.option("--count", type=COUNT, required=True, help="How many labels.")
@label_options(Kind.ITF14)
@reported
def cases(*, gtin: str, count: int, output: Output) -> None:
    """Print the GTIN of a case, all labels alike, as an ITF-14 by default."""
    output.produce(Copies(gtin, output.kind, output.host), Numbers(0, count), {"gtin": gtin})


@labels.command(cls=OneLineCommand, epilog=_epilog("lines --symbol datamatrix --format svg --out labels < ssccs.txt"))
@label_options(Kind.QR)
@reported
def lines(*, output: Output) -> None:
    """Print what standard input names, one identifier a line, in any of GS1's forms or as a bare SSCC or GTIN-14."""
    texts = (line.decode("utf-8", "replace").strip() for line in sys.stdin.buffer)
    output.produce(Lines(texts, output.kind, output.host), Numbers(0, None), {})
