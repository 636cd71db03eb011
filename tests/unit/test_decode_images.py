"""Encoded pictures to grey levels: formats, hostile headers and damage."""

import io
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import zxingcpp
from PIL import Image
from zxingcpp import BarcodeFormat

from contracts.errors import ImageError, ImageTooLargeError
from edge.decode import load_image, read_codes
from edge.decode.images import LARGEST_PIXELS

TEXT = "HTTPS://ID.EXAMPLE.COM/01/09506000134352/21/10K5WY8QKYKFQCD09VWD"


def label(mode: str = "L") -> Image.Image:
    symbol = zxingcpp.create_barcode(TEXT, BarcodeFormat.QRCode)
    return Image.fromarray(np.array(symbol.to_image(scale=4), dtype=np.uint8)).convert(mode)


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and carries a little data of it, as a decompression bomb does."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_every_format_is_read(kind: str) -> None:
    (code,) = read_codes(load_image(encode(label(), kind)))
    assert code.text == TEXT


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_every_kind_of_pixel_is_read(mode: str) -> None:
    faint = Image.fromarray(np.asarray(label(), dtype=np.uint16) * 16)
    picture = faint if mode == "I;16" else label(mode)
    (code,) = read_codes(load_image(encode(picture, "TIFF")))
    assert code.text == TEXT


def test_a_transparent_background_is_white_paper() -> None:
    ink = np.asarray(label())
    pixels = np.zeros((*ink.shape, 4), dtype=np.uint8)
    pixels[..., 3] = 255 - ink
    (code,) = read_codes(load_image(encode(Image.fromarray(pixels), "PNG")))
    assert code.text == TEXT


def test_a_photo_is_turned_upright_as_its_camera_noted() -> None:
    picture = label().resize((160, 120))
    turned = Image.Exif()
    turned[0x0112] = 6
    assert load_image(encode(picture, "JPEG", exif=turned)).shape == (160, 120)


@pytest.mark.parametrize(("width", "height"), [(65_000, 65_000), (LARGEST_PIXELS + 1, 1), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused_by_its_header_alone(width: int, height: int) -> None:
    bomb = png_header(width, height)
    tracemalloc.start()
    with pytest.raises(ImageTooLargeError) as refusal:
        load_image(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
    assert refusal.value.code == "IMAGE_TOO_LARGE"
    assert refusal.value.advice


def test_pixels_that_are_no_brightness_are_refused() -> None:
    with pytest.raises(ImageError) as refusal:
        load_image(encode(Image.new("LAB", (20, 20)), "TIFF"))
    assert refusal.value.advice


@pytest.mark.parametrize("size", [(1, 1), (40_000, 30), (2, 65_535)])
def test_a_picture_of_any_shape_is_searched(size: tuple[int, int]) -> None:
    assert read_codes(load_image(encode(Image.new("L", size), "PNG"))) == ()


def test_a_picture_longer_than_the_reader_takes_is_refused() -> None:
    with pytest.raises(ImageTooLargeError):
        load_image(encode(Image.new("L", (65_536, 1)), "PNG"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_a_picture_that_is_cut_short_is_refused_wherever_the_cut_is(kind: str) -> None:
    whole = encode(label(), kind)
    for share in (0.02, 0.1, 0.5, 0.9):
        with pytest.raises(ImageError) as refusal:
            load_image(whole[: int(len(whole) * share)])
        assert refusal.value.code == "IMAGE_UNREADABLE"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_altered_bytes_never_raise_anything_but_our_own_error(kind: str) -> None:
    rng = random.Random(11)
    whole = encode(label(), kind)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 9)):
            damaged[rng.randrange(min(len(damaged), 400))] = rng.randrange(256)
        try:
            levels = load_image(bytes(damaged))
        except ImageError:
            continue
        assert levels.ndim == 2
        assert levels.size <= LARGEST_PIXELS


def test_a_text_file_is_no_picture() -> None:
    with pytest.raises(ImageError, match="no picture"):
        load_image(b"file,symbology\n1.png,QRCode\n")
