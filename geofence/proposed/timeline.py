"""Territories over time: which version is in force from when until when, for everyone in one market."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from geofence.maps.atoms import Level
from geofence.proposed.areas import Area, area_of
from geofence.territory import Query, TerritoryBook, TerritoryVersion

FOREVER = datetime.max.replace(tzinfo=UTC)


def times(version: TerritoryVersion) -> tuple[datetime, datetime]:
    """Return from when until before when a version speaks; FOREVER where it is open."""
    return version.valid_from, version.valid_to or FOREVER


def open_end(moment: datetime) -> datetime | None:
    """Return the end of a span as versions state it: None where it is open."""
    return None if moment == FOREVER else moment


@dataclass(frozen=True, slots=True)
class Span:
    """A version in force from `starts` until before `ends`."""

    starts: datetime
    ends: datetime
    version: TerritoryVersion


class MarketView:
    """The versions of one channel and product line as they are known at the end of a book."""

    def __init__(self, book: TerritoryBook, channel: str, line: str | None) -> None:
        self.book = book
        self._channel, self._line = channel, line
        self._moments: dict[str, set[datetime]] = defaultdict(set)
        for version in book.versions:
            if version.channel == channel and version.product_line in (line, None):
                self._moments[version.dealer] |= {each for each in times(version) if each < FOREVER}
        self._areas: dict[str, Area] = {}
        self._at: dict[tuple[str, datetime], TerritoryVersion | None] = {}

    @property
    def dealers(self) -> list[str]:
        """Everyone of whom there is any version."""
        return sorted(self._moments)

    def at(self, dealer: str, moment: datetime) -> TerritoryVersion | None:
        """Return what is in force for a dealer."""
        if (dealer, moment) not in self._at:
            query = Query(dealer, moment, FOREVER, self._channel, self._line)
            self._at[dealer, moment] = self.book.in_force(query)
        return self._at[dealer, moment]

    def spans(self, dealer: str, starts: datetime, ends: datetime) -> list[Span]:
        """Return the versions in force between two moments, in order."""
        cuts = [starts, *sorted(each for each in self._moments.get(dealer, ()) if starts < each < ends), ends]
        found: list[Span] = []
        for first, last in pairwise(cuts):
            version = self.at(dealer, first)
            if version is not None and found and found[-1].version is version and found[-1].ends == first:
                found[-1] = replace(found[-1], ends=last)
            elif version is not None:
                found.append(Span(first, last, version))
        return found

    @cached_property
    def reach(self) -> tuple[list[str], NDArray[np.bool_], NDArray[np.bool_]]:
        """Everyone, the counties of all their versions together, shape (dealers, atoms), and who has a polygon."""
        dealers = self.dealers
        places = {dealer: number for number, dealer in enumerate(dealers)}
        masks = np.zeros((len(dealers), self.book.atoms.atom_count), dtype=np.bool_)
        drawn = np.zeros(len(dealers), dtype=np.bool_)
        for version in self.book.versions:
            if version.channel == self._channel and version.product_line in (self._line, None):
                area = self.area(version)
                masks[places[version.dealer]] |= area.mask
                drawn[places[version.dealer]] |= area.polygon is not None
        return dealers, masks, drawn

    def near(self, area: Area) -> list[str]:
        """Return everyone who ever had something that could lie in an area."""
        dealers, masks, drawn = self.reach
        meeting = masks[:, area.mask].any(axis=1) | drawn
        if area.polygon is not None:
            meeting |= masks[:, self.book.atoms.layer(Level.COUNTY).meeting(area.polygon)].any(axis=1)
        return [dealers[number] for number in np.flatnonzero(meeting).tolist()]

    def area(self, version: TerritoryVersion) -> Area:
        """Return a version's area, worked out once."""
        if version.sha256 not in self._areas:
            self._areas[version.sha256] = area_of(version, self.book.atoms)
        return self._areas[version.sha256]
