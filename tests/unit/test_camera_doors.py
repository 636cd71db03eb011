"""What a camera's agent is given from outside: addresses with passwords, and pictures that are none."""

import os
import struct
import threading
import zlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.errors import ConfigurationError, SourceError
from edge.shelf.facings import load_picture
from edge.shelf.pictures import PictureFiles
from edge.sources.camera import Camera
from edge.sources.live import LiveCamera, named

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        (0, "0"),
        ("/dev/video0", "/dev/video0"),
        ("rtsp://10.0.0.9/stream", "rtsp://10.0.0.9/stream"),
        (f"rtsp://admin:{SECRET}@10.0.0.9:554/stream", "rtsp://10.0.0.9:554/stream"),
        (f"rtsp://admin:a@{SECRET}@10.0.0.9/stream", "rtsp://10.0.0.9/stream"),
        (f"http://10.0.0.9/video?user=a&pwd={SECRET}", "http://10.0.0.9/video"),
    ],
)
def test_a_stream_is_named_without_its_password(device: int | str, shown: str) -> None:
    assert named(device) == shown


def test_a_stream_that_cannot_be_opened_tells_nobody_its_password() -> None:
    address = f"http://admin:{SECRET}@127.0.0.1:1/video?pwd={SECRET}"
    with capture_logs() as logs, pytest.raises(SourceError) as refused:
        LiveCamera(address).open()
    assert "127.0.0.1:1/video" in str(refused.value)
    with pytest.raises(SourceError) as unseen:
        next(iter(Camera(address).reads(threading.Event())))
    assert SECRET not in f"{refused.value} {unseen.value} {logs}"


def png(width: int, height: int) -> bytes:
    """A picture that says to be of some size, and ends there."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


@pytest.mark.parametrize(
    "content", [b"", b"no picture", png(65_000, 65_000), png(2**31 - 1, 2**31 - 1), png(8_000, 8_000)]
)
def test_a_picture_that_is_none_is_left_alone_and_the_agent_goes_on(tmp_path: Path, content: bytes) -> None:
    shot = tmp_path / "shot.png"
    shot.write_bytes(content)
    with pytest.raises(ConfigurationError):
        load_picture(shot)
    assert PictureFiles(tmp_path).newest() is None


def test_a_pipe_in_the_place_of_a_picture_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shot.png")
    assert PictureFiles(tmp_path).newest() is None
