"""`codefence channel`: brands, products, dealers, contracts, sites and people, from and to files."""

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import psycopg

from contracts.errors import ConfigurationError
from contracts.wording import counted
from trace_service.bootstrap import load_settings
from trace_service.channel import export as tables_out
from trace_service.channel.importer import Job, import_files, installed_map, load_channel, refresh
from trace_service.channel.moments import MOMENT, known_at_option
from trace_service.channel.plan import Plan
from trace_service.channel.queries import SQL
from trace_service.channel.tables import TABLES
from trace_service.channel.tree import path_at
from trace_service.channel.versions import Channel
from trace_service.cli_parts import reported
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, connect
from trace_service.store.queries import SQL as STORE

_BRAND: Final = "\b\nExample:\n  codefence channel brand qingyuan --name-zh 清源酒业 --name-en 'Qingyuan Spirits'"
_IMPORT: Final = """\b
Examples:
  codefence channel import dealers.csv contracts.xlsx --brand qingyuan --dry-run
  codefence channel import *.csv --brand qingyuan --json

\b
Exit codes:
  0  imported, or the dry run found no error
  1  problems, each on its own line; nothing was changed
"""
_EXPORT: Final = "\b\nExample:\n  codefence channel export --brand qingyuan --out channel.xlsx"
_TEMPLATE: Final = "\b\nExample:\n  codefence channel template --out templates --language zh"
_TREE: Final = "\b\nExample:\n  codefence channel tree --brand qingyuan --at 2026-03-01"
_REFRESH: Final = "\b\nExample:\n  codefence channel refresh --brand qingyuan"
_FIRST_EPOCH = 1


_at = click.option("--at", type=MOMENT, help="As of this day or time; now by default.")
_brand = click.option("--brand", required=True, help="Whose channel.")


@click.group()
def channel() -> None:
    """Keep brands, products, dealers, contracts, sites and people; every change is dated and none is lost."""


def _database() -> Connection:
    return connect(load_settings().database_url.get_secret_value(), "channel")


@channel.command(epilog=_BRAND)
@click.argument("name")
@click.option("--name-zh", required=True, help="Its name in Chinese.")
@click.option("--name-en", required=True, help="Its name in English.")
@reported
def brand(name: str, *, name_zh: str, name_en: str) -> None:
    """Register a brand (a tenant) with a first secret for its codes."""
    keys = KeyWrapper(load_settings().key_encryption_key)
    with _database() as connection, connection.transaction():
        row = {"id": name, "name_zh": name_zh, "name_en": name_en}
        try:
            fresh = connection.execute(SQL["insert_brand"], row).fetchone()
        except psycopg.errors.CheckViolation as error:
            raise ConfigurationError(
                f"{name!r} is no id of a brand", advice="Use 1 to 32 small letters, digits and hyphens."
            ) from error
        if fresh is None:
            raise ConfigurationError(f"the brand {name!r} exists", advice="Choose another id.")
        connection.execute(STORE["insert_master"], {"brand": name, "epoch": _FIRST_EPOCH, "wrapped": keys.fresh()})
    click.echo(f"{name} is registered", err=True)


@channel.command("import", epilog=_IMPORT)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_brand
@click.option("--dry-run", is_flag=True, help="Only tell what would happen.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: counts, changes, problems.")
@reported
def import_(files: tuple[Path, ...], *, brand: str, dry_run: bool, as_json: bool) -> None:
    """Import tables, all rows or none; the name of a file or sheet says which table it is: products, and so on."""
    contents = [(path.name, path.read_bytes()) for path in files]
    with _database() as connection:
        job = Job(f"cli:{getpass.getuser()}"[:64], installed_map(load_settings().map), dry_run, operator=True)
        plan = import_files(connection, brand, contents, job)
    applied = plan.sound and not dry_run
    if as_json:
        click.echo(json.dumps(plan.report(applied=applied), ensure_ascii=False))
    else:
        _tell(plan)
    click.echo(_outcome(plan, applied=applied), err=True)
    if not plan.sound:
        raise click.exceptions.Exit(1)


