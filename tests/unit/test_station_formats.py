"""Manifests, deltas, loads, command codes and documents against anything that may come."""

from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import documents, worksheet
from contracts import manifest as wire
from contracts.errors import CodeError, MessageError
from contracts.manifest import Group, Head, ManifestError, Product, Standing
from contracts.stations import decode_notes
from edge.manifest import Manifest
from edge.station.load import Counted, Load

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
GTINS = ("06901234567892", "06901234500004")
HASHES = st.integers(0, 2**64 - 1)
GROUPS = st.lists(
    st.builds(
        Group,
        st.integers(wire.LOOSE_GROUPS, 2**64 - 1),
        st.integers(0, 1),
        st.just(0),
        st.just(wire.NO_REFERENCE),
        st.just(int(Standing.ON_HAND)),
        st.sets(HASHES, max_size=6).map(lambda found: tuple(sorted(found))),
    ),
    max_size=8,
    unique_by=lambda group: group.key,
)


def head(version: int = 1) -> Head:
    products = tuple(Product(gtin, "酒", "Wine", 6) for gtin in GTINS)
    return Head(
        site="dc", version=version, issued_at=0, expires_at=1, key="k", salt="00" * 16, groups=0, items=0,
        products=products,
    )  # fmt: skip


@given(GROUPS, GROUPS)
@settings(max_examples=60, deadline=None)
def test_a_delta_makes_the_newer_manifest_to_the_byte(old: list[Group], new: list[Group]) -> None:
    first, second = wire.write(head(1), old, KEY), wire.write(head(2), new, KEY)
    assert wire.apply_delta(first, wire.write_delta(first, second)) == second
    known = wire.verify(second, KEY.public_key())
    assert wire.groups_of(second, known) == sorted(new)


@given(GROUPS, st.data())
@settings(max_examples=60, deadline=None)
def test_every_altered_bit_is_noticed(groups: list[Group], data: st.DataObject) -> None:
    whole = bytearray(wire.write(head(), groups, KEY))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ManifestError):
        wire.verify(bytes(whole), KEY.public_key())


@given(st.binary(max_size=300), GROUPS)
@settings(max_examples=100, deadline=None)
def test_a_foreign_delta_is_refused_and_never_more(tail: bytes, groups: list[Group]) -> None:
    base = wire.write(head(), groups, KEY)
    for data in (wire.DELTA_MAGIC + tail, wire.write_delta(base, base)[: len(tail)], tail):
        with pytest.raises(ManifestError):
            wire.verify(wire.apply_delta(base, data), KEY.public_key())


@given(GROUPS)
@settings(max_examples=60, deadline=None)
def test_every_item_is_found_in_its_case(groups: list[Group]) -> None:
    data = wire.write(head(), groups, KEY)
    manifest = Manifest(data, wire.verify(data, KEY.public_key()))
    owners = {item: group.container for group in groups for item in group.items}
    for container in {group.container for group in groups}:
        inside = Counter(GTINS[group.product] for group in groups if group.container == container for _ in group.items)
        assert manifest._contents(container) == inside
    for item in owners:
        place = manifest._place(item)
        assert place is not None
        assert item in next(
            group.items for group in groups if group.container == manifest._rows[manifest._owners[place]].container
            and item in group.items
        )  # fmt: skip


UNITS = st.builds(
    Counted,
    key=st.just("/00/1"),
    hash=st.integers(1, 12),
    ancestors=st.sets(st.integers(100, 103), max_size=2).map(tuple),
    contents=st.dictionaries(st.sampled_from(GTINS), st.integers(1, 9), max_size=2),
    at=st.just(0),
    verdict=st.just("OK"),
)


@given(st.lists(UNITS | st.integers(1, 12), max_size=40))
def test_a_load_counts_what_is_on_it(steps: list[Counted | int]) -> None:
    load, model = Load("SO-1"), dict[int, Counted]()
    for step in steps:
        if isinstance(step, int):
            assert load.remove(step) == model.pop(step, None)
        else:
            load.add(step)
            model[step.hash] = step
    expected: Counter[str] = Counter()
    for unit in model.values():
        expected.update(unit.contents)
    assert load.totals() == expected
    for code in range(100, 104):
        holds = load.holds(code, ())
        assert (holds is not None) == any(code in unit.ancestors for unit in model.values())


@given(st.text(max_size=80) | st.from_regex(r"CF/[A-Z]{2,8}(/[A-Z0-9_-]{0,6}){0,4}", fullmatch=True))
def test_a_text_is_a_command_or_a_code_error(text: str) -> None:
    for parse in (worksheet.parse, lambda given: documents.verify(given, KEY.public_key())):
        try:
            parse(text)  # type: ignore[operator]
        except CodeError:
            continue


def test_commands_are_what_they_say() -> None:
    assert worksheet.parse("CF/CASE/12") == worksheet.Build("case", 12)
    assert worksheet.parse("CF/PALLET") == worksheet.Build("pallet", 0)
    assert worksheet.parse("CF/OPERATOR/OP-7/NIGHT") == worksheet.Operator("OP-7", "NIGHT")
    assert worksheet.parse("CF/UNDO") is worksheet.Press.UNDO
    for wrong in ("CF/CASE/0", "CF/CASE/123456", "CF/OPERATOR/", "CF/undo", "CF/"):
        with pytest.raises(CodeError):
            worksheet.parse(wrong)


@given(st.binary(max_size=200))
def test_reports_are_notes_or_a_message_error(data: bytes) -> None:
    for body in (data, b'[{"id":"' + data.hex().encode() + b'","at":1,"kind":"undone"}]'):
        try:
            decode_notes(body)
        except MessageError:
            continue
