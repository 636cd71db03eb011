"""What a serial scanner's bytes mean, and what counts as a re-read."""

import random

import pytest

from edge.duplicates import DuplicateWindow
from edge.sources.serial import LONGEST_FRAME, Frames, parse_frame


def test_frames_are_the_same_however_the_bytes_are_chopped() -> None:
    expected = [f"]Q1CODE{number}".encode() for number in range(200)]
    stream = b"\r\n".join(expected) + b"\r"
    rng = random.Random(5)
    frames, received, position = Frames(), [], 0
    while position < len(stream):
        step = rng.randrange(1, 40)
        received += frames.feed(stream[position : position + step])
        position += step
    assert received == expected


def test_garbage_without_an_end_is_bounded_and_the_next_code_survives() -> None:
    frames = Frames()
    for _ in range(50):
        assert list(frames.feed(b"\x00\xff" * LONGEST_FRAME)) == []
        assert len(frames._rest) <= LONGEST_FRAME
    assert list(frames.feed(b"tail of the garbage\r]Q1GOOD\r")) == [b"]Q1GOOD"]


@pytest.mark.parametrize(
    ("frame", "text", "symbology", "aim"),
    [
        (b"]Q1HTTPS://ID.EXAMPLE.COM/01/0/21/A", "HTTPS://ID.EXAMPLE.COM/01/0/21/A", "QRCode", "]Q1"),
        (b"]C10109506000134352\x1d21A", "0109506000134352\x1d21A", "Code128", "]C1"),
        (b"]d20109506000134352", "0109506000134352", "DataMatrix", "]d2"),
        (b"]E09780201379624", "9780201379624", "EAN13", "]E0"),
        (b"]X0something", "something", "unknown", "]X0"),
        (b"no identifier", "no identifier", "unknown", ""),
        ("]Q1码界".encode(), "码界", "QRCode", "]Q1"),
        (b"]Q1\xff\xfe", "\xff\xfe", "QRCode", "]Q1"),
    ],
)
def test_a_line_is_an_aim_identifier_and_a_text(frame: bytes, text: str, symbology: str, aim: str) -> None:
    code = parse_frame(frame)
    assert (code.text, code.symbology, code.aim) == (text, symbology, aim)


def test_a_label_that_stays_in_view_is_one_scan_until_it_has_been_away_for_the_window() -> None:
    now = [0.0]
    window = DuplicateWindow(3.0, clock=lambda: now[0])
    seen = []
    for now[0] in (0.0, 2.0, 4.0, 6.0, 9.0):
        seen.append(window.is_repeat("A"))
    assert seen == [False, True, True, True, False]


def test_the_window_keeps_codes_apart_and_forgets_old_ones() -> None:
    now = [0.0]
    window = DuplicateWindow(3.0, clock=lambda: now[0])
    assert not window.is_repeat("A")
    assert not window.is_repeat("B")
    for number in range(1000):
        now[0] += 1.0
        window.is_repeat(str(number))
    assert len(window._last) <= 4
