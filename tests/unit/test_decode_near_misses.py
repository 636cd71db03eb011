"""Two hundred pictures that look like our codes and are none: not one may come out as a GS1 code."""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import zxingcpp
from zxingcpp import BarcodeFormat

from contracts import gs1
from contracts.errors import CodeError
from edge.decode import Gray, read_codes

NEAR_MISSES = 200
GTIN = "09506000134352"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def draw(text: str, kind: BarcodeFormat, scale: int = 3, **options: object) -> Gray:
    return np.array(zxingcpp.create_barcode(text, kind, **options).to_image(scale=scale), dtype=np.uint8)


def genuine(rng: random.Random) -> Gray:
    serial = "".join(rng.choices(ALPHABET, k=20))
    link = f"HTTPS://ID.EXAMPLE.COM/01/{GTIN}/21/{serial}"
    elements = f"(01){GTIN}(21){serial}"
    return rng.choice(
        [
            lambda: draw(link, BarcodeFormat.QRCode),
            lambda: draw(link, BarcodeFormat.DataMatrix, force_square=True),
            lambda: draw(elements, BarcodeFormat.DataMatrix, gs1=True, force_square=True),
            lambda: draw(elements, BarcodeFormat.QRCode, gs1=True),
            lambda: draw(elements, BarcodeFormat.Code128, gs1=True),
        ]
    )()


def damaged(rng: random.Random) -> Gray:
    """A scratch across the whole symbol and four in ten modules repainted, beyond any error correction."""
    image = genuine(rng)
    rows, columns = image.shape
    noise = np.random.default_rng(rng.randrange(2**32))
    hit = noise.random((rows // 6 + 1, columns // 6 + 1)).repeat(6, 0).repeat(6, 1)[:rows, :columns] < 0.4
    image[hit] = rng.choice([0, 255])
    middle = columns // 2
    image[:, middle - columns // 12 : middle + columns // 12] = rng.choice([0, 255])
    return image


def cropped(rng: random.Random) -> Gray:
    image = genuine(rng)
    keep = int(image.shape[1] * rng.uniform(0.3, 0.65))
    return np.ascontiguousarray(image[:, :keep] if rng.random() < 0.5 else image[:, -keep:])


def wrong_check_digit(rng: random.Random) -> Gray:
    gtin = GTIN[:-1] + rng.choice([digit for digit in "0123456789" if digit != GTIN[-1]])
    link = f"https://id.example.com/01/{gtin}/21/{rng.randrange(10**9)}"
    kind = rng.choice([BarcodeFormat.QRCode, BarcodeFormat.DataMatrix, BarcodeFormat.ITF])
    return draw(gtin if kind == BarcodeFormat.ITF else link, kind)


def other_scheme(rng: random.Random) -> Gray:
    number = str(rng.randrange(10**9, 10**10))
    text, kind = rng.choice(
        [
            (f"https://shop.example/p/{number}", BarcodeFormat.QRCode),
            (f"WIFI:T:WPA;S:store;P:{number};;", BarcodeFormat.QRCode),
            (f"01{GTIN}21{number}", BarcodeFormat.QRCode),
            (f"01{GTIN}21{number}", BarcodeFormat.Code128),
            (f"01{GTIN}21{number}", BarcodeFormat.DataMatrix),
            (f"MECARD:N:{number};;", BarcodeFormat.DataMatrix),
            (f"ftp://id.example.com/01/{GTIN}/21/{number}", BarcodeFormat.QRCode),
            (number, BarcodeFormat.Code39),
            (f"(01){GTIN}", BarcodeFormat.PDF417),
        ]
    )
    return draw(text, kind)


def near_misses() -> Iterator[tuple[str, Gray]]:
    rng = random.Random(20260)
    makers = (damaged, cropped, wrong_check_digit, other_scheme)
    for number in range(NEAR_MISSES):
        maker = makers[number % len(makers)]
        yield f"{maker.__name__} {number}", maker(rng)


def gs1_keys(image: Gray) -> list[str]:
    keys = []
    for code in read_codes(image):
        with contextlib.suppress(CodeError):
            keys.append(gs1.parse(code.text, code.aim).key)
    return keys


def test_near_misses_yield_no_gs1_code() -> None:
    wrong = {name: keys for name, image in near_misses() if (keys := gs1_keys(image))}
    assert wrong == {}


def test_the_same_symbols_undamaged_do_yield_one() -> None:
    rng = random.Random(7)
    assert all(len(gs1_keys(genuine(rng))) == 1 for _ in range(20))
