"""Labels survive the camera: every code on every photo is read back, with the text and identifier that it has."""

import cv2
import numpy as np
import pytest
import zxingcpp
from sim_market_sample import CASES, market

from contracts import gs1, worksheet
from contracts.messages import Activity
from firmware_sim.labels import case_label, item_label
from firmware_sim.labels import worksheet as sheet
from firmware_sim.photo import photograph

CODES = market("R0001", CASES)["cases"]
SSCC = CODES[0]["sscc"]


def _read(photo: bytes) -> dict[str, str]:
    """Return the AIM identifier of each text on a photo."""
    image = cv2.imdecode(np.frombuffer(photo, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    found = zxingcpp.read_barcodes(image, text_mode=zxingcpp.TextMode.Plain)
    return {code.text: code.symbology_identifier for code in found}


@pytest.mark.parametrize(
    ("text", "symbology", "aim", "read"),
    [
        (f"(00){SSCC}", "datamatrix", "]d2", f"00{SSCC}"),
        (f"(00){SSCC}", "code128", "]C1", f"00{SSCC}"),
        (f"(00){SSCC}", "qr", "]Q3", f"00{SSCC}"),
        (f"HTTPS://ID.EXAMPLE.COM/00/{SSCC}", "datamatrix", "]d1", f"HTTPS://ID.EXAMPLE.COM/00/{SSCC}"),
        (f"HTTPS://ID.EXAMPLE.COM/00/{SSCC}", "qr", "]Q1", f"HTTPS://ID.EXAMPLE.COM/00/{SSCC}"),
    ],
)
def test_case_labels_are_read_with_their_gs1_identifier(text: str, symbology: str, aim: str, read: str) -> None:
    module = 2 if symbology == "code128" else 5
    found = _read(photograph([case_label(text, symbology, module)], np.random.default_rng(3)))
    assert found == {read: aim}
    assert gs1.parse(read, aim).key == f"/00/{SSCC}"


def test_a_worksheet_tells_the_station_which_order_comes_next() -> None:
    text = worksheet.begin(Activity.SHIP, "SO-R0001-01", "D-CHENGDU")
    found = _read(photograph([sheet(text, 6)], np.random.default_rng(4)))
    assert found == {text: "]Q1"}
    assert worksheet.parse(text) == worksheet.Begin(Activity.SHIP, "SO-R0001-01", "D-CHENGDU")


def test_every_code_on_ninety_photos_of_cases_with_their_items_is_read() -> None:
    random = np.random.default_rng(5)
    for case in CODES:
        labels = [case_label(case["label"], case["aim_symbology"], 5), *(item_label(text, 4) for text in case["items"])]
        found = _read(photograph(labels, random))
        key = case["label"].replace("(00)", "00")
        assert set(found) == {key, *case["items"]}
        assert all(found[text] == "]Q1" for text in case["items"])


def test_a_photo_is_a_jpeg_that_depends_on_the_seed_alone() -> None:
    label = [item_label(CODES[0]["items"][0], 4)]
    first, again, other = (photograph(label, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert first.startswith(b"\xff\xd8")
