"""The cascade on symbols drawn here: what it must read, what it must refuse, and where it says things are."""

import subprocess
import sys

import numpy as np
import pytest
import zxingcpp
from zxingcpp import BarcodeFormat

from edge.decode import Code, Gray, read_codes
from edge.decode.cascade import STAGES, Stage, _file, _is_certain, _run

LINK = "HTTPS://ID.EXAMPLE.COM/01/09506000134352/21/10K5WY8QKYKFQCD09VWD"
ELEMENTS = "(01)09506000134352(21)ABC123(10)LOT7"


def draw(text: str, kind: BarcodeFormat, *, scale: int = 4, **options: object) -> Gray:
    symbol = zxingcpp.create_barcode(text, kind, **options)
    return np.array(symbol.to_image(scale=scale), dtype=np.uint8)


def sheet(*placed: tuple[Gray, int, int], rows: int = 900, columns: int = 1200) -> Gray:
    paper = np.full((rows, columns), 255, dtype=np.uint8)
    for symbol, top, left in placed:
        paper[top : top + symbol.shape[0], left : left + symbol.shape[1]] = symbol
    return paper


@pytest.mark.parametrize(
    ("kind", "text", "symbology", "aim"),
    [
        (BarcodeFormat.QRCode, LINK, "QRCode", "]Q1"),
        (BarcodeFormat.QRCode, "码界 一物一码", "QRCode", "]Q1"),
        (BarcodeFormat.DataMatrix, LINK, "DataMatrix", "]d1"),
        (BarcodeFormat.Code128, "SSCC 42", "Code128", "]C0"),
        (BarcodeFormat.EAN13, "9780201379624", "EAN13", "]E0"),
        (BarcodeFormat.EAN8, "96385074", "EAN8", "]E4"),
        (BarcodeFormat.ITF, "09506000134352", "ITF", "]I1"),
    ],
)
def test_a_clean_symbol_is_read_with_its_kind(kind: BarcodeFormat, text: str, symbology: str, aim: str) -> None:
    (code,) = read_codes(draw(text, kind))
    assert (code.text, code.symbology, code.aim) == (text, symbology, aim)


@pytest.mark.parametrize(
    ("kind", "aim"),
    [(BarcodeFormat.Code128, "]C1"), (BarcodeFormat.DataMatrix, "]d2"), (BarcodeFormat.QRCode, "]Q3")],
)
def test_gs1_element_strings_keep_separators_and_are_told_by_their_aim_identifier(
    kind: BarcodeFormat, aim: str
) -> None:
    (code,) = read_codes(draw(ELEMENTS, kind, gs1=True))
    assert (code.text, code.aim) == ("010950600013435221ABC123\x1d10LOT7", aim)


def test_bytes_outside_any_character_set_survive_as_latin_1() -> None:
    data = bytes([0xFF, 0xFE, 0x00, 0x81, 0x1B])
    symbol = zxingcpp.create_barcode(data, BarcodeFormat.QRCode)
    (code,) = read_codes(np.array(symbol.to_image(scale=4), dtype=np.uint8))
    assert code.text.encode("latin-1") == data


@pytest.mark.parametrize(
    "kind",
    [BarcodeFormat.Code39, BarcodeFormat.Code93, BarcodeFormat.PDF417, BarcodeFormat.Aztec, BarcodeFormat.DataBarOmni],
)
def test_symbologies_that_goods_here_do_not_carry_are_not_read(kind: BarcodeFormat) -> None:
    assert read_codes(draw("1234567890", kind)) == ()


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage.scale > 1], ids=lambda stage: stage.name)
def test_corners_from_an_upscaled_stage_are_in_pixels_of_the_picture_that_was_given(stage: Stage) -> None:
    label = draw(LINK, BarcodeFormat.QRCode, scale=3)
    paper = sheet((label, 60, 120), rows=300, columns=400)
    (plain,) = read_codes(paper)
    (code,) = _run(stage, paper)
    assert code.text == LINK
    for (x, y), (true_x, true_y) in zip(code.corners, plain.corners, strict=True):
        assert abs(x - true_x) <= 2
        assert abs(y - true_y) <= 2


def test_equal_labels_side_by_side_are_counted_one_by_one() -> None:
    label = draw(LINK, BarcodeFormat.QRCode, scale=3)
    places = [(top, left) for top in (20, 300, 580) for left in (20, 320, 620)]
    codes = read_codes(sheet(*((label, top, left) for top, left in places)), expected=len(places))
    assert [code.text for code in codes] == [LINK] * len(places)
    assert len({code.corners[0] for code in codes}) == len(places)


def test_bar_codes_stacked_on_a_carton_are_all_accepted() -> None:
    texts = ["9780201379624", "4006381333931"]
    bars = [draw(text, BarcodeFormat.EAN13, scale=3) for text in texts]
    codes = read_codes(sheet((bars[0], 20, 50), (bars[1], 40 + bars[0].shape[0], 50)))
    assert sorted(code.text for code in codes) == sorted(texts)


def read_at(text: str, stage: str, symbology: str = "EAN13", left: int = 0) -> Code:
    return Code(text, symbology, "]E0", ((left, 0), (left + 90, 0), (left + 90, 40), (left, 40)), stage)


def settle(*reads: Code) -> list[str]:
    symbols: list[list[Code]] = []
    for code in reads:
        _file(code, symbols)
    return [group[0].text for group in symbols if _is_certain(group, symbols)]


def test_a_bar_code_needs_a_second_agreeing_read() -> None:
    assert settle(read_at("9780201379624", "plain")) == []
    assert settle(read_at("9780201379624", "plain"), read_at("9780201379624", "zbar")) == ["9780201379624"]
    assert settle(read_at("9780201379624", "plain"), read_at("9780201379624", "zbar", left=500)) == []


def test_code_128_is_believed_at_once_only_on_the_untouched_picture() -> None:
    assert settle(read_at("AB12", "plain", "Code128")) == ["AB12"]
    assert settle(read_at("AB12", "equalised", "Code128")) == []
    assert settle(read_at("AB12", "zbar", "Code128")) == []


def test_two_texts_read_from_the_same_bars_need_a_majority() -> None:
    right, wrong = "5030159003930", "7034759003930"
    tie = [read_at(text, stage) for text in (right, wrong) for stage in ("plain", "equalised")]
    assert settle(*tie) == []
    assert settle(*tie, read_at(right, "zbar")) == [right]


def test_without_the_zbar_library_the_other_stages_go_on_and_it_is_said_once() -> None:
    script = (
        "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
        "import numpy as np, zxingcpp\n"
        "from edge.decode import read_codes\n"
        "empty = np.full((90, 90), 255, np.uint8)\n"
        "assert read_codes(empty) == read_codes(empty) == ()\n"
        "symbol = zxingcpp.create_barcode('9780201379624', zxingcpp.BarcodeFormat.EAN13)\n"
        "print('READ', read_codes(np.array(symbol.to_image(scale=4), dtype=np.uint8))[0].text)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert "READ 9780201379624" in done.stdout
    assert done.stdout.count("decode.zbar_absent") == 1
    assert "apt-get install libzbar0" in done.stdout
