"""What was scanned for one order, held against its lines. Pure: no clock, no file, no network."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from contracts.manifest import StationOrder


class Counted(Struct, frozen=True):
    """A unit on the load: its key, hash, what it lay in, what is in it (single items by GTIN), and when it came."""

    key: str
    hash: int
    ancestors: tuple[int, ...]
    contents: dict[str, int]
    at: int
    verdict: str
    damaged: bool = False


class LineState(Struct, frozen=True):
    """How far a line is, in single items."""

    line: int
    gtin: str
    unit: str
    ordered: int
    scanned: int
    per_case: int = 1

    @property
    def left(self) -> int:
        """How many are still due, negative where there are too many."""
        return self.ordered - self.scanned


class Unfit(NamedTuple):
    """Why a unit cannot go on the load: `over`, `strange` (no line asks for it) or `kind` (an item on a case line)."""

    why: str
    gtin: str


class Load:
    """The units of one order, in the order in which they came."""

    def __init__(self, order: str) -> None:
        self.order = order
        self._counted: dict[int, Counted] = {}
        self._inside: dict[int, set[int]] = defaultdict(set)
        self._totals: Counter[str] = Counter()

    @property
    def units(self) -> list[Counted]:
        """Everything on the load."""
        return list(self._counted.values())

    def holds(self, code: int, ancestors: tuple[int, ...]) -> Counted | None:
        """Return the unit that is on the load already: this one, what it lies in, or something inside it."""
        for each in (code, *ancestors):
            if each in self._counted:
                return self._counted[each]
        inside = self._inside.get(code)
        return self._counted[next(iter(inside))] if inside else None

    def add(self, unit: Counted) -> None:
        """Put a unit on the load; one that is there already is replaced."""
        self.remove(unit.hash)
        self._totals.update(unit.contents)
        self._counted[unit.hash] = unit
        for each in unit.ancestors:
            self._inside[each].add(unit.hash)

    def remove(self, code: int) -> Counted | None:
        """Take a unit off the load."""
        unit = self._counted.pop(code, None)
        for each in unit.ancestors if unit else ():
            self._inside[each].discard(code)
        if unit:
            self._totals.subtract(unit.contents)
        return unit

    def last(self) -> Counted | None:
        """Return the unit that came last."""
        return next(reversed(self._counted.values()), None)

    def totals(self) -> Counter[str]:
        """Return how many single items of each product are on the load."""
        return +self._totals

    def unfit(self, order: StationOrder, contents: Mapping[str, int], *, is_container: bool) -> Unfit | None:
        """Return why the order has no room for these items, None where it has."""
        totals = self.totals()
        for gtin, count in contents.items():
            lines = [line for line in order.lines if line.gtin == gtin]
            if not lines:
                return Unfit("strange", gtin)
            if not is_container and all(line.unit == "case" for line in lines):
                return Unfit("kind", gtin)
            if totals[gtin] + count > sum(line.items for line in lines):
                return Unfit("over", gtin)
        return None

    def lines(self, order: StationOrder) -> list[LineState]:
        """Return the order's lines with what was scanned; lines of one product fill in their order."""
        totals = self.totals()
        rest = Counter(line.gtin for line in order.lines)
        found = []
        for line in order.lines:
            rest[line.gtin] -= 1
            scanned = totals[line.gtin] if rest[line.gtin] == 0 else min(line.items, totals[line.gtin])
            totals[line.gtin] -= scanned
            per_case = max(1, line.items // line.quantity) if line.unit == "case" else 1
            found.append(LineState(line.line, line.gtin, line.unit, line.items, scanned, per_case))
        return found

    def agrees(self, order: StationOrder) -> bool:
        """Tell whether order and scans agree: every line full, nothing else, and no unit whose contents are unknown."""
        known = all(unit.contents for unit in self._counted.values())
        strange = set(self.totals()) - {line.gtin for line in order.lines}
        return known and not strange and all(line.left == 0 for line in self.lines(order))
