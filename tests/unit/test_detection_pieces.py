"""Hits that may have one cause are one piece: found by looking at few of them, and the same as by looking at all."""

from hypothesis import given
from hypothesis import strategies as st

from trace_service.detection.cell import Cell, Hit, Piece, piece_of
from trace_service.detection.placing import Kind, flat_km
from trace_service.detection.settings import DAY_MS

hits = st.builds(
    lambda at, kind, shipment, device, place: Hit(
        "", int(at * DAY_MS), kind, shipment, device,
        None if kind == Kind.IP else 30.0 + place * 0.012, None if kind == Kind.IP else 104.0, ["k"], ["e"], ["u"],
    ),
    at=st.floats(0, 30), kind=st.sampled_from(list(Kind)), shipment=st.sampled_from(["A", "B", None]),
    device=st.sampled_from(["", "p", "q"]), place=st.integers(0, 8),
)  # fmt: skip


def one_cause(hit: Hit, other: Hit) -> bool:
    """The rule of docs/detection.md, as it is written there."""
    if hit.device and hit.device == other.device:
        return True
    between = abs(hit.at - other.at)
    if between > 2 * DAY_MS:
        return False
    if hit.lat is None or hit.lon is None or other.lat is None or other.lon is None:
        return hit.shipment == other.shipment or (between <= DAY_MS and hit.kind == other.kind == Kind.IP)
    return flat_km(hit.lat, hit.lon, other.lat, other.lon) <= 2.0


def by_looking_at_all(arrived: list[Hit]) -> list[list[str]]:
    pieces: list[list[Hit]] = []
    for hit in arrived:
        fitting = [piece for piece in pieces if any(one_cause(hit, other) for other in piece)]
        if fitting:
            fitting[0].append(hit)
        else:
            pieces.append([hit])
    return [[hit.case for hit in piece] for piece in pieces]


@given(st.lists(hits, max_size=25))
def test_pieces_are_those_of_the_rule_in_order_of_arrival_and_when_built_anew(arrived: list[Hit]) -> None:
    cell = Cell("D", 0)
    for number, hit in enumerate(arrived):
        hit.case = f"{number:02}"
        cell.add(hit)
    assert [[hit.case for hit in piece.hits] for piece in cell.pieces] == by_looking_at_all(arrived)
    cell.rebuild()
    ordered = sorted(arrived, key=lambda each: (each.at, each.case))
    assert [[hit.case for hit in piece.hits] for piece in cell.pieces] == by_looking_at_all(ordered)


@given(st.lists(hits, min_size=1, max_size=8))
def test_a_piece_knows_its_span_and_its_phones(together: list[Hit]) -> None:
    piece: Piece = piece_of(together)
    assert piece.at <= piece.last
    assert all(piece.at <= hit.at <= piece.last for hit in together)
    assert piece.devices == {hit.device for hit in together} - {""}
