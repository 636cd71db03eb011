"""Imports tables into a brand: all rows or none, in one transaction, or only a plan of what would happen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.errors import ConfigurationError
from geofence.errors import MapUnavailableError
from geofence.maps import AtomMap
from geofence.maps.catalogue import DEFAULT_MAP, open_map
from trace_service.channel.plan import Context, File, Plan, make_plan, read_files, sort_problems
from trace_service.channel.problems import Problem
from trace_service.channel.project import Projector, version_row
from trace_service.channel.queries import SQL
from trace_service.channel.rows import Entry
from trace_service.channel.versions import Channel, Key, Version
from trace_service.store.connection import Connection, one


def installed_map(name: str = DEFAULT_MAP) -> AtomMap | None:
    """Return the map of this installation, None where it has none."""
    try:
        return open_map(name)
    except MapUnavailableError:
        return None


@dataclass(frozen=True)
class Job:
    """Who imports, on which map, whether it is only tried, and by whom.

    The operator of the installation may also change sites and devices that belong to no brand, since several use them.
    """

    by: str
    atoms: AtomMap | None
    dry_run: bool = False
    operator: bool = False


def import_files(connection: Connection, brand: str, files: Iterable[File], job: Job) -> Plan:
    """Import files, or plan it; nothing is written when the plan has errors.

    Raises `ConfigurationError` for an unknown brand.
    """
    problems: list[Problem] = []
    entries = read_files(files, problems)
    return import_entries(connection, brand, (entries, problems), job)


def import_entries(connection: Connection, brand: str, read: tuple[Sequence[Entry], list[Problem]], job: Job) -> Plan:
    """Import rows that were read before, with the problems of reading them."""
    entries, problems = read
    with connection.transaction():
        now = _begin(connection, brand)
        channel = load_channel(connection, brand, now)
        baseline = {key: line.implicit for key, line in channel.lines.items() if line.implicit is not None}
        keys = sorted({entry.key for entry in entries})
        taken = {(row.kind, row.key) for row in connection.execute(SQL["taken"], {"brand": brand, "keys": keys})}
        plan = make_plan(channel, brand, entries, Context(now, job.atoms, taken, job.operator))
        plan.problems[:0] = problems
        sort_problems(plan.problems)
        if plan.sound and not job.dry_run:
            _write(connection, channel, plan, (now, job.by, baseline))
            touched = [(each.entry.kind, each.entry.key) for each in plan.changes]
            Projector(connection, channel, brand, now).project(touched, job.atoms)
    return plan


def refresh(connection: Connection, brand: str, atoms: AtomMap | None, moment: datetime | None = None) -> None:
    """Bring the present tables up to date after a change's day has come, as of `moment` (None: now).

    Never as of earlier than now: what was imported while this waited would be undone. Raises `ConfigurationError` for
    an unknown brand.
    """
    with connection.transaction():
        begun = _begin(connection, brand)
        now = max(begun, moment or begun)
        channel = load_channel(connection, brand, now)
        own = [key for key, line in channel.lines.items() if line.brand == brand and line.implicit is None]
        Projector(connection, channel, brand, now).project([key for key in own if key[0] != "contract"], atoms)
        connection.execute(SQL["reached"], {"brand": brand, "now": now})


def _begin(connection: Connection, brand: str) -> datetime:
    connection.execute(SQL["lock"])
    row = one(connection, SQL["clock"], {"brand": brand})
    if not row.known:
        raise ConfigurationError(f"no brand is called {brand!r}", advice="See `codefence channel brand`.")
    now: datetime = row.now
    return now


def load_channel(connection: Connection, brand: str, known_at: datetime) -> Channel:
    """Return everything that was recorded of a brand by a moment."""
    channel = Channel()
    for row in connection.execute(SQL["load"], {"brand": brand, "known_at": known_at}):
        channel.learn(
            row.kind, row.key, row.brand, Version(row.valid_from, row.facts, row.ended, row.recorded_at, row.id)
        )
    return channel


def _write(
    connection: Connection, channel: Channel, plan: Plan, context: tuple[datetime, str, dict[Key, Version]]
) -> None:
    now, by, baseline = context
    rows: list[dict[str, Any]] = []
    for change in plan.changes:
        key = (change.entry.kind, change.entry.key)
        brand = channel.lines[key].brand
        implicit = baseline.pop(key, None)
        if implicit is not None:
            # What the present table said until now is kept as the first version.
            rows.append(version_row(brand, key, implicit, "before"))
        rows.append(version_row(brand, key, Version(change.moment, change.entry.facts, change.entry.ended, now), by))
    with connection.cursor() as cursor:
        cursor.executemany(SQL["insert_version"], rows)
