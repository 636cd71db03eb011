"""What the pages of the channel show: the tree, and one dealer with what belongs to it."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from trace_service.channel.contracts import period
from trace_service.channel.tables import BY_KIND
from trace_service.channel.tree import path_at
from trace_service.channel.versions import ALWAYS, Channel, Line, Version

WHOLE_TREE: Final = 400
MOST_FOUND: Final = 100


@dataclass(frozen=True)
class DealerRow:
    """A dealer in a list; `depth` counts from 0, `below` how many stand directly under it."""

    id: str
    name_zh: str
    name_en: str
    kind: str
    depth: int
    below: int
    path: list[str]


@dataclass(frozen=True)
class ContractRow:
    """A contract of a dealer; `state` is in_force, coming, ended or withdrawn."""

    id: str
    channel: str
    lines: list[str]
    adcodes: list[str]
    exclusive: bool
    starts: datetime
    ends: datetime | None
    state: str


@dataclass(frozen=True)
class Step:
    """One thing that was recorded; `fields` are pairs of Chinese and English headings of what it changed."""

    valid_from: datetime | None
    recorded_at: datetime | None
    by: str
    ended: bool
    fields: list[tuple[str, str]]


@dataclass(frozen=True)
class Tree:
    """The dealers to show: all of a small brand, the top of a large one, or what a search found."""

    rows: list[DealerRow]
    total: int
    partial: bool = False


@dataclass(frozen=True)
class DealerView:
    """Everything on one dealer's page."""

    row: DealerRow
    closed: bool
    path: list[DealerRow]
    children: list[DealerRow]
    contracts: list[ContractRow] = field(default_factory=list)
    sites: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    staff: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Dealers:
    """The tree of one brand at one moment."""

    def __init__(self, channel: Channel, brand: str, moment: datetime) -> None:
        self._channel = channel
        self._moment = moment
        self._present: dict[str, Version] = {
            key: version
            for key, version in channel.in_force("dealer", moment)
            if channel.lines["dealer", key].brand == brand
        }
        self._children: dict[str | None, list[str]] = defaultdict(list)
        for key, version in self._present.items():
            parent = version.facts.get("parent")
            self._children[parent if parent in self._present else None].append(key)

    def tree(self, wanted: str) -> Tree:
        """Return the whole tree where it is small, its top where it is large, or what a search finds."""
        total = len(self._present)
        if wanted:
            text = wanted.casefold()
            found = [key for key, version in self._present.items() if text in _words(key, version)]
            rows = sorted((self._row(key) for key in found), key=lambda row: row.path)
            return Tree(rows[:MOST_FOUND], total, partial=len(rows) > MOST_FOUND)
        deepest = None if total <= WHOLE_TREE else 1
        rows = [self._row(key, depth) for key, depth in self._walk(deepest)]
        return Tree(rows[:WHOLE_TREE], total, partial=len(rows) < total or len(rows) > WHOLE_TREE)

    def _walk(self, deepest: int | None) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        waiting = [(key, 0) for key in reversed(self._children[None])]
        while waiting:
            key, depth = waiting.pop()
            found.append((key, depth))
            if deepest is None or depth < deepest:
                waiting.extend((child, depth + 1) for child in reversed(self._children.get(key, [])))
        return found

    def _row(self, dealer: str, depth: int | None = None) -> DealerRow:
        path = path_at(self._channel, dealer, self._moment)[::-1]
        version = self._present.get(dealer) or self._channel.lines["dealer", dealer].versions[-1]
        names = (version.facts["name_zh"], version.facts["name_en"], version.facts["kind"])
        below = len(self._children.get(dealer, ()))
        return DealerRow(dealer, *names, len(path) - 1 if depth is None else depth, below, path)

    def view(self, dealer: str) -> DealerView:
        """Return a dealer's page; also one that is closed, or that is yet to begin, has one."""
        row = self._row(dealer)
        return DealerView(
            row=row,
            closed=dealer not in self._present,
            path=[self._row(each) for each in row.path[:-1] if self._channel.line("dealer", each)],
            children=[self._row(each) for each in self._children.get(dealer, [])],
            contracts=self._contracts(dealer),
            sites=self._of("site", dealer),
            staff=self._of("staff", dealer),
        )

    def _of(self, kind: str, dealer: str) -> list[tuple[str, dict[str, Any]]]:
        rows = self._channel.in_force(kind, self._moment)
        return [(key, dict(version.facts)) for key, version in rows if version.facts.get("dealer") == dealer]

    def _contracts(self, dealer: str) -> list[ContractRow]:
        found = []
        for key in self._channel.keys("contract"):
            line = self._channel.lines["contract", key]
            version = line.at(self._moment) or line.versions[0]
            if version.facts["dealer"] == dealer:
                times = period(version.facts)
                facts = version.facts
                found.append(
                    ContractRow(
                        key, facts["channel"], list(facts["product_lines"]), list(facts["adcodes"]),
                        bool(facts["exclusive"]), times.starts, times.ends, _state(version, self._moment),
                    )
                )  # fmt: skip
        return sorted(found, key=lambda each: (each.state != "in_force", each.starts, each.id))


def _state(version: Version, moment: datetime) -> str:
    times = period(version.facts)
    if version.ended:
        return "withdrawn"
    if moment < times.starts:
        return "coming"
    return "in_force" if times.covers(moment) else "ended"


def _words(key: str, version: Version) -> str:
    return f"{key} {version.facts['name_zh']} {version.facts['name_en']}".casefold()


def steps(kind: str, line: Line, rows: list[Any]) -> list[Step]:
    """Return what was recorded of one thing, newest first; `rows` are its versions in the order of recording."""
    found: list[Step] = []
    past = Line(line.brand)
    for row in rows:
        before = past.at(row.valid_from)
        fields = [
            (column.zh, column.name)
            for column in BY_KIND[kind].columns
            if before is not None and before.facts.get(column.name) != row.facts.get(column.name)
        ]
        valid_from = None if row.valid_from == ALWAYS else row.valid_from
        recorded_at = None if row.recorded_at == ALWAYS else row.recorded_at
        found.append(Step(valid_from, recorded_at, row.recorded_by, row.ended, fields))
        past.add(Version(row.valid_from, row.facts, row.ended, row.recorded_at))
    return found[::-1]
