"""`codefence case backfill`: a brand's engine is told what came before it."""

import time
from typing import Final

import click

from geofence.maps import load_installed_map
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.keys import KeyWrapper
from trace_service.processing.backfill import backfill as tell_past
from trace_service.processing.books import Books

_HELP: Final = """\b
Example:
  codefence case backfill --brand qingyuan --json

\b
Exit codes:
  0  the engine was told everything, or there was nothing left to tell
"""
_EVERY: Final = 10_000


@click.command(epilog=_HELP)
@click.option("--brand", required=True, help="Whose engine.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@reported
def backfill(*, brand: str, as_json: bool) -> None:
    """Tell the brand's engine all past scans, captured events and papers, once, in the order of their arrival.

    A run that was broken off goes on where it stopped. Run it before the first worker of this version starts.
    """
    settings = load_settings()
    began = time.monotonic()

    def progress(done: int) -> None:
        if done % _EVERY == 0:
            click.echo(f"{done:,} told", err=True)

    done = tell_past(
        settings.database_url.get_secret_value(),
        KeyWrapper(settings.key_encryption_key),
        Books(load_installed_map()),
        brand,
        progress,
    )
    echo_rows([{"brand": brand, "told": done, "seconds": round(time.monotonic() - began, 1)}], as_json=as_json)
