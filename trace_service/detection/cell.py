"""One dealer × foreign city: which cases were seen there, put together into independent pieces of evidence."""

from collections.abc import Container, Iterable
from typing import Final

from msgspec import Struct, structs

from trace_service.detection.placing import Kind, flat_km
from trace_service.detection.settings import DAY_MS

_SAME_PARTY_MS: Final = 2 * DAY_MS
_SAME_PARTY_KM: Final = 2.0
_SAME_DAY_MS: Final = DAY_MS
_GIFT_MS: Final = 14 * DAY_MS
# A benign answer makes as much again no alert.
_ALLOWANCE: Final = 3.0


class Hit(Struct, gc=False):
    """The sightings of one case in one city; `at` is the first."""

    case: str
    at: int
    kind: int
    shipment: str | None
    device: str
    lat: float | None
    lon: float | None
    keys: list[str]
    events: list[str]
    units: list[str]


class Piece(Struct):
    """Hits that may have one cause: one buyer, one wedding, one company's gift."""

    at: int
    kind: int
    hits: list[Hit]
    last: int = 0
    devices: set[str] = set()


class Cell(Struct):
    """All that is known of a dealer's goods in one foreign city."""

    dealer: str
    city: int
    hits: dict[str, Hit] = {}
    pieces: list[Piece] = []
    # Cases that were seen in the dealer's own territory as well: opened there, and one bottle travelled.
    at_home: set[str] = set()
    # Cases that a shop of the dealer took in before: carried here by whoever bought them.
    carried: set[str] = set()
    # Cases of a closed review: neither evidence nor habit.
    settled: set[str] = set()
    # How much more than usual may come, and until when (milliseconds): a benign answer expires.
    allowance: float = 1.0
    allowed_until: int = 0
    confirmed: bool = False
    # How probable it was when its last alert ended.
    past: float = 0.0
    # No piece is younger than this (milliseconds).
    latest: int = 0
    # Whether the pieces are as putting them together anew would make them, and the youngest hit then or since.
    in_order: bool = False
    youngest: tuple[int, str] = (0, "")
    # What is asked for again and again, until something changes: `independent` and `with_carried`.
    known_apart: list[Piece] | None = None
    known_whole: list[Piece] | None = None
    known_spread: bool | None = None  # whether its hits lie further apart than one present's

    def add(self, hit: Hit) -> None:
        """Count a case that was not here before."""
        self.hits[hit.case] = hit
        self.latest = max(self.latest, hit.at)
        last = (hit.at, hit.case) > self.youngest
        if last:
            self.youngest = (hit.at, hit.case)
        self.in_order &= last
        self._place(hit)
        if self.known_whole is None or not last:
            self.known_whole = None
        elif hit.case not in self.settled and hit.case not in self.at_home:
            _put(self.known_whole, hit)

    def remove(self, case: str) -> None:
        """Forget a case."""
        hit = self.hits.pop(case)
        self.at_home.discard(case)
        self.carried.discard(case)
        self.known_whole = None
        self._lose(hit)

    def mark(self, case: str, *, home: bool) -> bool:
        """Note whether a case was seen at home as well; return whether that is news."""
        if (case in self.at_home) == home:
            return False
        (self.at_home.add if home else self.at_home.discard)(case)
        self.known_whole = None
        if home:
            self._lose(self.hits[case])
        else:
            self.rebuild()
        return True

    def take_out(self, case: str) -> bool:
        """Count a case no more, for a shop had it; return whether that is news."""
        if case not in self.hits or case in self.carried:
            return False
        self.carried.add(case)
        self._lose(self.hits[case])
        return True

    def put_back(self, case: str) -> bool:
        """Count a case again, for no shop had it after all; return whether that is news."""
        if case not in self.carried:
            return False
        self.carried.discard(case)
        self.rebuild()
        return True

    def allowed(self, now: int) -> float:
        """Return how many times the usual may come at a moment (milliseconds)."""
        return self.allowance if now < self.allowed_until else 1.0

    def settle(self, *, confirmed: bool, benign_until: int | None) -> None:
        """Take all that is here as answered by a person; a benign answer allows for more until a moment."""
        self.settled |= self.hits.keys()
        self.pieces = []
        self.known_apart = self.known_whole = self.known_spread = None
        self.confirmed = self.confirmed or confirmed
        if benign_until is not None:
            self.allowance, self.allowed_until = _ALLOWANCE, benign_until

    def with_carried(self) -> list[Piece]:
        """Return the pieces as if no shop had had anything: it may be the shop that sells elsewhere."""
        if self.known_whole is None:
            self.known_whole = []
            for hit in self._sorted():
                if hit.case not in self.settled and hit.case not in self.at_home:
                    _put(self.known_whole, hit)
        return self.known_whole

    def independent(self) -> list[Piece]:
        """Return the pieces that no company's gift explains, in the order of time."""
        if self.known_apart is None:
            self.known_apart = apart(self.pieces)
        return self.known_apart

    def without(self, cases: Container[str]) -> "Cell":
        """Return a cell in which some cases were never seen; it shares its hits with this one."""
        kept = {case: hit for case, hit in self.hits.items() if case not in cases}
        cell = structs.replace(self, hits=kept, pieces=[], at_home=self.at_home & kept.keys(),
            carried=self.carried & kept.keys(), settled=set(self.settled))  # fmt: skip
        cell.rebuild()
        return cell

    def rebuild(self) -> None:
        """Put the pieces together anew, in the order in which the cases were seen."""
        self.pieces = []
        self.known_apart = self.known_whole = self.known_spread = None
        for hit in self._sorted():
            self._place(hit)
        self.in_order = True

    def _sorted(self) -> list[Hit]:
        """Return all hits in the order in which they happened."""
        hits = sorted(self.hits.values(), key=_moment)
        if hits:
            self.youngest = max(self.youngest, _moment(hits[-1]))
        return hits

    def _lose(self, hit: Hit) -> None:
        """Put the pieces together without a hit that counts no more.

        What no other hit was put beside, nothing else depends on: the others stand as they would anew.
        """
        beside = next((piece for piece in self.pieces if any(each is hit for each in piece.hits)), None)
        if not self.in_order or (beside is not None and len(beside.hits) > 1):
            self.rebuild()
        elif beside is not None:
            self.pieces = [piece for piece in self.pieces if piece is not beside]
            self.known_apart = self.known_spread = None

    def _place(self, hit: Hit) -> None:
        self.known_apart = None
        self.known_spread = self.known_spread or None  # what lies apart stays so, whatever comes
        if hit.case not in self.settled and hit.case not in self.at_home and hit.case not in self.carried:
            _put(self.pieces, hit)


