"""What an import would do: read everything, compare with what is known, judge the whole, and change nothing."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from geofence.maps import AtomMap
from trace_service.channel.checks import Checks
from trace_service.channel.files import read_sheets
from trace_service.channel.problems import FileProblemError, Problem, Spot
from trace_service.channel.rows import Entry, read_entries
from trace_service.channel.tables import BY_KIND
from trace_service.channel.versions import ALWAYS, Channel, Version

What: TypeAlias = Literal["created", "changed", "unchanged"]
File: TypeAlias = tuple[str, bytes]
_ORDER = tuple(BY_KIND)


class Change(NamedTuple):
    """One row that says something new; `before` is what was in force at that moment."""

    entry: Entry
    moment: datetime
    what: What
    before: Version | None

    @property
    def fields(self) -> list[str]:
        """The names of the columns that differ."""
        if self.before is None:
            return []
        names = [name for name, value in self.entry.facts.items() if self.before.facts.get(name) != value]
        return [*names, *(["ended"] if self.before.ended != self.entry.ended else [])]


@dataclass
class Plan:
    """The whole import: problems, changes in the order in which they apply, and how many rows say nothing new."""

    brand: str
    problems: list[Problem] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether it may be carried out."""
        return not any(problem.severity == "error" for problem in self.problems)

    def report(self, *, applied: bool) -> dict[str, Any]:
        """Return the plan for machines."""
        return {
            "brand": self.brand,
            "applied": applied,
            "counts": {kind: dict(sorted(count.items())) for kind, count in self.counts.items()},
            "problems": [problem.as_row() for problem in self.problems],
            "changes": [
                {
                    "kind": each.entry.kind,
                    "key": each.entry.key,
                    "what": each.what,
                    "valid_from": None if each.moment == ALWAYS else each.moment.isoformat(),
                    "fields": each.fields,
                }
                for each in self.changes
            ],
        }


def read_files(files: Iterable[File], problems: list[Problem]) -> list[Entry]:
    """Return every readable row of every file; what cannot be read is added to `problems`."""
    entries: list[Entry] = []
    for name, content in files:
        try:
            for sheet in read_sheets(name, content):
                entries.extend(read_entries(sheet, problems))
        except FileProblemError as error:
            problems.append(error.problem)
    entries.sort(key=lambda each: _ORDER.index(each.kind))
    return entries


class Context(NamedTuple):
    """When and where a plan is made; `taken` are keys of other brands, `operator` may change what belongs to nobody."""

    now: datetime
    atoms: AtomMap | None
    taken: Container[tuple[str, str]] = frozenset()
    operator: bool = False


def make_plan(channel: Channel, brand: str, entries: Sequence[Entry], context: Context) -> Plan:
    """Return what the entries would change in `channel`, which is changed along."""
    now, atoms, taken, operator = context
    plan = Plan(brand)
    _tell_doubles(entries, plan.problems)
    for entry in entries:
        if (entry.kind, entry.key) in taken:
            plan.problems.append(entry.problem("ID_TAKEN", BY_KIND[entry.kind].key.name, value=entry.key))
            continue
        change = _compare(channel, brand, entry, now)
        plan.counts.setdefault(entry.kind, Counter())[change.what] += 1
        if change.what != "unchanged":
            plan.changes.append(change)
            if channel.lines[entry.kind, entry.key].brand is None and not operator:
                plan.problems.append(entry.problem("SHARED", BY_KIND[entry.kind].key.name, value=entry.key))
    if atoms is None:
        plan.problems.append(Problem("NO_MAP", Spot(""), {}, "warning"))
    checks = Checks(channel, brand, atoms, [(each.entry, each.moment) for each in plan.changes])
    plan.problems.extend(checks.problems())
    return plan


def sort_problems(problems: list[Problem]) -> None:
    """Put problems in the order in which a reader mends them: errors first, by file, sheet and row."""
    problems.sort(key=lambda each: (each.severity, each.spot.file, each.spot.sheet, each.spot.row or 0))


def _tell_doubles(entries: Iterable[Entry], problems: list[Problem]) -> None:
    seen: dict[tuple[str, str, datetime | None], Entry] = {}
    for entry in entries:
        known = seen.setdefault((entry.kind, entry.key, entry.valid_from), entry)
        if known is not entry:
            where = f"{known.spot.file} {known.spot.row}"
            problems.append(entry.problem("DUPLICATE", BY_KIND[entry.kind].key.name, value=entry.key, where=where))


def _compare(channel: Channel, brand: str, entry: Entry, now: datetime) -> Change:
    line = channel.line(entry.kind, entry.key)
    moment = entry.valid_from or (now if line else ALWAYS)
    before = line.at(moment) if line else None
    if before is not None and before.same(entry.facts, ended=entry.ended):
        return Change(entry, moment, "unchanged", before)
    channel.learn(entry.kind, entry.key, brand, Version(moment, entry.facts, entry.ended, now))
    return Change(entry, moment, "created" if line is None else "changed", before)
