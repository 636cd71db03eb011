"""The command line of EPCIS: `codefence epcis`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import click
import msgspec

from trace_service.bootstrap import load_settings
from trace_service.cli_parts import reported
from trace_service.epcis.standard.errors import DocumentError
from trace_service.epcis.standard.hashing import event_hash, prehash
from trace_service.epcis.validation import Verdict, check_bytes
from trace_service.store.brands import require_brand
from trace_service.store.connection import connect

_EXAMPLES: Final = {
    "validate": "codefence epcis validate shipment.json receipts/*.json",
    "hash": "codefence epcis hash shipment.json",
    "export": "codefence epcis export --brand qingyuan --from 2026-03-01 > march.json",
}
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
_FILES = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)


def _epilog(command: str, *exits: str) -> str:
    codes = "".join(f"\n  {line}" for line in exits)
    return f"\b\nExample:\n  {_EXAMPLES[command]}\n\n\b\nExit codes:{codes}"


@click.group()
def epcis() -> None:
    """Check, hash and export EPCIS 2.0 documents."""


@epcis.command(epilog=_epilog("validate", "0  every document is valid", "1  at least one is not", "2  wrong usage"))
@click.argument("files", nargs=-1, required=True, type=_FILES)
@click.option("--strict", is_flag=True, help="Also ask for right check digits, as the capture interface does.")
def validate(files: tuple[Path, ...], *, strict: bool) -> None:
    """Check documents (JSON-LD or XML); one JSON object a line: file, valid, errors."""
    good = True
    for file in files:
        verdict = check_bytes(_content(file), strict=strict, limit=None)
        good &= not verdict.problems
        _write(_answer(file, verdict))
    if not good:
        sys.exit(1)


@epcis.command("hash", epilog=_epilog("hash", "0  done", "1  the document cannot be hashed", "2  wrong usage"))
@click.argument("file", type=_FILES)
@click.option("--prehash", "as_prehash", is_flag=True, help="The texts that the hashes are taken of.")
def hash_events(file: Path, *, as_prehash: bool) -> None:
    """Print the CBV 2.0 hash of each event of a document, a line each, in their order."""
    # Hashing asks for less than validation: a document with one foreign word still has hashes.
    verdict = check_bytes(_content(file), limit=None)
    fatal = [each for each in verdict.problems if each.code in {"WRONG_TYPE", "TOO_DEEP", DocumentError.code}]
    if verdict.document is None or fatal:
        where = fatal[0].pointer or "the document"
        raise click.ClickException(f"{where}: {fatal[0].message}. See `codefence epcis validate {file}`.")
    render = prehash if as_prehash else event_hash
    for event in verdict.document.events:
        click.echo(render(event, verdict.document.prefixes))


@epcis.command(epilog=_epilog("export", "0  done", "1  no such brand, or no database", "2  wrong usage"))
@click.option("--brand", required=True, help="Whose events.")
@click.option("--from", "since", type=_MOMENT, help="The first moment, UTC (2026-03-01 or 2026-03-01T10:00:00).")
@click.option("--to", "until", type=_MOMENT, help="The first moment that is left out, UTC.")
@reported
def export(brand: str, since: datetime | None, until: datetime | None) -> None:
    """Write a brand's events with sites, dealers and products as one EPCIS document on standard output."""
    from trace_service.epcis import export as exporting  # noqa: PLC0415  validating and hashing need no database

    with connect(load_settings().database_url.get_secret_value(), "epcis export") as connection:
        require_brand(connection, brand)
        bounds = [None if each is None else each.replace(tzinfo=UTC) for each in (since, until)]
        for part in exporting.export(connection, brand, *bounds):
            sys.stdout.buffer.write(part)


def _answer(file: Path, verdict: Verdict) -> dict[str, object]:
    errors = [each._asdict() for each in verdict.problems]
    return {"file": str(file), "valid": not errors, "errors": errors}


def _content(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def _write(answer: dict[str, object]) -> None:
    stream: BinaryIO = sys.stdout.buffer
    stream.write(msgspec.json.encode(answer) + b"\n")
