"""A watched folder and a video, with real files."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from waiting import PATIENCE, wait_for
from zxingcpp import BarcodeFormat

from contracts.errors import SourceError
from edge.sources.camera import Camera
from edge.sources.folder import WatchedFolder
from edge.sources.source import Read

Levels = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


def symbol(text: str) -> Levels:
    drawn = zxingcpp.create_barcode(text, BarcodeFormat.QRCode)
    return np.array(drawn.to_image(scale=4), dtype=np.uint8)


def png(text: str) -> bytes:
    _, encoded = cv2.imencode(".png", symbol(text))
    return encoded.tobytes()


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    timer = threading.Timer(PATIENCE, event.set)
    timer.start()
    yield event
    event.set()
    timer.cancel()


def watch(folder: Path, patience: float = 0.8) -> WatchedFolder:
    return WatchedFolder(folder, settle_seconds=0.2, patience_seconds=patience)


def come(path: Path, text: str) -> None:
    """Let a picture be there as a whole: half of one is given up, however busy the machine is that writes it."""
    fresh = path.with_name(f".{text}")
    fresh.write_bytes(png(text))
    fresh.rename(path)


def once(condition: Callable[[], object], path: Path, text: str) -> None:
    """Let a picture come as soon as `condition` holds."""

    def bring() -> None:
        wait_for(condition)
        come(path, text)

    threading.Thread(target=bring).start()


def texts(read: Read) -> list[str]:
    return [code.text for code in read.codes]


def test_pictures_from_before_and_after_the_start_are_read_and_filed(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "箱 1.png").write_bytes(png("BEFORE"))
    reads = watch(tmp_path).reads(stop)
    first = next(reads)
    assert texts(first) == ["BEFORE"]
    assert first.image_sha256 is not None
    first.done(accepted=True)
    (tmp_path / "2.png").write_bytes(png("AFTER"))
    second = next(reads)
    second.done(accepted=False)
    assert texts(second) == ["AFTER"]
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["2.png", "箱 1.png"]


def test_a_picture_without_a_code_is_a_read_without_codes(tmp_path: Path, stop: threading.Event) -> None:
    _, blank = cv2.imencode(".png", np.full((60, 60), 255, dtype=np.uint8))
    (tmp_path / "blank.png").write_bytes(blank.tobytes())
    assert next(watch(tmp_path).reads(stop)).codes == ()


def test_a_read_that_was_never_committed_is_read_again_after_a_restart(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "1.png").write_bytes(png("KEPT"))
    next(watch(tmp_path).reads(stop))
    assert (tmp_path / "1.png").exists()
    again = next(watch(tmp_path).reads(stop))
    assert texts(again) == ["KEPT"]


def test_a_picture_in_work_is_not_read_twice(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "1.png").write_bytes(png("ONE"))
    reads = watch(tmp_path).reads(stop)
    held = next(reads)
    (tmp_path / "2.png").write_bytes(png("TWO"))
    assert texts(next(reads)) == ["TWO"]
    held.done(accepted=True)


def test_a_picture_is_read_only_when_it_is_complete(tmp_path: Path, stop: threading.Event) -> None:
    content = png("SLOW")
    path = tmp_path / "slow.png"

    def write_slowly() -> None:
        with path.open("wb") as file:
            for start in range(0, len(content), len(content) // 5 + 1):
                file.write(content[start : start + len(content) // 5 + 1])
                file.flush()
                time.sleep(0.3)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    read = next(watch(tmp_path, PATIENCE).reads(stop))
    writer.join()
    assert texts(read) == ["SLOW"]
    assert list((tmp_path / "unreadable").iterdir()) == []


def test_an_unreadable_picture_is_set_aside_with_its_reason(tmp_path: Path, stop: threading.Event) -> None:
    (tmp_path / "torn.png").write_bytes(png("TORN")[:80])
    (tmp_path / "notes.txt").write_text("not a picture, left alone")
    reads = watch(tmp_path).reads(stop)
    once((tmp_path / "unreadable" / "torn.png.txt").exists, tmp_path / "good.png", "GOOD")
    assert texts(next(reads)) == ["GOOD"]
    assert (tmp_path / "unreadable" / "torn.png").exists()
    assert "IMAGE_UNREADABLE" in (tmp_path / "unreadable" / "torn.png.txt").read_text()
    assert (tmp_path / "notes.txt").exists()


def test_equal_names_do_not_overwrite_each_other(tmp_path: Path, stop: threading.Event) -> None:
    reads = watch(tmp_path).reads(stop)
    for text in ("A", "B"):
        (tmp_path / "shot.png").write_bytes(png(text))
        next(reads).done(accepted=True)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["shot-1.png", "shot.png"]


def test_a_name_in_another_encoding_is_read_too(tmp_path: Path, stop: threading.Event) -> None:
    reads = watch(tmp_path).reads(stop)
    threading.Timer(0.3, lambda: come(tmp_path / os.fsdecode("照片.png".encode("gbk")), "GBK")).start()
    read = next(reads)
    assert texts(read) == ["GBK"]
    read.done(accepted=True)
    assert len(list((tmp_path / "done").iterdir())) == 1


def test_a_folder_that_goes_away_is_waited_for(tmp_path: Path, stop: threading.Event) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    (folder / "1.png").write_bytes(png("BEFORE"))
    reads = watch(folder).reads(stop)
    held = next(reads)
    shutil.rmtree(folder)
    held.done(accepted=True)

    def mount_again() -> None:
        folder.mkdir()
        come(folder / "2.png", "AFTER")

    threading.Timer(0.5, mount_again).start()
    read = next(reads)
    assert texts(read) == ["AFTER"]
    read.done(accepted=True)
    assert (folder / "done" / "2.png").exists()


def test_a_file_that_cannot_even_be_set_aside_does_not_hold_up_the_next(
    tmp_path: Path, stop: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / f"{'x' * 248}.png").write_bytes(b"no picture")
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / f"{'x' * 248}.png").write_bytes(b"the same name, and one with a number is too long")
    reads = watch(tmp_path).reads(stop)
    once((tmp_path / "unreadable" / "loop.png").is_symlink, tmp_path / "good.png", "GOOD")
    assert texts(next(reads)) == ["GOOD"]
    assert (tmp_path / "unreadable" / "loop.png").is_symlink()
    said = capsys.readouterr().out
    assert said.count("folder.stuck") == 1
    assert "File name too long" in said


def test_a_missing_folder_is_said_clearly(tmp_path: Path, stop: threading.Event) -> None:
    with pytest.raises(SourceError, match="cannot be watched") as refusal:
        next(watch(tmp_path / "none").reads(stop))
    assert refusal.value.advice


def test_the_watch_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert list(watch(tmp_path).reads(stop)) == []


def test_a_video_gives_the_frames_that_show_a_code(tmp_path: Path, stop: threading.Event) -> None:
    size = (240, 240)
    video = cv2.VideoWriter(str(tmp_path / "belt.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, size)
    for text in ("ONE", "", "TWO"):
        frame = np.full((*size, 3), 255, dtype=np.uint8)
        if text:
            drawn = symbol(text)
            frame[40 : 40 + drawn.shape[0], 30 : 30 + drawn.shape[1]] = drawn[..., None]
        video.write(frame)
    video.release()
    reads = list(Camera(str(tmp_path / "belt.avi")).reads(stop))
    assert [texts(read) for read in reads] == [["ONE"], ["TWO"]]
    assert all(read.picture is not None and read.picture.startswith(b"\xff\xd8") for read in reads)


def test_a_camera_that_cannot_be_opened_is_said_clearly(stop: threading.Event) -> None:
    with pytest.raises(SourceError, match="cannot be opened") as refusal:
        next(Camera("/dev/video97").reads(stop))
    assert "/dev/video" in refusal.value.advice


def test_a_live_camera_that_stops_sending_is_opened_again(tmp_path: Path, stop: threading.Event) -> None:
    video = cv2.VideoWriter(str(tmp_path / "live.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (200, 200))
    drawn = symbol("LIVE")
    frame = np.full((200, 200, 3), 255, dtype=np.uint8)
    frame[20 : 20 + drawn.shape[0], 20 : 20 + drawn.shape[1]] = drawn[..., None]
    for _ in range(50):
        video.write(frame)
    video.release()
    reads = Camera(f"file://{tmp_path}/live.avi").reads(stop)
    # The file ends within a moment; the first frame of each opening is seen again.
    assert [texts(next(reads)) for _ in range(60)] == [["LIVE"]] * 60
    stop.set()
    assert list(reads) == []
