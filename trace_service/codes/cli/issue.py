"""`codefence codes issue`: serials, one a line, from a master in a file or from a batch of the database."""

import sys
from datetime import date, datetime
from pathlib import Path

import click

from contracts.tc20 import COUNTERS, Profile
from contracts.tc20_bulk import BulkTc20, as_lines
from trace_service.codes.batches import Order, allot
from trace_service.codes.master import read_master
from trace_service.codes.opened import opened
from trace_service.codes.reporting import OneLineCommand, Progress, RefusedError, reported
from trace_service.codes.values import COUNT, COUNTER, EPOCH, GTIN, PROFILE, TENANT

_EPILOG = """\b
Examples:
  codefence codes issue --tenant acme --gtin 09506000134352 --epoch 1 --start 0 --count 1000000 --master-file master
  codefence codes issue --tenant acme --gtin 09506000134352 --count 50000 --lot L42 --produced 2026-03-02

\b
Exit codes:
  0  every serial was written
  1  the database cannot be reached
  2  a value is wrong or the range is taken; nothing was written
"""


@click.command(cls=OneLineCommand, epilog=_EPILOG)
@click.option("--tenant", type=TENANT, required=True, help="The brand whose codes these are.")
@click.option("--gtin", type=GTIN, required=True, help="The product, as GTIN-8 to GTIN-14.")
@click.option("--epoch", type=EPOCH, help="The key's epoch; by default the brand's active one.")
@click.option("--start", type=COUNTER, help="The first counter; by default the one after the product's last batch.")
@click.option("--count", type=COUNT, required=True, help="How many serials.")
@click.option("--master-file", type=click.Path(path_type=Path), help="32 or more raw bytes: works without a database.")
@click.option("--profile", type=PROFILE, help="With --master-file: the block cipher, aes by default.")
@click.option("--lot", help="Without --master-file: the lot that the new batch belongs to.")
@click.option("--produced", type=click.DateTime(["%Y-%m-%d"]), help="The batch's production date; today by default.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="The batch's expiry date.")
@reported
def issue(  # noqa: PLR0913  click passes each option by itself
    *,
    tenant: str,
    gtin: str,
    epoch: int | None,
    start: int | None,
    count: int,
    master_file: Path | None,
    profile: Profile | None,
    lot: str | None,
    produced: datetime | None,
    expires: datetime | None,
) -> None:
    """Write serials, one a line, on standard output; progress goes to standard error.

    With --master-file the serials are those of --epoch and of the counters from --start on, and nothing is recorded.
    Without it a new batch is allotted in the database and recorded before the first serial is written.
    """
    if start is not None and start + count > COUNTERS:
        raise RefusedError(f"--start {start} and --count {count} reach beyond the last counter, {COUNTERS - 1}.")
    if master_file is not None:
        if epoch is None or start is None or lot or produced or expires:
            raise RefusedError("--master-file needs --epoch and --start, and takes neither --lot nor dates.")
        _write(BulkTc20(read_master(master_file), tenant, epoch, profile or Profile.AES), gtin, start, count)
        return
    if lot is None or profile is not None:
        raise RefusedError("a batch of the database needs --lot, and its key has its profile; or give --master-file.")
    order = Order(tenant, gtin, count, lot, _day(produced), _day(expires), epoch, start)
    with opened("codes issue") as (connection, keys), connection.transaction():
        batch, codec = allot(connection, keys, order)
    click.echo(
        f"batch {batch.id}: counters {batch.first} to {batch.first + count - 1} of epoch {batch.epoch}", err=True
    )
    _write(codec, gtin, batch.first, count)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _write(codec: BulkTc20, gtin: str, start: int, count: int) -> None:
    progress = Progress("serials", count)
    for serials in codec.chunks(gtin, start, count):
        sys.stdout.buffer.write(as_lines(serials))
        progress.add(serials.size)
    sys.stdout.buffer.flush()
    progress.finish()
