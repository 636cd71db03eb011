"""A claim about places computed again from its material: as it was, and as it would be with something changed. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from msgspec import Struct

from trace_service.detection.calibration import features, score
from trace_service.detection.cell import Cell, Hit, Piece, apart, piece_of
from trace_service.detection.detectors.collusion import takes_part, total_nats
from trace_service.detection.detectors.flow import enough, spoken
from trace_service.detection.material import (
    AT_HOME,
    CARRIED,
    PROVINCE_DAYS,
    SETTLED,
    STOCKED,
    KeptCell,
    KeptHit,
    Material,
    Part,
)
from trace_service.detection.placing import KINDS, Kind
from trace_service.detection.settings import DAY_MS
from trace_service.detection.weighing import Weighed, Weigher


class Change(Struct, frozen=True, kw_only=True):
    """What is supposed to be otherwise than it was."""

    out: frozenset[str] = frozenset()  # cases that were never seen there
    home: frozenset[str] = frozenset()  # cases that are seen at home as well from now on
    more: int = 0  # further cases of `more_of` (None: of further shipments), each found apart from the others
    more_of: str | None = None
    surge: float | None = None  # how much more than usual comes from others
    shares: tuple[float, ...] | None = None
    # What honest explanations took away, given back.
    single: bool = False  # each case a piece of its own
    unhome: bool = False  # cases that were seen at home count
    uncarried: bool = False  # cases that a shop had count
    allowance: float | None = None


NOTHING: Final = Change()
_STEP: Final = 0.03  # degrees


class Verdict(NamedTuple):
    """What a claim would say: `alarming`, an alert would be raised; `falls`, one that stands would be taken back."""

    nats: float
    threshold: float
    probability: float | None
    alarming: bool
    falls: bool
    weighed: Weighed
    shipment: str | None = None  # the one that speaks, where it is one


class _Kept:
    """Part of an alert's material in the place of the running sightings and habits."""

    def __init__(self, material: Material, part: Part, change: Change) -> None:
        self.part, self.change, self.at = part, change, material.at
        self.hits = [hit for cell in part.cells for hit in cell.hits]
        self.gone = [hit for hit in self.hits if hit.case in change.out]
        self.totals = material.totals
        self.seen_share = material.seen_share
        self.shipments: dict[str, dict[str, None]] = {}
        self.cities: dict[tuple[str, str], dict[int, tuple[int, bool]]] = {}
        self.stocked: dict[tuple[str, str], set[str]] = {}
        self.exposure = self
        self._trace()

    @property
    def at_home_share(self) -> float:
        """How many of the cases in foreign cells were seen at home as well, with a prior."""
        lost = sum(bool(hit.marks & AT_HOME) for hit in self.gone)
        return (self.totals[1] - lost + len(self.change.home) + 5.0) / self._foreign

    @property
    def carried_share(self) -> float:
        """How many of the cases in foreign cells a shop of their dealer had had, with a prior."""
        lost = sum(bool(hit.marks & CARRIED) for hit in self.gone)
        return (self.totals[2] - lost) / self._foreign

    @property
    def _foreign(self) -> float:
        return self.totals[0] - len(self.gone) + self.change.more + 25.0

    def _trace(self) -> None:
        for shipment, profiles in self.part.silent.items():
            cases = self.shipments.setdefault(shipment, {})
            for profile, number in profiles.items():
                for index in range(number):
                    self._add(cases, f"{shipment} {profile} {index}", [int(kind) for kind in profile.rstrip("s")],
                        stocked=profile.endswith("s"))  # fmt: skip
        for hit in self.hits:
            if hit.shipment is not None:
                cases = self.shipments.setdefault(hit.shipment, {})
                self._add(cases, hit.case, list(hit.elsewhere), stocked=bool(hit.marks & STOCKED))

    def _add(self, cases: dict[str, None], case: str, kinds: list[int], *, stocked: bool) -> None:
        cases[case] = None
        self.cities[self.part.dealer, case] = {-1 - place: (kind, False) for place, kind in enumerate(kinds)}
        if stocked:
            self.stocked[self.part.dealer, case] = {case}

    def located(self, dealer: str, since: int) -> tuple[int, ...]:
        """Return the located cases of a window, less those that are supposed away."""
        del dealer
        found = list(self.part.located[(self.at - since) // DAY_MS])
        for hit in self.gone:
            if hit.at // DAY_MS >= since // DAY_MS:
                found[hit.kind] -= 1
        found[Kind.GPS] += self.change.more + len(self.change.home)
        return tuple(found)

    def shares(self, dealer: str, place: int) -> tuple[float, ...]:
        """Return the expected shares that were kept."""
        del dealer, place
        return self.change.shares or self.part.shares

    def surge(self, dealer: str, place: int) -> float:
        """Return the surge that was kept or is supposed."""
        del dealer, place
        return self.part.surge if self.change.surge is None else self.change.surge


def recount(material: Material, change: Change = NOTHING) -> Verdict:
    """Return what the claim would say."""
    if material.rule == "city":
        return _city(material, change)
    if material.rule == "province":
        return _province(material, change)
    return _several(material, change)


def recount_with_more(material: Material, most: int, more_of: str | None) -> Iterator[Verdict]:
    """Yield what the claim of a city would say with no further case, with one, and so on up to `most`.

    The same as `recount` with each number as its `more`, without beginning anew for each.
    """
    part = material.parts[0]
    cell, kept = _cell(part.cells[0], material.at, NOTHING, 0), _Kept(material, part, NOTHING)
    yield _judged(material, kept, cell)
    for number, point in enumerate(further_points(part.cells[0], most)):
        cell.add(_further(number, point, material.at, more_of))
        kept.change = Change(more=number + 1, more_of=more_of)
        yield _judged(material, kept, cell)


def _city(material: Material, change: Change) -> Verdict:
    part = material.parts[0]
    return _judged(material, _Kept(material, part, change), _cell(part.cells[0], material.at, change, 0))


def _judged(material: Material, kept: _Kept, cell: Cell) -> Verdict:
    settings = material.settings
    weighed = Weigher(settings, kept, kept).weigh(cell, material.at)
    pieces = cell.with_carried() if weighed.booked else cell.pieces
    nats, threshold, by_bulk = spoken(weighed, pieces, settings, material.raised)
    if nats < threshold - settings.retract_margin_nats:
        return Verdict(nats, threshold, None, alarming=False, falls=True, weighed=weighed)
    shipment = weighed.shipment if by_bulk else None
    probability = score(material.coefficients, features(weighed.evidence))
    certain = nats >= settings.certain_nats + material.raised
    alarming = nats >= threshold and (certain or probability >= settings.least_probability)
    falls = probability < settings.retract_probability and not certain
    return Verdict(nats, threshold, probability, alarming, falls, weighed, shipment)


def _province(material: Material, change: Change) -> Verdict:
    part, settings = material.parts[0], material.settings
    kept = _Kept(material, part, change)
    cells = [_cell(each, material.at, change, place) for place, each in enumerate(part.cells)]
    pieces = apart(piece for cell in cells for piece in cell.pieces)
    weigher = Weigher(settings, kept, kept)
    honest = (kept.shares(part.dealer, 0), kept.surge(part.dealer, 0))
    weighed = weigher.drip(part.dealer, pieces, honest, PROVINCE_DAYS, material.at)
    nats = max(weighed.drip, -99.0) if enough(pieces, settings) else -99.0
    return _unjudged(nats, settings.province_nats + material.raised, material, weighed)


def _several(material: Material, change: Change) -> Verdict:
    nats = []
    for part in material.parts:
        cell = _cell(part.cells[0], material.at, change, 0)
        stated = part.stated
        if change != NOTHING and (
            change.surge or change.shares or cell.hits.keys() != {h.case for h in part.cells[0].hits}
        ):
            kept = _Kept(material, part, change)
            weighed = Weigher(material.settings, kept, kept).weigh(cell, material.at)
            stated = weighed.beside_others(part.sent)
        if takes_part(stated, cell, material.at):
            nats.append(stated)
    total = total_nats(nats) if len(nats) > 1 else 0.0
    return _unjudged(total, material.settings.collusion_nats + material.raised, material, Weighed())


def _unjudged(nats: float, threshold: float, material: Material, weighed: Weighed) -> Verdict:
    falls = nats < threshold - material.settings.retract_margin_nats
    return Verdict(nats, threshold, None, nats >= threshold, falls, weighed)


def _cell(kept: KeptCell, at: int, change: Change, place: int) -> Cell:
    """Return the cell as it was, changed as supposed; `place` tells which of several it is."""
    hits = [_hit(each) for each in kept.hits]
    marked = {mark: {each.case for each in kept.hits if each.marks & mark} for mark in (AT_HOME, CARRIED, SETTLED)}
    pieces = [_piece([hits[index] for index in piece]) for piece in kept.pieces]
    cell = Cell(
        kept.dealer, place, {each.case: each for each in hits}, pieces,
        marked[AT_HOME], marked[CARRIED], marked[SETTLED],
        kept.allowance if change.allowance is None else change.allowance, at + 1,
    )  # fmt: skip
    if change.out & cell.hits.keys():
        cell = cell.without(change.out)
    for case in sorted(change.home & cell.hits.keys()):
        cell.mark(case, home=True)
    if change.unhome or change.uncarried:
        cell.at_home = set() if change.unhome else cell.at_home
        cell.carried = set() if change.uncarried else cell.carried
        cell.rebuild()
    if change.single:
        cell.pieces = [_piece([hit]) for piece in cell.pieces for hit in piece.hits]
    points = further_points(kept, change.more if place == 0 else 0)
    for number, point in enumerate(points):
        cell.add(_further(number, point, at, change.more_of))
    return cell


def _further(number: int, point: tuple[float, float], at: int, shipment: str | None) -> Hit:
    return _hit(KeptHit(f"further {number}", at, int(Kind.GPS), shipment, 0, *point, 0, ()))


def further_points(kept: KeptCell, number: int) -> list[tuple[float, float]]:
    """Return where further cases are supposed: some kilometres apart, beginning beside the first with a position."""
    known = [(hit.lat, hit.lon) for hit in kept.hits if hit.lat is not None and hit.lon is not None]
    lat, lon = known[0] if known else (0.0, 0.0)
    return [(lat + _STEP * (1 + each // 4), lon + _STEP * (each % 4)) for each in range(number)]


def _piece(hits: list[Hit]) -> Piece:
    return piece_of(hits)


def _hit(kept: KeptHit) -> Hit:
    phone = f"phone {kept.device}" if kept.device else ""
    return Hit(kept.case, kept.at, kept.kind, kept.shipment, phone, kept.lat, kept.lon, keys=[], events=[], units=[])


def counted(material: Material) -> Mapping[str, int]:
    """Return how many cases and independent pieces a claim counts, and how many honest explanations took out."""
    cells = [cell for part in material.parts for cell in part.cells]
    hits = [hit for cell in cells for hit in cell.hits]
    return {
        "seen": len(hits),
        "pieces": sum(len(cell.pieces) for cell in cells),
        "in_pieces": sum(len(piece) for cell in cells for piece in cell.pieces),
        "at_home": sum(bool(hit.marks & AT_HOME) for hit in hits),
        "carried": sum(bool(hit.marks & CARRIED) and not hit.marks & AT_HOME for hit in hits),
        "settled": sum(bool(hit.marks & SETTLED) for hit in hits),
        **{name: sum(hit.kind == kind for hit in hits) for kind, name in enumerate(("gps", "ip", "store")[:KINDS])},
    }


def pieces(material: Material) -> list[frozenset[str]]:
    """Return the cases of each independent piece of evidence, in the order in which they were found."""
    booked = material.rule == "city" and recount(material).weighed.booked
    found: list[tuple[int, frozenset[str]]] = []
    for part in material.parts:
        for place, kept in enumerate(part.cells):
            cell = _cell(kept, material.at, NOTHING, place)
            held = cell.with_carried() if booked else cell.pieces
            found += [(piece.at, frozenset(hit.case for hit in piece.hits)) for piece in held]
    return [cases for _, cases in sorted(found, key=lambda each: (each[0], sorted(each[1])))]
