"""The command `codefence audit`."""

from datetime import UTC, datetime
from typing import Final

import click
import msgspec

from ingest.audit import Audit, Book
from ingest.audit import audit as balance_books
from ingest.cli.parts import database

_HELP: Final = """\b
Examples:
  codefence audit
  codefence audit --site dc-east --since 2026-11-01 --until 2026-12-01
  codefence audit --device scanner-7 --json | jq .total

\b
Exit codes:
  0  everything that was captured is accounted for, and nothing is missing
  1  something is missing, or the books do not balance, or the database is away
  2  wrong usage
"""
_COLUMNS: Final = ("captured", "committed", "dead_lettered", "tombstoned", "missing", "refused", "replayed")
_WIDTH: Final = 44
_MOMENT: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command(epilog=_HELP)
@click.option("--device", help="Only this device.")
@click.option("--site", help="Only devices registered at this site.")
@click.option("--since", type=_MOMENT, help="From this moment of UTC on, by capture time.")
@click.option("--until", type=_MOMENT, help="Up to this moment of UTC.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def audit(
    *,
    device: str | None,
    site: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Prove from sequence numbers what became of every event that devices captured."""
    start, end = (moment and moment.replace(tzinfo=UTC) for moment in (since, until))
    with database("codefence audit") as connection:
        found = balance_books(connection, device=device, site=site, since=start, until=end)
    click.echo(_as_json(found) if as_json else _table(found))
    if not found.is_clean:
        raise SystemExit(1)


def _as_json(found: Audit) -> bytes:
    return msgspec.json.encode({"clean": found.is_clean, **msgspec.to_builtins(found)})


def _table(found: Audit) -> str:
    titles = [name.replace("_", "-") for name in _COLUMNS]
    lines = [_line("device and boot", titles)]
    for book in found.books:
        lines.append(_line(f"{book.device[:27]} {book.boot[:12]}…", _figures(book)))
        lines += [
            f"  missing: {first}" if first == last else f"  missing: {first}-{last}" for first, last in book.holes
        ]
        if not book.balances:
            lines.append(f"  does not balance: {book.unexplained} unexplained, {book.doubled} stored twice")
    lines.append(_line("total", _figures(found.total)))
    kinds = ", ".join(f"{number} {kind}" for kind, number in found.total.kinds.items())
    lines += [
        f"committed: {kinds or 'none'}; {found.total.expired} removed for their age",
        f"dead-lettered: {found.total.quarantined} of them captured out of range",
        f"in nobody's books: {found.strays} letters without identity or from unregistered devices",
        f"still with the devices, as they last said: {found.waiting}",
        "nothing is missing, and every book balances" if found.is_clean else "NOT CLEAN: see above",
    ]
    return "\n".join(lines)


def _line(name: str, figures: list[str]) -> str:
    return f"{name:{_WIDTH}}" + "".join(f"{figure:>14}" for figure in figures)


def _figures(book: Book) -> list[str]:
    return [str(getattr(book, name)) for name in _COLUMNS]
