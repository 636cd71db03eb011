"""What is known of the channel: a line of versions for each thing, asked for any moment."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeAlias

Facts: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]
# A first registration without a date holds for as long as anyone may ask.
ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Version(NamedTuple):
    """From `valid_from` on these facts hold; `id` is 0 for what never had a version, -1 for what is being planned."""

    valid_from: datetime
    facts: Facts
    ended: bool
    recorded_at: datetime
    id: int = -1

    def same(self, facts: Facts, *, ended: bool) -> bool:
        """Tell whether it says these things."""
        return self.ended == ended and dict(self.facts) == dict(facts)


@dataclass
class Line:
    """The versions of one thing that count, oldest first, one a moment."""

    brand: str | None
    versions: list[Version] = field(default_factory=list)

    def at(self, moment: datetime) -> Version | None:
        """Return the version in force; it may say that the thing has ended."""
        index = bisect_right(self.versions, moment, key=lambda each: each.valid_from)
        return self.versions[index - 1] if index else None

    def add(self, version: Version) -> None:
        """Put a version in its place; one with the same moment is replaced by it."""
        index = bisect_right(self.versions, version.valid_from, key=lambda each: each.valid_from)
        if index and self.versions[index - 1].valid_from == version.valid_from:
            self.versions[index - 1] = version
        else:
            self.versions.insert(index, version)

    @property
    def implicit(self) -> Version | None:
        """What stood in the present tables before anything was recorded."""
        return self.versions[0] if self.versions and self.versions[0].id == 0 else None


class Channel:
    """Everything of one brand, and what it shares with others."""

    def __init__(self) -> None:
        self.lines: dict[Key, Line] = {}
        self._keys: dict[str, list[str]] = defaultdict(list)

    def learn(self, kind: str, key: str, brand: str | None, version: Version) -> None:
        """Take in a version, in the order of recording."""
        line = self.lines.get((kind, key))
        if line is None:
            line = self.lines[kind, key] = Line(brand)
            self._keys[kind].append(key)
        line.add(version)

    def line(self, kind: str, key: str) -> Line | None:
        """Return the line of one thing, if anything was ever said of it."""
        return self.lines.get((kind, key))

    def at(self, kind: str, key: str, moment: datetime) -> Version | None:
        """Return what is in force of one thing, None where it does not exist or has ended."""
        line = self.lines.get((kind, key))
        version = line.at(moment) if line else None
        return version if version and not version.ended else None

    def keys(self, kind: str) -> Iterator[str]:
        """Yield the keys of one kind."""
        return iter(self._keys.get(kind, ()))

    def in_force(self, kind: str, moment: datetime) -> Iterator[tuple[str, Version]]:
        """Yield everything of one kind that exists at a moment, by key."""
        for key in sorted(self.keys(kind)):
            version = self.at(kind, key, moment)
            if version is not None:
                yield key, version

    def moments(self, kinds: Iterable[str]) -> list[datetime]:
        """Return every moment at which something of these kinds changes, in order."""
        wanted = set(kinds)
        return sorted({v.valid_from for (kind, _), line in self.lines.items() if kind in wanted for v in line.versions})
