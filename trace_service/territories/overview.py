"""What the territories' pages show: everyone's territory at a moment, one dealer's history, and what to say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from geofence.maps import AtomMap, Level
from geofence.proposed.areas import area_of, km2_of
from geofence.proposed.remarks import Remark, RemarkCode
from geofence.proposed.reports import Proposal, report
from geofence.territory import Query, TerritoryBook, TerritoryVersion
from trace_service.channel.versions import Channel
from trace_service.domain.territories import BrandBook
from trace_service.territories.drafts import network_of
from trace_service.territories.picture import Painter, Picture

COLOURS: Final = 6
_MOST_MOMENTS: Final = 400
_STANDING: Final = frozenset({RemarkCode.OVERLAP, RemarkCode.BEYOND_PARENT, RemarkCode.GAP})


@dataclass(frozen=True, slots=True)
class Names:
    """What dealers are called at a moment."""

    facts: Mapping[str, tuple[str, str]]

    def __call__(self, dealer: str) -> tuple[str, str]:
        """Return the Chinese and the English name, or the id twice."""
        return self.facts.get(dealer, (dealer, dealer))

    @classmethod
    def of(cls, channel: Channel, moment: datetime) -> "Names":
        """Return the names that hold at a moment."""
        found = {key: each.facts for key, each in channel.in_force("dealer", moment)}
        return cls({key: (facts["name_zh"], facts.get("name_en") or facts["name_zh"]) for key, facts in found.items()})


@dataclass(frozen=True, slots=True)
class Row:
    """One dealer's territory in the table; `colour` is that of the drawing, `depth` the dealer's in the tree."""

    version: TerritoryVersion
    number: int | None
    names: tuple[str, str]
    depth: int
    km2: float
    colour: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Everyone's territory in a market at a moment, and every moment at which something changes."""

    rows: tuple[Row, ...]
    picture: Picture
    moments: tuple[datetime, ...]
    lines: tuple[str, ...]

    def row(self, dealer: str) -> Row | None:
        """Return one dealer's."""
        return next((each for each in self.rows if each.version.dealer == dealer), None)


class Overviews:
    """Makes overviews over one map."""

    def __init__(self, atoms: AtomMap) -> None:
        self._atoms = atoms
        self._painter = Painter(atoms)
        self._km2: dict[str, float] = {}

    def prepare(self) -> None:
        """Do beforehand what the first drawing would take seconds for."""
        self._painter.prepare()

    def overview(self, book: BrandBook, channel: Channel, query: Query) -> Overview:
        """Return what is in force; a dealer in the query fills the drawing with those around it."""
        versions = book.territories.all_in_force(query)
        names = Names.of(channel, query.valid_at)
        rows = []
        versions.sort(key=lambda each: (book.levels.get(each.dealer, 0), each.dealer))
        for index, version in enumerate(versions):
            depth = book.levels.get(version.dealer, 0)
            number = book.version_ids.get(version.sha256)
            rows.append(Row(version, number, names(version.dealer), depth, self.km2(version), index % COLOURS))
        focus = [each for each in versions if each.dealer == query.dealer]
        moments, lines = _changes(book.territories, query)
        return Overview(tuple(rows), self._painter.paint(versions, focus), moments, lines)

    def draw(self, versions: Sequence[TerritoryVersion]) -> Picture:
        """Draw versions alone, as those of a draft."""
        return self._painter.paint(versions)

    def km2(self, version: TerritoryVersion) -> float:
        """Return the square kilometres of a territory."""
        if version.sha256 not in self._km2:
            area = area_of(version, self._atoms)
            shapes = self._atoms.layer(Level.COUNTY).geometries[area.mask]
            drawn = 0.0 if area.polygon is None else km2_of(area.polygon)
            self._km2[version.sha256] = sum(map(km2_of, shapes)) + drawn
        return self._km2[version.sha256]


def standing(book: TerritoryBook, channel: Channel, brand: str, query: Query) -> list[Remark]:
    """Return the overlaps and gaps in which a dealer and those directly below it stand at a moment."""
    network = network_of(channel, brand)
    near = [
        version
        for version in book.all_in_force(query)
        if query.dealer in network.path(version.dealer, query.valid_at)[:2]
    ]
    found = report(book, [Proposal(each.dealer, each) for each in near], network)
    return [each for each in found if each.code in _STANDING and _holds(each, query.valid_at)]


def _holds(remark: Remark, moment: datetime) -> bool:
    starts = remark.starts or datetime.min.replace(tzinfo=UTC)
    return starts <= moment and (remark.ends is None or moment < remark.ends)


def _changes(book: TerritoryBook, query: Query) -> tuple[tuple[datetime, ...], tuple[str, ...]]:
    """Return the moments at which any territory of the channel begins or ends, and the product lines that have one."""
    moments: set[datetime] = set()
    lines: set[str] = set()
    for each in book.versions:
        if each.channel == query.channel and each.recorded_at <= query.known_at:
            moments |= {each.valid_from, *([each.valid_to] if each.valid_to else [])}
            lines |= {each.product_line} if each.product_line else set()
    return tuple(sorted(moments)[-_MOST_MOMENTS:]), tuple(sorted(lines))
