"""`codefence territory`: drafts of territories, their reports, publication, and what they would have changed."""

import getpass
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from cli.geography.territory_shown import echo_remarks, echo_simulation
from contracts.wording import counted
from geofence.errors import TerritoryError
from geofence.maps import AtomMap
from geofence.maps.catalogue import open_map
from geofence.proposed.remarks import CONCERNS, Remark, Severity
from geofence.territory import Query, TerritoryBook
from trace_service.bootstrap import load_settings
from trace_service.channel.moments import MOMENT, known_at_option
from trace_service.cli_parts import echo_rows, reported
from trace_service.domain.territories import BrandBook
from trace_service.processing.books import Books
from trace_service.store.connection import Connection, connect
from trace_service.territories.documents import Stated, read_draft
from trace_service.territories.drafts import Decision, as_row, drop, load_draft, propose, publish, report_on
from trace_service.territories.errors import DraftError, DraftRefusedError
from trace_service.territories.shown import Wanted, collection, drafts_of, feature_of, versions_of
from trace_service.territories.simulation import simulate

_REPORT: Final = """\b
Examples:
  codefence territory report spring.geojson --brand qingyuan
  codefence territory report spring.csv --brand qingyuan --json

\b
Exit codes:
  0  nothing stands against it
  1  errors, or concerns that whoever publishes it must accept
  2  the file cannot be read
"""
_PUBLISH: Final = """\b
Examples:
  codefence territory publish spring.geojson --brand qingyuan
  codefence territory publish 12 --brand qingyuan --accept newly_bare

\b
Exit codes:
  0  published
  1  refused, with what stands against it; nothing was changed
  2  the file cannot be read
"""
_LIST: Final = "\b\nExample:\n  codefence territory list --brand qingyuan --dealer D-CHENGDU"
_DRAFTS: Final = "\b\nExample:\n  codefence territory drafts --brand qingyuan"
_SHOW: Final = "\b\nExample:\n  codefence territory show --brand qingyuan --at 2026-03-01 > territories.geojson"
_SIMULATE: Final = "\b\nExample:\n  codefence territory simulate spring.geojson --brand qingyuan --since 2026-01-01"
_DROP: Final = "\b\nExample:\n  codefence territory drop 12 --brand qingyuan"
_UNREADABLE: Final = 2


_brand = click.option("--brand", required=True, help="Whose territories.")
_dealer = click.option("--dealer", help="Of one dealer; of all by default.")
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
_rows_as_json = click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
_limit = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many."
)
_source = click.argument("source", metavar="FILE|DRAFT")


@click.group()
def territory() -> None:
    """Propose, check, publish and try territories: who may sell where, and since when."""


def _database() -> Connection:
    return connect(load_settings().database_url.get_secret_value(), "territory")


def _stated(connection: Connection, brand: str, source: str) -> tuple[list[Stated], list[Remark]]:
    """Return the proposals of a file, or of a draft by its number."""
    if source.isdecimal() and not Path(source).exists():
        return list(load_draft(connection, brand, int(source)).proposals), []
    try:
        return read_draft(Path(source).read_bytes(), source)
    except OSError as error:
        click.echo(f"Error: {source}: {error.strerror}. Name a file or the number of a draft.", err=True)
    except DraftError as error:
        click.echo(f"Error: {error.code}: {source}: {error}. {error.advice}", err=True)
    sys.exit(_UNREADABLE)


@territory.command(epilog=_REPORT)
@_source
@_brand
@_as_json
@reported
def report(source: str, *, brand: str, as_json: bool) -> None:
    """Say what would follow if a file (GeoJSON, CSV) or a draft were published: overlaps, gaps, contradictions."""
    with _database() as connection:
        stated, remarks = _stated(connection, brand, source)
        remarks += report_on(connection, brand, stated, open_map(load_settings().map))
    echo_remarks(remarks, as_json=as_json)
    sys.exit(any(each.severity is not Severity.NOTE for each in remarks))