def _moment(hit: Hit) -> tuple[int, str]:
    return hit.at, hit.case


def piece_of(hits: list[Hit]) -> Piece:
    """Return hits as one piece; it shows itself where its first one does."""
    moments = [hit.at for hit in hits]
    return Piece(min(moments), hits[0].kind, hits, max(moments), {hit.device for hit in hits if hit.device})


def _put(pieces: list[Piece], hit: Hit) -> None:
    """Add a hit to the first piece that may have the same cause, or as a piece of its own."""
    for piece in pieces:
        near = piece.at - _SAME_PARTY_MS <= hit.at <= piece.last + _SAME_PARTY_MS
        if (near or hit.device in piece.devices) and any(_one_cause(hit, other) for other in piece.hits):
            piece.hits.append(hit)
            piece.at, piece.last = min(piece.at, hit.at), max(piece.last, hit.at)
            if hit.device:
                piece.devices.add(hit.device)
            return
    pieces.append(piece_of([hit]))


def apart(pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces that no company's gift explains: one for each shipment in two weeks."""
    found: list[Piece] = []
    last: dict[str, int] = {}
    for piece in sorted(pieces, key=lambda each: each.at):
        shipment = piece.hits[0].shipment
        if shipment is not None and piece.kind != Kind.STORE:
            before = last.get(shipment)
            if before is not None and piece.at - before < _GIFT_MS:
                continue
            last[shipment] = piece.at
        found.append(piece)
    return found


def _one_cause(hit: Hit, other: Hit) -> bool:
    if hit.device and hit.device == other.device:
        return True
    between = abs(hit.at - other.at)
    if between > _SAME_PARTY_MS:
        return False
    if hit.lat is None or hit.lon is None or other.lat is None or other.lon is None:
        return hit.shipment == other.shipment or (between <= _SAME_DAY_MS and hit.kind == other.kind == Kind.IP)
    return flat_km(hit.lat, hit.lon, other.lat, other.lon) <= _SAME_PARTY_KM
