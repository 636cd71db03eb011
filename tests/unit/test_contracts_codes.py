"""TC20 serials and GS1 keys, against the published vectors and against themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import gs1, worksheet
from contracts.errors import CheckDigitError, CodeError
from contracts.messages import Activity
from contracts.tc20 import ALPHABET, COUNTERS, Tc20

MASTER = bytes(range(32))
GTIN = "09506000134352"


@pytest.mark.parametrize(
    ("epoch", "counter", "serial"),
    [
        (1, 0, "10K5WY8QKYKFQCD09VWD"),
        (1, 1, "1A60SGFJS4SVJVTFXRQH"),
        (1, 2, "1QS6XHDY5SCMDBW8AGET"),
        (1, 123456789, "12G02E944SP33XYQKKPE"),
        (1, 2**40 - 1, "1A1FKWR5654XPGZN7NF7"),
        (2, 1, "29J5GNQRYTHK7VDZCBPA"),
    ],
)
def test_serials_are_those_of_the_vectors(epoch: int, counter: int, serial: str) -> None:
    codec = Tc20(MASTER, "acme", epoch)
    assert codec.issue(GTIN, counter) == serial
    assert codec.verify(GTIN, serial) == counter


@given(st.integers(0, COUNTERS - 1), st.integers(0, 19), st.sampled_from(ALPHABET))
def test_one_changed_character_is_refused(counter: int, position: int, character: str) -> None:
    codec = Tc20(MASTER, "acme", 1)
    serial = codec.issue(GTIN, counter)
    changed = serial[:position] + character + serial[position + 1 :]
    assert (codec.verify(GTIN, changed) == counter) == (changed == serial)


def test_a_serial_holds_for_its_own_gtin_tenant_and_epoch_only() -> None:
    serial = Tc20(MASTER, "acme", 1).issue(GTIN, 7)
    assert Tc20(MASTER, "acme", 1).verify("09506000134369", serial) is None
    assert Tc20(MASTER, "other", 1).verify(GTIN, serial) is None
    assert Tc20(MASTER, "acme", 2).verify(GTIN, serial) is None


@given(st.text(max_size=30))
def test_no_text_breaks_verification(text: str) -> None:
    assert Tc20(MASTER, "acme", 1).verify(GTIN, text) is None


@pytest.mark.parametrize(
    ("text", "aim", "key"),
    [
        (
            "HTTPS://ID.EXAMPLE.COM/01/09506000134352/21/10K5WY8QKYKFQCD09VWD",
            "]Q1",
            "/01/09506000134352/21/10K5WY8QKYKFQCD09VWD",
        ),
        ("https://brand.example/some/path/01/09506000134352/10/LOT/21/S1?17=271231", "", "/01/09506000134352/21/S1"),
        ("(01)09506000134352(21)AB(c)", "", "/01/09506000134352/21/AB%28c%29"),
        ("\x1d0109506000134352211234\x1d10LOT", "]d2", "/01/09506000134352/21/1234"),
        ("00095060000000000015", "]C1", "/00/095060000000000015"),
        ("https://id.gs1.org/414/4012345000054/254/122", "", "/414/4012345000054/254/122"),
    ],
)
def test_every_form_becomes_one_key(text: str, aim: str, key: str) -> None:
    assert gs1.parse(text, aim).key == key


@pytest.mark.parametrize(
    ("text", "aim", "position"),
    [
        ("https://example.com/01/09506000134353/21/A", "", 36),
        ("https://example.com/hello", "", 8),
        ("(01)09506000134352(21)", "", 22),
        ("(01)0950600013435X", "", 17),
        ("99950600013", "]C1", 0),
        ("plain text", "]Q1", 0),
    ],
)
def test_what_is_wrong_is_named_with_its_position(text: str, aim: str, position: int) -> None:
    with pytest.raises(CodeError) as caught:
        gs1.parse(text, aim)
    assert caught.value.position == position


def test_a_wrong_check_digit_has_its_own_code() -> None:
    with pytest.raises(CheckDigitError):
        gs1.parse("(01)09506000134353")


@given(st.text(max_size=80), st.sampled_from(["", "]C1", "]d2", "]Q3", "]Q1"]))
def test_no_text_breaks_the_parser(text: str, aim: str) -> None:
    try:
        found = gs1.parse(text, aim)
    except CodeError:
        return
    assert gs1.parse(found.uri).key == found.key


@given(st.text(alphabet=r"""!"%&'()*+,-./0123456789:;<=>?ABCxyz_""", min_size=1, max_size=20))
def test_a_serial_survives_its_label(serial: str) -> None:
    assert gs1.parse(f"https://id.example.com{gs1.item_key(GTIN, serial)}").serial == serial


def test_worksheets_say_what_to_do_next() -> None:
    text = worksheet.begin(Activity.SHIP, "SO-17", "d-chengdu")
    assert worksheet.parse(text) == worksheet.Begin(Activity.SHIP, "SO-17", "D-CHENGDU")
    assert worksheet.parse(worksheet.end()) == worksheet.End()
    with pytest.raises(CodeError):
        worksheet.parse("CF/BEGIN/DESTROY/SO-17/")