def _tell(plan: Plan) -> None:
    for problem in plan.problems:
        spot = problem.spot
        place = ":".join(str(part) for part in (spot.file, spot.sheet, spot.row, spot.column) if part)
        click.echo(f"{problem.severity} {place}: {problem.code}: {problem.message()} {problem.remedy()}")
    for kind, count in plan.counts.items():
        click.echo(f"{kind}: " + ", ".join(f"{number} {what}" for what, number in sorted(count.items())))


def _outcome(plan: Plan, *, applied: bool) -> str:
    if not plan.sound:
        return f"nothing was changed: {counted(sum(each.severity == 'error' for each in plan.problems), 'error')}"
    changes = counted(len(plan.changes), "change")
    return f"{changes} made" if applied else f"{changes} would be made"


@channel.command(epilog=_EXPORT)
@_brand
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder for CSV files, or NAME.xlsx.")
@click.option("--language", type=click.Choice(["zh", "en"]), default="en", show_default=True, help="Of the headings.")
@_at
@known_at_option
@reported
def export(
    *, brand: str, out: Path, language: tables_out.Language, at: datetime | None, known_at: datetime | None
) -> None:
    """Write what is in force, in tables that the import reads."""
    now = datetime.now(UTC)
    with _database() as connection:
        known = load_channel(connection, brand, known_at or now)
    tables = tables_out.all_tables(known, brand, at or now, language)
    if out.suffix.lower() == ".xlsx":
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(tables_out.as_excel(tables))
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, (head, rows) in tables.items():
            (out / f"{name}.csv").write_bytes(tables_out.as_csv(head, rows))
    click.echo(f"written to {out}", err=True)


@channel.command(epilog=_TEMPLATE)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to write to.")
@click.option("--language", type=click.Choice(["zh", "en"]), default="zh", show_default=True, help="Of the headings.")
@reported
def template(*, out: Path, language: tables_out.Language) -> None:
    """Write a CSV file per table and one workbook with all of them, each with its headings and an example row."""
    out.mkdir(parents=True, exist_ok=True)
    books = {}
    for table in TABLES:
        name, head = table.zh if language == "zh" else table.name, tables_out.headings(table, language)
        (out / f"{name}.csv").write_bytes(tables_out.as_csv(head, iter([tables_out.template_row(table)])))
        books[name] = (head, iter([tables_out.template_row(table)]))
    (out / ("渠道.xlsx" if language == "zh" else "channel.xlsx")).write_bytes(tables_out.as_excel(books))
    click.echo(f"{len(TABLES)} tables in {out}", err=True)


@channel.command(epilog=_TREE)
@_brand
@_at
@known_at_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a dealer: id, path, level, names, kind.")
@reported
def tree(*, brand: str, at: datetime | None, known_at: datetime | None, as_json: bool) -> None:
    """Print the dealers, each below its parent, as of a moment and as it was known at one."""
    now = datetime.now(UTC)
    with _database() as connection:
        known = load_channel(connection, brand, known_at or now)
    for path in sorted(_paths(known, brand, at or now)):
        version = known.at("dealer", path[-1], at or now)
        facts = version.facts if version else {}
        if as_json:
            row = {"id": path[-1], "path": path, "level": len(path) - 1, **facts}
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"{'  ' * (len(path) - 1)}{path[-1]}  {facts.get('name_zh')}  {facts.get('kind')}")


def _paths(known: Channel, brand: str, moment: datetime) -> list[list[str]]:
    dealers = [key for key, _ in known.in_force("dealer", moment) if known.lines["dealer", key].brand == brand]
    return [path_at(known, dealer, moment)[::-1] for dealer in dealers]


@channel.command("refresh", epilog=_REFRESH)
@_brand
@reported
def refresh_(*, brand: str) -> None:
    """Bring the present tables up to date with changes whose day has come, at once."""
    with _database() as connection:
        refresh(connection, brand, installed_map(load_settings().map))
    click.echo(f"{brand} is up to date", err=True)
