"""What contracts grant: in force when, where two exclude each other, and the territories that follow from them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import NamedTuple

from geofence.errors import UnknownAdcodeError
from geofence.maps import AtomMap, Level
from trace_service.channel.tree import path_at
from trace_service.channel.values import start_of
from trace_service.channel.versions import Channel, Facts, Line, Version


class Period(NamedTuple):
    """From `starts` until before `ends`, UTC; None has no end."""

    starts: datetime
    ends: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Tell whether a moment is in it."""
        return self.starts <= moment and (self.ends is None or moment < self.ends)

    def meets(self, other: "Period") -> bool:
        """Tell whether the two share a moment."""
        later = max(self.starts, other.starts)
        return self.covers(later) and other.covers(later)


class Grant(NamedTuple):
    """One contract in force: where a dealer may sell what, through which channel."""

    contract: str
    version: Version

    @property
    def dealer(self) -> str:
        """Who may sell."""
        return str(self.version.facts["dealer"])

    @property
    def channel(self) -> str:
        """Through which sales channel."""
        return str(self.version.facts["channel"])

    @property
    def adcodes(self) -> tuple[str, ...]:
        """In which divisions."""
        return tuple(self.version.facts["adcodes"])

    def sells(self, line: str) -> bool:
        """Tell whether a product line is among the contract's; a contract without lines has all."""
        lines = self.version.facts["product_lines"]
        return not lines or line in lines


class Span(NamedTuple):
    """What holds between two moments."""

    starts: datetime
    ends: datetime | None
    adcodes: tuple[str, ...]
    exclusive: bool


def period(facts: Facts) -> Period:
    """Return a contract's time; its last day belongs to it."""
    ends = facts.get("ends_on")
    return Period(_begin(facts["starts_on"]), _end(ends) if ends else None)


def _begin(text: str) -> datetime:
    return datetime.fromisoformat(text) if "T" in text else start_of(date.fromisoformat(text))


def _end(text: str) -> datetime:
    return datetime.fromisoformat(text) if "T" in text else start_of(date.fromisoformat(text) + timedelta(days=1))


def grant_at(contract: str, line: Line, moment: datetime) -> Grant | None:
    """Return what a contract grants at a moment, None where it is not in force."""
    version = line.at(moment)
    if version is None or version.ended or not period(version.facts).covers(moment):
        return None
    return Grant(contract, version)


def grants_at(channel: Channel, moment: datetime) -> Iterator[Grant]:
    """Yield every contract in force at a moment, by its id."""
    for key in sorted(channel.keys("contract")):
        grant = grant_at(key, channel.lines["contract", key], moment)
        if grant is not None:
            yield grant


class Clash(NamedTuple):
    """Two exclusive contracts for the same counties; `counties` are some of them, `shared` how many there are."""

    contract: str
    other: str
    other_dealer: str
    counties: tuple[str, ...]
    shared: int


_SHOWN = 5


def clashes(channel: Channel, changed: Iterable[str], atoms: AtomMap) -> Iterator[Clash]:
    """Yield what changed contracts share with others, where neither dealer stands above the other."""
    exclusive = {
        key: version
        for key in channel.keys("contract")
        if (version := channel.lines["contract", key].versions[-1]) and not version.ended and version.facts["exclusive"]
    }
    by_county: dict[int, list[str]] = defaultdict(list)
    for key in sorted(exclusive):
        for county in counties(exclusive[key].facts["adcodes"], atoms):
            by_county[county].append(key)
    wanted = set(changed)
    names = atoms.records(Level.COUNTY)
    for key in sorted(wanted & set(exclusive)):
        shared: dict[str, list[int]] = defaultdict(list)
        for county in counties(exclusive[key].facts["adcodes"], atoms):
            for other in by_county[county]:
                if other != key and (other not in wanted or key < other):
                    shared[other].append(county)
        for other, common in sorted(shared.items()):
            if _exclude_each_other(channel, exclusive[key], exclusive[other]):
                codes = tuple(names[each].adcode for each in sorted(common)[:_SHOWN])
                yield Clash(key, other, str(exclusive[other].facts["dealer"]), codes, len(common))


def _exclude_each_other(channel: Channel, first: Version, second: Version) -> bool:
    one, two = first.facts, second.facts
    lines, others = set(one["product_lines"]), set(two["product_lines"])
    if one["dealer"] == two["dealer"] or one["channel"] != two["channel"] or (lines and others and not lines & others):
        return False
    if not period(one).meets(period(two)):
        return False
    moment = max(period(one).starts, period(two).starts, first.valid_from, second.valid_from)
    return one["dealer"] not in path_at(channel, two["dealer"], moment) and two["dealer"] not in path_at(
        channel, one["dealer"], moment
    )


def counties(adcodes: Iterable[str], atoms: AtomMap) -> set[int]:
    """Return the numbers of the counties of known divisions; unknown ones are told elsewhere."""
    found: set[int] = set()
    for adcode in adcodes:
        try:
            found.update(atoms.atom_indexes(adcode).tolist())
        except UnknownAdcodeError:
            continue
    return found


def by_seller(channel: Channel) -> dict[tuple[str, str], list[Line]]:
    """Return the contracts that ever concerned a dealer and a sales channel."""
    found: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for key in sorted(channel.keys("contract")):
        line = channel.lines["contract", key]
        for seller in sorted({(str(v.facts["dealer"]), str(v.facts["channel"])) for v in line.versions}):
            found[seller].append(line)
    return found


def spans(lines: Iterable[Line], dealer: str, sales_channel: str) -> list[Span]:
    """Return where a dealer may sell through a channel at all, as spans without gaps, the last without an end."""
    lines = list(lines)
    moments: set[datetime] = set()
    for line in lines:
        for version in line.versions:
            times = period(version.facts)
            moments |= {version.valid_from, times.starts, *([times.ends] if times.ends else [])}
    found: list[Span] = []
    for moment in sorted(moments):
        adcodes: set[str] = set()
        exclusive = True
        for line in lines:
            grant = grant_at("", line, moment)
            if grant and (grant.dealer, grant.channel) == (dealer, sales_channel):
                adcodes.update(grant.adcodes)
                exclusive = exclusive and bool(grant.version.facts["exclusive"])
        fresh = Span(moment, None, tuple(sorted(adcodes)), exclusive)
        if found and found[-1][2:] == fresh[2:]:
            continue
        if found:
            found[-1] = found[-1]._replace(ends=moment)
        found.append(fresh)
    return found[1:] if found and not found[0].adcodes else found
