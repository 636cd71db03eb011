"""What would follow from proposed territories: contradictions, overlaps, gaps, and children beyond their parents.

A report compares the territories in force with and without the proposals, moment by moment within the proposals' own
time: between two moments at which any version begins or ends nothing changes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from geofence.errors import UnknownAdcodeError
from geofence.maps.atom_map import AtomMap
from geofence.maps.atoms import Level
from geofence.proposed.areas import Area, Patch, beyond, km2_of, shared, union
from geofence.proposed.remarks import Remark, RemarkCode
from geofence.proposed.timeline import FOREVER, MarketView, Span, open_end, times
from geofence.territory import Seller, TerritoryBook, TerritoryVersion

Market = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A version to be, and where it was said: a feature or a row."""

    where: str
    version: TerritoryVersion


@dataclass(frozen=True, slots=True)
class Network:
    """Who stands below whom: `path(dealer, moment)` returns a dealer and those above it, nearest first.

    It is empty for a dealer that does not exist then. `lines` are all product lines.
    """

    path: Callable[[str, datetime], Sequence[str]]
    lines: frozenset[str] = frozenset()


def report(book: TerritoryBook, proposals: Sequence[Proposal], network: Network) -> list[Remark]:
    """Return everything to be said of proposals against the versions recorded, errors first."""
    remarks = [remark for each in proposals for remark in _single(each, book.atoms, network)]
    remarks += _contradictions(proposals)
    sound = [each for each in proposals if not _unknown_divisions(each.version, book.atoms)]
    remarks += [remark for each in sound for remark in _history(each, book)]
    after = book.with_versions(*(each.version for each in sound))
    markets: dict[Market, list[Proposal]] = defaultdict(list)
    for each in sound:
        for line in _lines_of(each.version, after):
            markets[each.version.channel, line].append(each)
    for (channel, line), concerned in sorted(markets.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        comparison = _Comparison(MarketView(book, channel, line), MarketView(after, channel, line), network)
        remarks += comparison.remarks(concerned)
    order = list(RemarkCode)
    return sorted(
        _deepest(_merged(remarks), network),
        key=lambda each: (order.index(each.code), each.where, each.dealer, each.other),
    )


def _lines_of(version: TerritoryVersion, book: TerritoryBook) -> list[str | None]:
    """Return the lines that a version may decide about: where a dealer has a line of its own, siblings may not."""
    if version.product_line is not None:
        return [version.product_line]
    own = {each.product_line for each in book.versions if each.channel == version.channel and each.product_line}
    return [None, *sorted(each for each in own if each)]


def _single(proposal: Proposal, atoms: AtomMap, network: Network) -> Iterator[Remark]:
    version = proposal.version
    tell = _teller(proposal)
    if not network.path(version.dealer, version.valid_from):
        yield tell(RemarkCode.UNKNOWN_DEALER)
    for code in _unknown_divisions(version, atoms):
        yield tell(RemarkCode.UNKNOWN_DIVISION, detail=code)
    if version.product_line is not None and version.product_line not in network.lines:
        yield tell(RemarkCode.UNKNOWN_PRODUCT_LINE, detail=version.product_line)
    if version.polygon is not None:
        yield from _polygon(tell, version.polygon, atoms)
    if not version.adcodes and version.polygon is None:
        yield tell(RemarkCode.NOWHERE)
    if version.valid_from < version.recorded_at:
        yield tell(RemarkCode.RETROACTIVE)


def _polygon(tell: Callable[..., Remark], polygon: BaseGeometry, atoms: AtomMap) -> Iterator[Remark]:
    layer = atoms.layer(Level.COUNTY)
    met = layer.meeting(polygon)
    if not len(met):
        turned: BaseGeometry = shapely.transform(polygon, lambda points: points[:, ::-1])
        if len(layer.meeting(turned)):
            yield tell(RemarkCode.AXES_SWAPPED)
            return
    rest: BaseGeometry = shapely.difference(polygon, shapely.union_all(layer.geometries[met]))
    if rest.area > polygon.area / 100:
        yield tell(RemarkCode.OFF_MAP, patch=Patch(in_part=("",), km2=km2_of(rest)))


def _unknown_divisions(version: TerritoryVersion, atoms: AtomMap) -> list[str]:
    unknown = []
    for code in version.adcodes:
        try:
            atoms.atom_indexes(code)
        except UnknownAdcodeError:
            unknown.append(code)
    return unknown


def _contradictions(proposals: Sequence[Proposal]) -> Iterator[Remark]:
    """Yield proposals of one draft that speak of the same dealer, channel, line and time."""
    by_seller: dict[Seller, list[Proposal]] = defaultdict(list)
    for each in proposals:
        by_seller[each.version.dealer, each.version.channel, each.version.product_line].append(each)
    for group in by_seller.values():
        for first, second in combinations(group, 2):
            starts, ends = _common(times(first.version), times(second.version))
            if starts < ends:
                differs = _difference(first.version, second.version)
                code = RemarkCode.CONTRADICTION if differs else RemarkCode.TWICE
                yield _teller(second)(code, other=first.where, detail=differs, starts=starts, ends=open_end(ends))


def _difference(first: TerritoryVersion, second: TerritoryVersion) -> str:
    """Say in what two versions differ besides their time."""
    if first.adcodes != second.adcodes:
        odd = sorted(set(first.adcodes) ^ set(second.adcodes))
        return f"divisions {', '.join(odd[:5])}{' …' if len(odd) > 5 else ''}"  # noqa: PLR2004  enough to find them
    if first.polygon != second.polygon:
        return "another polygon"
    return "exclusive and shared" if first.exclusive != second.exclusive else ""


def _history(proposal: Proposal, book: TerritoryBook) -> Iterator[Remark]:
    """Yield what the proposal replaces of what was recorded, and what comes after it."""
    version, tell = proposal.version, _teller(proposal)
    view = MarketView(book, version.channel, version.product_line)
    starts, ends = times(version)
    old = [
        span for span in view.spans(version.dealer, starts, ends) if span.version.product_line == version.product_line
    ]
    same = [span for span in old if not _difference(span.version, version)]
    if same and sum((s.ends - s.starts for s in same), start=timedelta()) == ends - starts:
        yield tell(RemarkCode.NO_CHANGE)
        return
    for span in old:
        if span not in same:
            yield tell(RemarkCode.REPLACES, starts=span.starts, ends=open_end(span.ends))
    if ends < FOREVER and view.at(version.dealer, ends) is None:
        yield tell(RemarkCode.NOTHING_AFTER, starts=ends, ends=None)


class _Comparison:
    """One channel and line before and after the proposals."""

    def __init__(self, before: MarketView, after: MarketView, network: Network) -> None:
        self._before, self._after, self._network = before, after, network
        self._atoms = after.book.atoms
        self._paths: dict[tuple[str, datetime], Sequence[str]] = {}
        self._below_at: dict[tuple[MarketView, datetime], dict[str, list[TerritoryVersion]]] = {}
        self._bare_of: dict[tuple[MarketView, str, datetime], Patch] = {}

    def remarks(self, concerned: Iterable[Proposal]) -> Iterator[Remark]:
        told: set[str] = set()
        for proposal in concerned:
            starts, ends = times(proposal.version)
            own = [
                span
                for span in self._after.spans(proposal.version.dealer, starts, ends)
                if span.version is proposal.version
            ]
            for span in own:
                yield from self._overlaps(proposal, span, told)
                yield from self._above(proposal, span)
                yield from self._below(proposal, span)
                yield from self._gaps(proposal, span)
            told.add(proposal.version.sha256)

    def _overlaps(self, proposal: Proposal, span: Span, told: set[str]) -> Iterator[Remark]:
        own = self._after.area(span.version)
        if not span.version.exclusive or own.empty:
            return
        for other in self._after.near(own):
            if other == span.version.dealer:
                continue
            for theirs in self._after.spans(other, span.starts, span.ends):
                area = self._after.area(theirs.version)
                passed = not theirs.version.exclusive or theirs.version.sha256 in told
                if passed or not _may_meet(own, area) or self._related(span, other):
                    continue
                patch = shared(own, area, self._atoms)
                if patch:
                    yield self._tell(proposal, RemarkCode.OVERLAP, theirs, other=other, patch=patch)

    def _above(self, proposal: Proposal, span: Span) -> Iterator[Remark]:
        """Yield what the proposal has beyond the nearest dealer above it that has a territory."""
        for piece in self._pieces(span):
            holder = self._holder(self._after, span.version.dealer, piece.starts)
            if holder is None:
                continue
            outside = beyond(self._after.area(span.version), self._after.area(holder), self._atoms)
            if outside:
                yield self._tell(proposal, RemarkCode.BEYOND_PARENT, piece, other=holder.dealer, patch=outside)

    def _below(self, proposal: Proposal, span: Span) -> Iterator[Remark]:
        """Yield what dealers below have beyond the proposal."""
        own = self._after.area(span.version)
        for child in self._after.dealers:
            if span.version.dealer not in self._path(child, span.starts)[1:]:
                continue
            for theirs in self._after.spans(child, span.starts, span.ends):
                holder = self._holder(self._after, child, theirs.starts)
                if holder is not span.version:
                    continue
                outside = beyond(self._after.area(theirs.version), own, self._atoms)
                if outside:
                    told = self._tell(
                        proposal, RemarkCode.BEYOND_PARENT, theirs, other=span.version.dealer, patch=outside
                    )
                    yield replace(told, dealer=child)

    def _gaps(self, proposal: Proposal, span: Span) -> Iterator[Remark]:
        """Yield what the dealer above has and none of those directly below it, and what of it somebody had before."""
        for piece in self._pieces(span):
            holder = self._holder(self._after, span.version.dealer, piece.starts)
            if holder is None:
                continue
            bare = self._bare(self._after, holder, piece.starts)
            if not bare:
                continue
            yield self._tell(proposal, RemarkCode.GAP, piece, other=holder.dealer, patch=bare)
            earlier = self._before.at(holder.dealer, piece.starts)
            if earlier is not None:
                old = self._bare(self._before, earlier, piece.starts)
                fresh = set(bare.adcodes) - set(old.adcodes) - set(old.in_part)
                if fresh:
                    patch = _part_of(bare, fresh, self._atoms)
                    yield self._tell(proposal, RemarkCode.NEWLY_BARE, piece, other=holder.dealer, patch=patch)

    def _bare(self, view: MarketView, holder: TerritoryVersion, moment: datetime) -> Patch:
        """Return what of a territory belongs to none of those directly below it."""
        key = (view, holder.sha256, moment)
        if key not in self._bare_of:
            areas = [view.area(each) for each in self._directly_below(view, moment)[holder.sha256]]
            self._bare_of[key] = beyond(view.area(holder), union(areas, self._atoms), self._atoms)
        return self._bare_of[key]

    def _directly_below(self, view: MarketView, moment: datetime) -> dict[str, list[TerritoryVersion]]:
        """Return the territories in force by the digest of the one that each should lie in."""
        if (view, moment) not in self._below_at:
            found: dict[str, list[TerritoryVersion]] = defaultdict(list)
            for dealer in view.dealers:
                version, holder = view.at(dealer, moment), self._holder(view, dealer, moment)
                if version is not None and holder is not None:
                    found[holder.sha256].append(version)
            self._below_at[view, moment] = found
        return self._below_at[view, moment]

    def _path(self, dealer: str, moment: datetime) -> Sequence[str]:
        if (dealer, moment) not in self._paths:
            self._paths[dealer, moment] = self._network.path(dealer, moment)
        return self._paths[dealer, moment]

    def _holder(self, view: MarketView, dealer: str, moment: datetime) -> TerritoryVersion | None:
        """Return the territory of the nearest dealer above that has any."""
        for each in self._path(dealer, moment)[1:]:
            version = view.at(each, moment)
            if version is not None and not view.area(version).empty:
                return version
        return None

    def _pieces(self, span: Span) -> list[Span]:
        """Cut a span where the territories of those above change."""
        cuts = {span.starts, span.ends}
        for each in self._path(span.version.dealer, span.starts)[1:]:
            for theirs in self._after.spans(each, span.starts, span.ends):
                cuts |= {theirs.starts, theirs.ends}
        moments = sorted(cuts)
        return [Span(first, last, span.version) for first, last in pairwise(moments)]

    def _related(self, span: Span, other: str) -> bool:
        dealer = span.version.dealer
        return other in self._path(dealer, span.starts) or dealer in self._path(other, span.starts)

    @staticmethod
    def _tell(proposal: Proposal, code: RemarkCode, span: Span, *, other: str, patch: Patch) -> Remark:
        times = {"starts": span.starts, "ends": open_end(span.ends)}
        return _teller(proposal)(code, other=other, patch=patch, **times)


def _may_meet(first: Area, second: Area) -> bool:
    """Tell at little cost whether two areas could share anything."""
    if (first.mask & second.mask).any():
        return True
    return first.polygon is not None or second.polygon is not None


def _part_of(patch: Patch, adcodes: set[str], atoms: AtomMap) -> Patch:
    kept = tuple(code for code in patch.adcodes if code in adcodes)
    return Patch(kept, km2=sum(km2_of(atoms.atom(code).geometry) for code in kept))


def _teller(proposal: Proposal) -> Callable[..., Remark]:
    version = proposal.version

    def tell(code: RemarkCode, **more: Any) -> Remark:  # noqa: ANN401  fields of a remark
        fixed: Mapping[str, Any] = {
            "where": proposal.where, "dealer": version.dealer, "channel": version.channel,
            "product_line": version.product_line, "starts": version.valid_from, "ends": version.valid_to,
        }  # fmt: skip
        return Remark(code=code, **{**fixed, **more})

    return tell


def _deepest(remarks: Sequence[Remark], network: Network) -> Iterator[Remark]:
    """Leave out overlaps with a dealer where one below it has the same: whoever is closest to the spot is named."""
    overlapping: dict[tuple[object, ...], list[Remark]] = defaultdict(list)
    for each in remarks:
        if each.code is RemarkCode.OVERLAP:
            overlapping[each.where, each.dealer, each.product_line, each.starts, each.ends].append(each)
    for each in remarks:
        moment = each.starts or FOREVER
        rivals = overlapping[each.where, each.dealer, each.product_line, each.starts, each.ends]
        below = (other for other in rivals if each.other in network.path(other.other, moment)[1:])
        if each.code is not RemarkCode.OVERLAP or not any(set(each.adcodes) <= set(other.adcodes) for other in below):
            yield each


def _merged(remarks: Iterable[Remark]) -> list[Remark]:
    """Join remarks that differ in nothing but neighbouring times, and leave out repetitions."""
    found: dict[tuple[object, ...], list[Remark]] = defaultdict(list)
    for each in remarks:
        key = (each.code, each.where, each.dealer, each.other, each.channel, each.product_line, each.detail, each.patch)
        group = found[key]
        if each in group:
            continue
        if group and group[-1].ends is not None and group[-1].ends == each.starts:
            group[-1] = replace(group[-1], ends=each.ends)
        else:
            group.append(each)
    return [each for group in found.values() for each in group]


def _common(first: tuple[datetime, datetime], second: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    return max(first[0], second[0]), min(first[1], second[1])
