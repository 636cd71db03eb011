"""Forms turn into one another without loss, whatever the values; and no text breaks a reader."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import gs1
from contracts.gs1.keys import has_check_digit
from contracts.gs1.table import ENTRIES

SET82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
SET39 = "#-/" + string.digits + string.ascii_uppercase
DIGITS = string.digits


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=size, max_size=size)


def with_check(body: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return body.map(lambda text: text + str(gs1.check_digit(text)))


def text82(longest: int) -> st.SearchStrategy[str]:
    return st.text(SET82, min_size=1, max_size=longest)


GTINS = with_check(digits(13))
# Each key with what may go with it, in the order of its path, and attributes of every kind of length.
KEYS = {
    "01": {"01": GTINS, "22": text82(20), "10": text82(20), "21": text82(20)},
    "00": {"00": with_check(digits(17))},
    "414": {"414": with_check(digits(12)), "254": text82(20)},
    "253": {"253": st.tuples(with_check(digits(12)), text82(17)).map("".join)},
    "8003": {"8003": st.tuples(with_check(digits(12)), text82(16)).map(lambda pair: "0" + "".join(pair))},
    "8004": {"8004": st.tuples(digits(6), text82(24)).map("".join)},
    "8010": {
        "8010": st.tuples(digits(6), st.text(SET39, min_size=1, max_size=24)).map("".join),
        "8011": st.integers(1, 10**12 - 1).map(str),
    },
    "8018": {"8018": with_check(digits(17)), "8019": st.text(DIGITS, min_size=1, max_size=10)},
}
ATTRIBUTES = {"400": text82(30), "91": text82(90), "410": with_check(digits(12)), "90": text82(30)}


@st.composite
def labels(draw: st.DrawFn) -> list[tuple[str, str]]:
    kind = draw(st.sampled_from(sorted(KEYS)))
    optional = list(KEYS[kind])[1:]
    chosen = [kind, *draw(st.lists(st.sampled_from(optional), unique=True) if optional else st.just([]))]
    chosen += draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)), unique=True))
    values = [(ai, draw((KEYS[kind] | ATTRIBUTES)[ai])) for ai in chosen]
    return draw(st.permutations(values))


def bracketed(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"({ai}){value.replace('(', chr(92) + '(')}" for ai, value in pairs)


def separated(pairs: list[tuple[str, str]], separator: str) -> str:
    text = ""
    for ai, value in pairs:
        text += ai + value + ("" if ENTRIES[ai].predefined else separator)
    return text.removesuffix(separator)


@given(labels())
def test_every_form_of_a_label_says_the_same(pairs: list[tuple[str, str]]) -> None:
    # A value that ends in a backslash does not exist: it is not among the 82 characters.
    texts = [
        bracketed(pairs),
        "^" + separated(pairs, "^"),
        "\x1d" + separated(pairs, "\x1d"),
        "]d2" + separated(pairs, "\x1d"),
        "]C1" + separated(pairs, "\x1d"),
    ]
    readings = [gs1.read(text) for text in texts]
    assert all(reading.pairs == pairs for reading in readings)
    canonical = readings[0].canonical
    assert canonical is not None
    assert {reading.canonical for reading in readings} == {canonical}
    for link in (canonical, canonical.replace("https://id.gs1.org", "HTTP://shop.example:81/a/b") + "#x"):
        again = gs1.read(link)
        assert sorted(again.pairs) == sorted(pairs)
        assert again.canonical == canonical


URN_KINDS = {
    "sgtin": ["01", "21"], "lgtin": ["01", "10"], "sscc": ["00"], "sgln": ["414", "254"], "gln": ["414"],
    "gdti": ["253"], "grai": ["8003"], "giai": ["8004"], "cpi": ["8010", "8011"], "gsrn": ["8018"],
}  # fmt: skip


@st.composite
def things(draw: st.DrawFn) -> list[tuple[str, str]]:
    ais = URN_KINDS[draw(st.sampled_from(sorted(URN_KINDS)))]
    return [(ai, draw(KEYS[ais[0]][ai])) for ai in ais]


@given(things(), st.integers(6, 12))
def test_epc_urns_and_back(pairs: list[tuple[str, str]], prefix_length: int) -> None:
    if pairs[0][0] in {"8004", "8010"}:
        prefix_length = 6
    if pairs[-1] == ("254", "0"):
        pairs = pairs[:1]
    written = gs1.urn(pairs, prefix_length)
    assert gs1.read(written).pairs == pairs
    assert len(written.split(":")[4].split(".")[0]) == prefix_length


@pytest.mark.parametrize(
    ("urn", "canonical", "prefix"),
    [
        ("urn:epc:id:sgtin:4012345.011111.S", "/01/04012345111118/21/S", 7),
        ("urn:epc:id:sscc:4012345.3111111111", "/00/340123451111111111", 7),
        ("urn:epc:id:sgln:4012345.00005.122", "/414/4012345000054/254/122", 7),
        ("urn:epc:id:sgln:4012345.00005.0", "/414/4012345000054", 7),
        ("urn:epc:id:pgln:4012345.00005", "/417/4012345000054", 7),
        ("urn:epc:id:grai:4012345.00005.A%25", "/8003/04012345000054A%25", 7),
        ("urn:epc:id:giai:4012345.X-1", "/8004/4012345X-1", 7),
        ("urn:epc:id:gsrn:4012345.0000000012", "/8018/401234500000000128", 7),
        ("urn:epc:id:gsrnp:4012345.0000000012", "/8017/401234500000000128", 7),
        ("urn:epc:id:gdti:4012345.00005.9", "/253/40123450000549", 7),
        ("urn:epc:id:sgcn:4012345.00005.12", "/255/401234500005412", 7),
        ("urn:epc:id:cpi:4012345.A%2F1.77", "/8010/4012345A%2F1/8011/77", 7),
        ("urn:epc:id:itip:4012345.011111.01.02.S", "/8006/040123451111180102/21/S", 7),
        ("urn:epc:id:upui:4012345.011111.T", "/01/04012345111118/235/T", 7),
        ("urn:epc:id:gsin:4012345.000000001", "/402/40123450000000016", 7),
        ("urn:epc:id:ginc:4012345.X", "/401/4012345X", 7),
        ("urn:epc:class:lgtin:4012345.011111.Lot", "/01/04012345111118/10/Lot", 7),
        ("urn:epc:id:sgln:401234500005..122", "/414/4012345000054/254/122", 12),
    ],
)
def test_each_kind_of_epc(urn: str, canonical: str, prefix: int) -> None:
    found = gs1.read(urn)
    assert found.canonical == f"https://id.gs1.org{canonical}"
    assert gs1.urn(found.pairs, prefix) == urn


@pytest.mark.parametrize(
    ("pairs", "prefix", "reason"),
    [
        ([("01", "04012345111118")], 7, "URN_SCHEME"),
        ([("253", "4012345000054")], 7, "URN_SCHEME"),
        ([("01", "04012345111118"), ("21", "S")], 5, "URN_PREFIX"),
        ([("8004", "4012X")], 6, "URN_PREFIX"),
        ([("400", "X")], 7, "URN_SCHEME"),
    ],
)
def test_what_has_no_epc_urn(pairs: list[tuple[str, str]], prefix: int, reason: str) -> None:
    with pytest.raises(gs1.Gs1Error) as caught:
        gs1.urn(pairs, prefix)
    assert caught.value.reason == reason


# Texts that begin like something are refused deeper inside than noise is.
BEGINNINGS = [
    *("", "(", "(01)", "(8110)", "^01", "^", "\x1d", "]C1", "]E0", "]Q1https://a/", "https://a/01/", "https://"),
    *("https://a/01/09506000134352?", "urn:epc:id:", "urn:epc:id:sgtin:4012345.", "urn:epc:class:lgtin:"),
]
NOISE = st.text(st.sampled_from("0123456789/()^\x1d\\%|.:?&=#+ABab]€")) | st.text(max_size=60)


def reading_or_error(text: str) -> gs1.Reading | gs1.Gs1Error:
    try:
        return gs1.read(text)
    except gs1.Gs1Error as error:
        return error


@settings(max_examples=400)
@given(st.sampled_from(BEGINNINGS), NOISE)
def test_no_text_raises_anything_but_the_coded_error(beginning: str, noise: str) -> None:
    text = beginning + noise
    found = reading_or_error(text)
    if isinstance(found, gs1.Gs1Error):
        assert found.reason.isupper()
        assert 0 <= found.position <= len(text)
    else:
        assert found.pairs
        assert found.canonical is None or gs1.read(found.canonical).canonical == found.canonical


@settings(max_examples=400)
@given(st.sampled_from(sorted(ENTRIES)), st.text(SET82, max_size=92))
def test_no_value_breaks_a_rule(ai: str, value: str) -> None:
    found = reading_or_error(f"({ai}){value}")
    if isinstance(found, gs1.Gs1Error):
        assert 0 <= found.position <= len(ai) + 2 + len(value)


@given(digits(13), st.integers(0, 12), st.sampled_from(DIGITS))
def test_one_wrong_digit_never_passes_the_check(body: str, place: int, digit: str) -> None:
    whole = body + str(gs1.check_digit(body))
    changed = whole[:place] + digit + whole[place + 1 :]
    assert has_check_digit(changed) == (changed == whole)