@territory.command("publish", epilog=_PUBLISH)
@_source
@_brand
@click.option("--accept", multiple=True, type=click.Choice(CONCERNS), help="A concern that is meant so; repeatable.")
@click.option("--rejudge", is_flag=True, help="Have the worker judge past scans of these dealers again.")
@_as_json
@reported
def publish_command(source: str, *, brand: str, accept: Sequence[str], rejudge: bool, as_json: bool) -> None:
    """Make versions of a file (GeoJSON, CSV) or a draft, all or none; they are never changed again."""
    by = f"cli:{getpass.getuser()}"
    with _database() as connection:
        stated, unreadable = _stated(connection, brand, source)
        if unreadable:
            echo_remarks(unreadable, as_json=as_json)
            sys.exit(1)
        number = int(source) if source.isdecimal() and not Path(source).exists() else None
        try:
            with connection.transaction():
                number = number or propose(connection, brand, Path(source).name[:200], stated, by)
                decision = Decision(by, accept, rejudge)
                done = publish(connection, brand, number, open_map(load_settings().map), decision)
        except DraftRefusedError as error:
            echo_remarks(error.remarks, as_json=as_json)
            raise
    if as_json:
        remarks = [as_row(each) for each in done.remarks]
        found = {"draft": done.draft, "territories": done.territories, "recorded_at": done.recorded_at.isoformat()}
        click.echo(json.dumps({**found, "remarks": remarks}, ensure_ascii=False))
    else:
        echo_remarks(done.remarks, as_json=False)
    click.echo(
        f"draft {done.draft}: {counted(len(done.territories), 'version')} recorded at {done.recorded_at}", err=True
    )


@territory.command("drop", epilog=_DROP)
@click.argument("draft", type=click.IntRange(min=1))
@_brand
@reported
def drop_command(draft: int, *, brand: str) -> None:
    """Put a draft aside for good."""
    with _database() as connection:
        drop(connection, brand, draft, f"cli:{getpass.getuser()}")
    click.echo(f"draft {draft} is dropped", err=True)


@territory.command("list", epilog=_LIST)
@_brand
@_dealer
@known_at_option
@_limit
@_rows_as_json
@reported
def list_command(*, brand: str, dealer: str | None, known_at: datetime | None, limit: int, as_json: bool) -> None:
    """List versions, newest first."""
    with _database() as connection:
        rows = [each.as_row() for each in versions_of(connection, brand, Wanted(dealer, known_at, limit=limit))]
    echo_rows(rows, as_json=as_json)


@territory.command(epilog=_DRAFTS)
@_brand
@_limit
@_rows_as_json
@reported
def drafts(*, brand: str, limit: int, as_json: bool) -> None:
    """List drafts, newest first."""
    with _database() as connection:
        rows = drafts_of(connection, brand, limit=limit)
    echo_rows(rows, as_json=as_json)


@territory.command(epilog=_SHOW)
@_brand
@_dealer
@click.option("--at", type=MOMENT, help="In force on this day or at this time; now by default.")
@known_at_option
@click.option("--version", type=click.IntRange(min=1), help="One version by its number, whenever it holds.")
@reported
def show(
    *, brand: str, dealer: str | None, at: datetime | None, known_at: datetime | None, version: int | None
) -> None:
    """Write territories in force at a time as a GeoJSON FeatureCollection in WGS-84."""
    atoms = open_map(load_settings().map)
    with _database() as connection:
        if version is not None:
            found = versions_of(connection, brand, Wanted(before=version + 1, limit=1))
            if not found or found[0].id != version:
                raise click.ClickException(f"there is no version {version}; see `codefence territory list`")
            features = [feature_of(found[0].version, atoms, found[0].id)]
        else:
            now = datetime.now(UTC)
            query = Query(dealer or "", at or now, known_at or now)
            features = collection(_book(connection, brand, atoms), query)
    click.echo(json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False))


@territory.command("simulate", epilog=_SIMULATE)
@_source
@_brand
@click.option("--since", type=MOMENT, help="Scans from then on; all by default.")
@click.option("--until", type=MOMENT, help="Scans until before then; until now by default.")
@_as_json
@reported
def simulate_command(source: str, *, brand: str, since: datetime | None, until: datetime | None, as_json: bool) -> None:
    """Say which past scans would be judged otherwise if a file (GeoJSON, CSV) or a draft were published."""
    now = datetime.now(UTC)
    with _database() as connection:
        stated, unreadable = _stated(connection, brand, source)
        if unreadable:
            raise TerritoryError(f"{unreadable[0].where}: {unreadable[0].words}", advice="")
        proposed = [each.proposal(now).version for each in stated]
        book = _book(connection, brand, open_map(load_settings().map))
        found = simulate(connection, brand, book, proposed, (since or datetime.min.replace(tzinfo=UTC), until or now))
    echo_simulation(found, as_json=as_json)


def _book(connection: Connection, brand: str, atoms: AtomMap) -> BrandBook:
    return Books(atoms).current(connection).get(brand) or BrandBook(TerritoryBook(atoms, ()), {}, {})
